import type { Client } from "pg"
import { z } from "zod"
import { quoteName, quoteTable } from "../postgres/name.ts"
import type { RowSelection, Target } from "./contract.ts"

/** The temporary table of this session that holds the keys of a `listed` walk. */
export const listName = "nightshift_rows"

/** With a key a row is found again wherever an update has moved it; without one only where it was. */
export function joinList({ table }: RowSelection): string {
  if (table.primaryKey.length === 0) return "t.ctid = l.id"
  return table.primaryKey.map((column, at) => `t.${quoteName(column)} = l.k${at}`).join(" and ")
}

/** Writes the keys of all matching rows of a target to a temporary table of this session, from which batches of a `listed` walk take theirs. */
export async function listRows(client: Client, selection: RowSelection, target: Target): Promise<void> {
  const { table, condition, values, orderBy } = selection
  const keys =
    table.primaryKey.length === 0
      ? "t.ctid as id"
      : table.primaryKey.map((column, at) => `t.${quoteName(column)} as k${at}`).join(", ")
  await dropList(client)
  await client.query(
    `create temporary table ${listName} as select 0::bigint as position, ${keys} from only ${quoteTable(target)} t with no data`,
  )
  const order = orderBy.join(", ") || "t.ctid"
  await client.query(
    `insert into pg_temp.${listName}
     select row_number() over (order by ${order}), ${keys} from only ${quoteTable(target)} t where ${condition}`,
    values,
  )
  await client.query(`create unique index on pg_temp.${listName} (position)`)
  await client.query(`analyze pg_temp.${listName}`)
}

export async function dropList(client: Client): Promise<void> {
  await client.query(`drop table if exists pg_temp.${listName}`)
}

/** How many rows are in the list. */
export async function listSize(client: Client): Promise<number> {
  const { rows } = await client.query(`select coalesce(max(position), 0)::float8 as size from pg_temp.${listName}`)
  return z.object({ size: z.number() }).parse(rows[0]).size
}
