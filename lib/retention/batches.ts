import type { Client } from "pg"
import { z } from "zod"
import type { CellValue } from "../config/cell-value.ts"
import { quoteTable, renderTableName } from "../postgres/name.ts"
import { blockedCountSql } from "../postgres/pressure.ts"
import type { Table } from "../postgres/table.ts"
import type { RowSelection, Target } from "./contract.ts"
import { joinList, listName, listSize } from "./list-rows.ts"
import { newParameters, type Parameters } from "./parameters.ts"
import { assignmentsOf } from "./select-rows.ts"

/** What becomes of the rows: they are deleted, or columns of them are set. */
export type Change = { kind: "delete" } | { kind: "set"; cells: Record<string, CellValue> }

/** Where a walk through a target is: behind which row, as texts of its order columns, or how far in the list. */
export type Cursor = { behind?: string[]; listed?: number }

export type BatchOrder = {
  selection: RowSelection
  target: Target
  change: Change
  cursor: Cursor
  rows: number
  /** Waits for rows that others have locked, instead of leaving them out. */
  waitsForLocks: boolean
}

export type Batch = {
  /** Rows that were found and locked; fewer were changed when some matched no longer, or a trigger kept them. */
  picked: number
  changed: number
  /** Sessions that waited for this one before it committed. */
  waiting: number
  /** Where the next batch goes on; absent when this was the last one of the walk. */
  next?: Cursor
  /** The transaction, to ask for its end should the connection be lost meanwhile. */
  transaction: string
}

/** Takes one batch inside of the transaction that the caller opened, and whose locks and statements it limits. */
export async function takeBatch(client: Client, order: BatchOrder): Promise<Batch> {
  await guard(client, order)
  if (isSelfContained(order)) return deleteAtOnce(client, order)
  const { rows, ...picked } = await pick(client, order)
  const count = { picked: picked.count, changed: 0, waiting: 0, transaction: picked.transaction }
  const next = picked.next === undefined ? {} : { next: picked.next }
  if (rows === null) return { ...count, ...next }
  return { ...count, ...(await change(client, order, rows)), ...next }
}

/**
 * Whether the condition asks for nothing but the row and the holds, which cannot change once both are locked. What other tables say may
 * change between the look at them and the lock, and must be asked again, by a statement that sees it.
 */
function isSelfContained({ selection, change, waitsForLocks }: BatchOrder): boolean {
  const { walk, table, orderBy } = selection
  return (
    change.kind === "delete" &&
    walk === "ordered" &&
    orderBy.length > 0 &&
    table.incoming.length === 0 &&
    !waitsForLocks
  )
}

const boundRow = z.object({ last: z.array(z.string()) })
const endRow = z.object({ transaction: z.string(), waiting: z.number() })

/**
 * Locks and deletes in one statement, in half the time: first asks where the batch ends, so that nothing of it has to be kept or sorted. A
 * row that was changed just before its lock is left to the next walk.
 */
async function deleteAtOnce(client: Client, order: BatchOrder): Promise<Batch> {
  const { selection, target, cursor, rows: limit } = order
  const { condition, orderBy, values } = selection
  const table = `only ${quoteTable(target)} t`
  const lower = behindCursor(order)
  const { rows } = await client.query(
    `select array[${orderBy.map((column) => `${column}::text`).join(", ")}] as last from ${table} where ${condition} ${lower}
      order by ${orderBy.join(", ")} offset ${limit - 1} limit 1`,
    [...values, ...(cursor.behind ?? [])],
  )
  const [bound] = z.array(boundRow).parse(rows)
  const upper = bound
    ? `and (${orderBy.join(", ")}) <= (${parametersOf(selection, cursor.behind ? orderBy.length : 0)})`
    : ""
  const { rowCount } = await client.query(
    `delete from ${table} where t.ctid = any(array(
       select t.ctid from ${table} where ${condition} ${lower} ${upper} limit ${limit} ${lockClause(order)}))`,
    [...values, ...(cursor.behind ?? []), ...(bound?.last ?? [])],
  )
  const changed = rowCount ?? 0
  const end = await client.query(`select pg_current_xact_id()::text as transaction, ${blockedCountSql} as waiting`)
  const batch = { picked: changed, changed, ...endRow.parse(end.rows[0]) }
  return bound ? { ...batch, next: { behind: bound.last } } : batch
}

/** Continues behind the row where the walk is; its values come behind those of the selection. */
function behindCursor({ selection, cursor }: BatchOrder): string {
  if (!cursor.behind || cursor.behind.length === 0) return ""
  return `and (${selection.orderBy.join(", ")}) > (${parametersOf(selection, 0)})`
}

/** A parameter for each order column, behind those of the selection and `skip` others. */
function parametersOf(selection: RowSelection, skip: number): string {
  const first = selection.values.length + skip + 1
  return selection.orderBy.map((_, at) => `$${first + at}::${typeOf(selection, at)}`).join(", ")
}

const guarded = z.object({ holdsExist: z.boolean(), oid: z.string().nullable() })

/**
 * A hold that is being placed is waited for, and none can be placed before this batch is over. The table must be the one of the plan. The
 * server compiles nothing: that takes longer than what a batch has to compute.
 */
