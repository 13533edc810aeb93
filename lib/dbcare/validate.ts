import type { Client } from "pg"
import { z } from "zod"
import { formatCount } from "../core/size.ts"
import { quoteName, quoteTable, type TableName } from "../postgres/name.ts"
import { withTransaction } from "../postgres/transaction.ts"
import type { ActionResult, Violations } from "./actions.ts"
import type { ConstraintFacts } from "./maintenance-state.ts"

/** Rows that break a constraint are counted up to here. */
const countLimit = 1000

/** Queries that find the rows of a table which a NOT VALID constraint would refuse. */
export function violationQueries(table: TableName, constraint: ConstraintFacts): Violations {
  const where = constraint.kind === "c" ? `((${constraint.expression}) is false)` : brokenReference(constraint)
  const from = `from ${quoteTable(table)} r where ${where}`
  return {
    count: `select count(*) as count from (select 1 ${from} limit ${countLimit + 1}) broken`,
    show: `select r.* ${from} limit 100`,
  }
}

/** MATCH SIMPLE looks at rows without a null in the key, MATCH FULL wants all of it or nothing. */
function brokenReference({ columns, ofSchema, ofName, ofColumns, isMatchFull }: ConstraintFacts): string {
  const own = columns.map((column) => `r.${quoteName(column)}`)
  const parent = quoteTable({ schema: ofSchema ?? "", name: ofName ?? "" })
  const equal = ofColumns.map((column, index) => `p.${quoteName(column)} = ${own[index]}`).join(" and ")
  const isWhole = own.map((column) => `${column} is not null`).join(" and ")
  const dangling = `(${isWhole} and not exists (select from ${parent} p where ${equal}))`
  if (!isMatchFull || own.length < 2) return dangling
  return `(${dangling} or num_nulls(${own.join(", ")}) between 1 and ${own.length - 1})`
}

type Order = {
  statement: string
  constraint: { oid: string }
  violations: Violations
}

/**
 * Validates a constraint, unless rows stand against it: then it says how many, and how to see them. Counting is tried first, and given up
 * where the role may not read the tables or it takes over `countLimitMs`: the validation finds out as well.
 */
export async function validateConstraint(
  client: Client,
  { statement, constraint, violations }: Order,
  countLimitMs: number,
): Promise<ActionResult> {
  const count = await countViolations(client, violations, countLimitMs)
  if (count !== undefined && count > 0) return { end: "violated", detail: violatedText(count, violations) }
  try {
    await client.query(statement)
  } catch (error) {
    if (isViolation(error)) return { end: "violated", detail: violatedText(undefined, violations) }
    throw error
  }
  const { rows } = await client.query("select convalidated as valid from pg_constraint where oid = $1", [
    constraint.oid,
  ])
  const [found] = z.array(z.object({ valid: z.boolean() })).parse(rows)
  if (found?.valid) return { end: "done", detail: "validated: all rows keep it" }
  return { end: "failed", detail: "it was validated without an error, and is still NOT VALID" }
}

/** `undefined` where it cannot be told. */
async function countViolations(client: Client, { count }: Violations, limitMs: number): Promise<number | undefined> {
  try {
    const limits = { readOnly: true, statementTimeoutMs: limitMs, lockTimeoutMs: limitMs }
    const { rows } = await withTransaction(client, limits, async () => {
      await client.query("set local row_security = off") // rows that a policy hides would be counted as kept
      return client.query(count)
    })
    return z.object({ count: z.coerce.number() }).parse(rows[0]).count
  } catch (error) {
    if (error instanceof Error && "code" in error && uncountable.includes(String(error.code))) return undefined
    throw error
  }
}

/** May not read, may not read past row security, took too long, waited too long for a lock. */
const uncountable = ["42501", "57014", "55P03"]

function isViolation(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "23503" || error.code === "23514")
}

function violatedText(count: number | undefined, { show }: Violations): string {
  const rows =
    count === undefined
      ? "rows break"
      : count > countLimit
        ? `more than ${formatCount(countLimit)} rows break`
        : count === 1
          ? "1 row breaks"
          : `${formatCount(count)} rows break`
  return `${rows} it, so it was not validated: correct or remove them; this shows them: ${show}`
}
