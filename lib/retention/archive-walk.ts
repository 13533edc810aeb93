import type { Client } from "pg"
import { quoteName, quoteTable, type TableName } from "../postgres/name.ts"
import { columnOf } from "../postgres/table.ts"
import { type TransactionOptions, withTransaction } from "../postgres/transaction.ts"
import type { RowSelection } from "./contract.ts"

/** Rows of one table of its own storage, in order, of which each part continues behind the one before. */
export type Walk = { selection: RowSelection; target: TableName; isListed: boolean }

/** Where a part ended: the order values of its last row as text, or its place in the list. */
export type Position = string[]

export type PartSize = { rows: number; plainBytes: number }

/** Rows of the part that was chosen last: where each was found, the version that it had, and its order values `o0`, `o1`, …  */
export const partTable = "pg_temp.nightshift_archive_part"
const listTable = "pg_temp.nightshift_archive_list"

/** Makes the server look rows up by their place rather than read the table once a part. */
export const preferPlaces = "set local random_page_cost = 0.1"

/** Makes the session's temporary tables for the rows of `target`; where no index gives their order, lists them all. Changes no other table. */
export async function openWalk(
  client: Client,
  selection: RowSelection,
  target: TableName,
  limits: TransactionOptions,
): Promise<Walk> {
  const isListed = selection.walk === "listed" || selection.table.primaryKey.length === 0
  const from = `from only ${quoteTable(target)} t`
  await closeWalk(client)
  await client.query(
    `create temporary table nightshift_archive_part as
       select 0 as ordinal, t.ctid as row_id, t.xmin::text as version, false as is_ours, 0::bigint as place${values(selection)}
       ${from} with no data`,
  )
  if (isListed) await withTransaction(client, limits, () => listRows(client, selection, from))
  return { selection, target, isListed }
}

async function listRows(client: Client, selection: RowSelection, from: string): Promise<void> {
  const order = [...selection.orderBy, "t.ctid"].join(", ")
  await client.query("create temporary table nightshift_archive_list (place bigint primary key, row_id tid not null)")
  await client.query(
    `insert into ${listTable} select row_number() over (order by ${order}), t.ctid ${from} where ${selection.condition}`,
    selection.values,
  )
  await client.query(`analyze ${listTable}`)
}

/** Leaves nothing of a walk in the session. */
export async function closeWalk(client: Client): Promise<void> {
  await client.query(`drop table if exists ${partTable}, ${listTable}`)
}

/**
 * Puts the next rows behind `after` into the table of the part, as many as `size` allows and at least one; returns how many there are. The
 * table must be empty.
 */
export async function choosePart(
  client: Client,
  { selection, target, isListed }: Walk,
  after: Position | undefined,
  size: PartSize,
): Promise<number> {
  const table = `only ${quoteTable(target)} t`
  const from = isListed ? `${listTable} l join ${table} on t.ctid = l.row_id` : table
  const order = isListed ? "l.place" : selection.orderBy.join(", ")
  const types = isListed ? ["bigint"] : selection.orderColumns.map((name) => columnOf(selection.table, name).type)
  const parameter = (index: number) => `$${selection.values.length + index + 1}`
  const bounds = types.map((type, index) => `${parameter(index + 2)}::${type}`)
  const { rowCount } = await client.query(
    `insert into ${partTable}
     select (row_number() over (order by rank))::integer, row_id, version, false, place${names(selection)}
       from (select *, sum(size) over (order by rank) - size as before
               from (select row_number() over (order by ${order}) as rank, t.ctid as row_id, t.xmin::text as version,
                            ${isListed ? "l.place" : "null::bigint"} as place, ${rowSize(selection)} as size${values(selection)}
                       from ${from}
                      where ${selection.condition} ${after ? `and (${order}) > (${bounds.join(", ")})` : ""}
                      order by ${order} limit ${parameter(0)}) found) sized
      where before < ${parameter(1)}`,
    [...selection.values, size.rows, size.plainBytes, ...(after ?? [])],
  )
  return rowCount ?? 0
}

/** Names of the order columns in the table of the part. */
export function orderNames({ orderColumns }: RowSelection): string[] {
  return orderColumns.map((_, index) => `o${index}`)
}

function names(selection: RowSelection): string {
  return orderNames(selection)
    .map((name) => `, ${name}`)
    .join("")
}

function values({ orderColumns }: RowSelection): string {
  return orderColumns.map((name, index) => `, t.${quoteName(name)} as o${index}`).join("")
}

/** About the bytes of a row in the file. Of long texts only their lengths are read; what is compressed inside of others counts as stored. */
function rowSize({ table }: RowSelection): string {
  const sizes = table.columns.map(({ name, baseType }) => {
    const column = `t.${quoteName(name)}`
    if (/^(text|character( varying)?)$/.test(baseType)) return `octet_length(${column})`
    return baseType === "bytea" ? `2 * octet_length(${column})` : `2 * pg_column_size(${column})`
  })
  return sizes.map((size) => `coalesce(${size}, 0) + 1`).join(" + ")
}