async function guard(client: Client, { selection, target }: BatchOrder): Promise<void> {
  const { rows } = await client.query(
    `select to_regclass('ops.legal_hold') is not null as "holdsExist", to_regclass($1)::oid::text as oid,
            set_config('jit', 'off', true)`,
    [quoteTable(target)],
  )
  const { holdsExist, oid } = guarded.parse(rows[0])
  if (oid === null) throw new Error(`table ${renderTableName(target)} is gone since this run was planned`)
  if (oid !== target.oid)
    throw new Error(`table ${renderTableName(target)} was replaced since this run was planned: the next run plans anew`)
  if (holdsExist !== selection.hasHolds)
    throw new Error("ops.legal_hold was made or removed since this run was planned: the next run plans anew")
  if (holdsExist) await client.query("lock table ops.legal_hold in share mode")
}

type Picked = { count: number; rows: string | null; next?: Cursor; transaction: string }

const pickedRow = z.object({
  count: z.number(),
  rows: z.string().nullable(),
  last: z.array(z.string()).nullable(),
  transaction: z.string(),
})

/** The rows come and go as one text: nothing here has to look into it. */
async function pick(client: Client, order: BatchOrder): Promise<Picked> {
  const { selection, cursor, rows: limit } = order
  const listed = selection.walk === "listed"
  const { text, values } = listed ? pickListed(order) : pickOrdered(order)
  const { rows } = await client.query(text, values)
  const { count, rows: ids, last, transaction } = pickedRow.parse(rows[0])
  const picked = { count, rows: ids, transaction }
  if (listed) {
    const from = cursor.listed ?? 0
    const size = await listSize(client)
    return from + limit >= size ? picked : { ...picked, next: { listed: from + limit } }
  }
  return last === null || count < limit ? picked : { ...picked, next: { behind: last } }
}

const lockClause = ({ waitsForLocks }: BatchOrder) => `for update of t${waitsForLocks ? "" : " skip locked"}`
const aggregated = `count(*)::int as count, array_agg(id)::text as rows, pg_current_xact_id()::text as transaction`

function pickOrdered(order: BatchOrder): { text: string; values: unknown[] } {
  const { text, values } = ordered(order)
  return { text: `select ${aggregated}, ${lastOf(order)} as last from (${text}) picked`, values }
}

/** The next rows behind the cursor, locked, with their places and their order values `o0`, `o1`, …. */
function ordered(order: BatchOrder): { text: string; values: unknown[] } {
  const { selection, target, cursor, rows: limit } = order
  const { condition, orderBy, values } = selection
  return {
    text: `
      select t.ctid as id${orderBy.map((column, at) => `, ${column} as o${at}`).join("")}
        from only ${quoteTable(target)} t
       where ${condition} ${behindCursor(order)}
       order by ${orderBy.join(", ") || "t.ctid"}
       limit ${limit} ${lockClause(order)}`,
    values: [...values, ...(cursor.behind ?? [])],
  }
}

/** The order values of the last row as texts; null where there is no row, or no order. */
function lastOf({ selection: { orderBy } }: BatchOrder): string {
  const last = orderBy.map((_, at) => `(array_agg(o${at}))[count(*)]::text`)
  return last.length === 0 ? "null::text[]" : `case when count(*) > 0 then array[${last.join(", ")}] end`
}

function typeOf({ table, orderColumns }: RowSelection, at: number): string {
  const column = table.columns.find(({ name }) => name === orderColumns[at])
  if (!column) throw new Error(`table ${renderTableName(table)} has no column ${JSON.stringify(orderColumns[at])}`)
  return column.type
}

function pickListed(order: BatchOrder): { text: string; values: unknown[] } {
  const { selection, target, cursor, rows: limit } = order
  const from = cursor.listed ?? 0
  const at = selection.values.length
  return {
    text: `
      select ${aggregated}, null::text[] as last
        from (
        select t.ctid as id
          from (select * from pg_temp.${listName} where position > $${at + 1} and position <= $${at + 2} order by position) l
          join only ${quoteTable(target)} t on ${joinList(selection)}
         where ${selection.condition} ${lockClause(order)}) picked`,
    values: [...selection.values, from, from + limit],
  }
}

/** Evaluated anew: a row that is held, referred to or changed since it was picked stays. */
async function change(client: Client, order: BatchOrder, ids: string): Promise<{ changed: number; waiting: number }> {
  const { selection, target, change } = order
  const { condition, table } = selection
  const parameters = newParameters(selection.values)
  // From a query of its own: the planner would look at each of the constants.
  const which = `t.ctid = any(array(select unnest(${parameters.add(ids, "tid[]")}))) and ${condition}`
  const from = `only ${quoteTable(target)} t`
  const verb =
    change.kind === "delete"
      ? `delete from ${from} where ${which} returning false as stays`
      : `update ${from} set ${cellsSql(table, change.cells, parameters)} where ${which} returning ${condition} is true as stays`
  const { rows } = await client.query(
    `with changed as (${verb})
     select count(*)::int as changed, count(*) filter (where stays)::int as stay, ${blockedCountSql} as waiting from changed`,
    parameters.values,
  )
  const { stay, ...done } = z.object({ changed: z.number(), stay: z.number(), waiting: z.number() }).parse(rows[0])
  if (stay === 0) return done
  throw new Error(
    `${stay} rows of ${renderTableName(target)} would still match after they are set, and be set again for ever: let \`where\` leave out rows that are done`,
  )
}

function cellsSql(table: Table, cells: Record<string, CellValue>, parameters: Parameters): string {
  const { assignments } = assignmentsOf(table, cells, parameters)
  return assignments.map(({ column, sql }) => `${column} = ${sql}`).join(", ")
}
