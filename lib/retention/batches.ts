import type { Client } from "pg"
import { z } from "zod"
import type { CellValue } from "../config/cell-value.ts"
import { quoteTable, renderTableName } from "../postgres/name.ts"
import { blockedCountSql } from "../postgres/pressure.ts"
import type { Table } from "../postgres/table.ts"
import type { RowSelection, Target, Twins } from "./contract.ts"
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
  /** Not one row more than `rows`, whoever adds some meanwhile. */
  isExact: boolean
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
    selection.asksElsewhere !== true &&
    !waitsForLocks
  )
}

const boundRow = z.object({ last: z.array(z.string()) })
const endRow = z.object({ transaction: z.string(), waiting: z.number() })

/**
 * Deletes in one statement, a third of the work of locking rows first. It begins with where the batch ends, so that nothing has to be kept
 * or sorted. Where somebody has locked one of the rows it starts again and leaves that out, as it does where no row may be too many.
 */
async function deleteAtOnce(client: Client, order: BatchOrder): Promise<Batch> {
  const { selection, target, cursor, rows: limit } = order
  const { condition, orderBy, values } = selection
  const columns = orderBy.join(", ")
  const table = `only ${quoteTable(target)} t`
  const after = [...values, ...(cursor.behind ?? [])]
  const lower = behindCursor(order)
  const { rows } = await client.query(
    `select array[${orderBy.map((column) => `${column}::text`).join(", ")}] as last from ${table} where ${condition} ${lower}
      order by ${columns} offset ${limit - 1} limit 1`,
    after,
  )
  const [bound] = z.array(boundRow).parse(rows)
  const upper = bound ? `and (${columns}) <= (${parametersOf(selection, after.length - values.length)})` : ""
  const range = `${condition} ${lower} ${upper}`
  const locked = `select t.ctid from ${table} where ${range} order by ${columns} limit ${limit} ${lockClause(order)}`
  const parameters = [...after, ...(bound?.last ?? [])]
  const direct = order.isExact
    ? undefined
    : await unlessLocked(client, `delete from ${table} where ${range}`, parameters)
  const changed =
    direct ??
    (await client.query(`delete from ${table} where t.ctid = any(array(${locked}))`, parameters)).rowCount ??
    0
  const end = await client.query(`select pg_current_xact_id()::text as transaction, ${blockedCountSql} as waiting`)
  const batch = { picked: changed, changed, ...endRow.parse(end.rows[0]) }
  return bound ? { ...batch, next: { behind: bound.last } } : batch
}

/** Returns how many rows a statement changed, by the index; `undefined`, with nothing changed, when it would have to wait for a lock. */
async function unlessLocked(client: Client, sql: string, values: unknown[]): Promise<number | undefined> {
  await client.query(
    "savepoint direct; set local lock_timeout = '10ms'; set local enable_seqscan = off; set local enable_bitmapscan = off",
  )
  try {
    return (await client.query(sql, values)).rowCount ?? 0
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "55P03")) throw error
    await client.query("rollback to savepoint direct")
    return undefined
  }
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
  const stays =
    change.kind === "delete" && selection.twins ? await lockTwins(client, order, selection.twins, ids) : null
  const isRepeated = stays && selection.twins ? `and ${repeats(selection.twins, stays, parameters)}` : ""
  // From a query of its own: the planner would look at each of the constants.
  const which = `t.ctid = any(array(select unnest(${parameters.add(ids, "tid[]")}))) and ${condition} ${isRepeated}`
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

/** Places of rows in the tables that hold them, as texts of arrays. */
type Places = { tables: string; rows: string }
const placesRow = z.object({ tables: z.string(), rows: z.string() })

/**
 * Locks, for each of the picked rows, the one of its group that stays: had others deleted it, or changed it, the picked ones would be the
 * last that say so. One that others have locked is left out, and its group stays as it is.
 */
async function lockTwins(client: Client, order: BatchOrder, twins: Twins, ids: string): Promise<Places> {
  const { rows } = await client.query(
    `select coalesce(array_agg(place), '{}')::text as tables, coalesce(array_agg(id), '{}')::text as rows from (
       select o.place, o.id
         from (select distinct ${twins.columns.join(", ")} from only ${quoteTable(order.target)} t
                where t.ctid = any(array(select unnest($1::tid[])))) t
        cross join lateral (
          select o.tableoid as place, o.ctid as id from ${twins.rows} o where ${twins.isTwin}
           order by ${twins.bestFirst} limit 1 for share of o${order.waitsForLocks ? "" : " skip locked"}) o) best`,
    [ids],
  )
  return placesRow.parse(rows[0])
}

/** Condition on `t`: a better row with the same values is among those that are locked. */
function repeats({ rows, isTwin, isBetter }: Twins, places: Places, parameters: Parameters): string {
  const tables = parameters.add(places.tables, "oid[]")
  const ids = parameters.add(places.rows, "tid[]")
  const locked = `
    select o.* from ${rows} o where o.ctid = any(array(select unnest(${ids})))
       and (o.tableoid, o.ctid) in (select * from unnest(${tables}, ${ids})) offset 0`
  return `exists (select from (${locked}) o where ${isTwin} and ${isBetter})`
}

function cellsSql(table: Table, cells: Record<string, CellValue>, parameters: Parameters): string {
  const { assignments } = assignmentsOf(table, cells, parameters)
  return assignments.map(({ column, sql }) => `${column} = ${sql}`).join(", ")
}
