import type { Client } from "pg"
import { errorText } from "../core/error-text.ts"

/** SQL of the team in brackets of its own: a comment at its end closes nothing. */
export function bracket(sql: string): string {
  return `(\n${sql}\n)`
}

/**
 * What the server says against a statement, in its own words; `undefined` when it would run it. Nothing runs: the statement is explained.
 * Several statements in one are refused by the protocol. Errors that are not about the statement are thrown.
 */
export async function problemOf(
  client: Client,
  statement: string,
  values: unknown[] = [],
): Promise<string | undefined> {
  await client.query("savepoint question")
  try {
    const extended = { text: `explain ${statement}`, values, queryMode: "extended" }
    await client.query(extended)
    return undefined
  } catch (error) {
    if (!isAboutSql(error)) throw error
    return String(error.code).startsWith("P0") ? errorText(error) : error.message
  } finally {
    await client.query("rollback to savepoint question").catch(() => undefined) // a lost connection has no transaction
  }
}

/**
 * What is wrong with a condition or expression on the alias `t` of a table, by itself. Between round brackets and between square ones: what
 * fits into both opens and closes its own.
 */
export async function problemOfTeamSql(client: Client, from: string, sql: string): Promise<string | undefined> {
  return (
    (await problemOf(client, `select array[\n${sql}\n] from ${from} t`)) ??
    (await problemOf(client, `select ${bracket(sql)} from ${from} t`))
  )
}

/** Classes of SQLSTATE: syntax and access, data, constraints (of a domain), unsupported feature, protocol (parameters), object state, what functions raise. */
const aboutSql = ["42", "22", "23", "0A", "08P01", "2B", "55000", "P0"]

function isAboutSql(error: unknown): error is Error & { code: unknown } {
  return error instanceof Error && "code" in error && aboutSql.some((start) => String(error.code).startsWith(start))
}
