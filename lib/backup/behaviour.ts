import type { Client, QueryArrayConfig } from "pg"
import { errorText } from "../core/error-text.ts"
import { judged, type Level, skipped } from "./receipt.ts"

/** A statement about good data: without `expect` the query returns no rows, with it one number within the bounds. */
export type Assertion = {
  name: string
  sql: string
  expect?: { min?: number | undefined; max?: number | undefined } | undefined
}

const assertionTimeoutMs = 300_000

/** Asks the restored copy what the team says is true of its data. Nothing that an assertion does stays. */
export async function checkBehaviour(client: Client, assertions: readonly Assertion[]): Promise<Level> {
  if (assertions.length === 0) return skipped("no assertions are configured: add databases.….assertions")
  const differences: string[] = []
  for (const assertion of assertions) {
    const complaint = await checkAssertion(client, assertion)
    if (complaint) differences.push(`"${assertion.name}": ${complaint}`)
  }
  return judged(`${assertions.length} assertions asked`, differences)
}

async function checkAssertion(client: Client, assertion: Assertion): Promise<string | undefined> {
  await client.query(
    `begin read only; set local statement_timeout = ${assertionTimeoutMs}; set local search_path = public`,
  )
  try {
    const { rows } = await client.query(oneStatement(assertion.sql))
    return judgeRows(rows, assertion)
  } catch (error) {
    return errorText(error)
  } finally {
    await client.query("rollback")
  }
}

/** The extended protocol refuses a text of several statements: none can end the transaction and go on outside of it. */
function oneStatement(text: string): QueryArrayConfig & { queryMode: "extended" } {
  return { text, rowMode: "array", queryMode: "extended" }
}

/** What is wrong with the answer to an assertion; `undefined` when it holds. Pure. */
export function judgeRows(rows: readonly unknown[][], { expect }: Assertion): string | undefined {
  if (!expect) return rows.length === 0 ? undefined : `expected no rows, found ${rows.length}`
  const value = rows.length === 1 && rows[0]?.length === 1 ? rows[0][0] : undefined
  const number =
    typeof value === "number" || typeof value === "string" || typeof value === "bigint" ? Number(value) : Number.NaN
  if (!Number.isFinite(number)) return "expected one row with one number"
  if (expect.min !== undefined && number < expect.min) return `expected at least ${expect.min}, found ${number}`
  if (expect.max !== undefined && number > expect.max) return `expected at most ${expect.max}, found ${number}`
  return undefined
}
