import { type Client, escapeIdentifier } from "pg"
import { z } from "zod"
import type { TableFacts } from "./proof.ts"

/** A relation whose rows are counted and hashed. */
export type ProvenRelation = {
  oid: string
  schema: string
  name: string
  kind: TableFacts["kind"]
  isPopulated?: boolean
}

export type Column = { name: string; typeSchema: string; typeName: string; typeKind: string; send: string }

const columnRow = z.object({
  relation: z.string(),
  name: z.string(),
  typeSchema: z.string(),
  typeName: z.string(),
  typeKind: z.string(),
  send: z.string(),
})

/** Server versions before 14 have no hash of a record. */
export const oldestHashableMajor = 14

/** Everything that turns a value into other bytes on another day or machine, pinned. */
const pinnedSettings = {
  DateStyle: "ISO, YMD",
  TimeZone: "UTC",
  IntervalStyle: "postgres",
  extra_float_digits: "3",
  bytea_output: "hex",
  lc_monetary: "C",
  search_path: "",
  client_encoding: "UTF8",
  xmloption: "content",
  row_security: "off",
  quote_all_identifiers: "off",
  max_parallel_workers_per_gather: "0",
}

/** Pins the session so that equal rows give equal hashes, here and in the restored copy. */
export async function pinSettings(client: Client): Promise<void> {
  const calls = Object.entries(pinnedSettings).map(([name, value]) => `set_config('${name}', '${value}', false)`)
  await client.query(`select ${calls.join(", ")}`)
}

/** Columns of the given relations by oid, in an order that a restore keeps: by name. */
export async function readColumns(client: Client, oids: readonly string[]): Promise<Map<string, Column[]>> {
  const { rows } = await client.query(
    `select a.attrelid::text as relation, a.attname as name, n.nspname as "typeSchema", t.typname as "typeName",
            t.typtype as "typeKind", t.typsend::oid::regproc::text as send
       from pg_catalog.pg_attribute a
       join pg_catalog.pg_type t on t.oid = a.atttypid
       join pg_catalog.pg_namespace n on n.oid = t.typnamespace
      where a.attrelid = any($1::oid[]) and a.attnum > 0 and not a.attisdropped
      order by a.attrelid, a.attname collate "C"`,
    [oids],
  )
  const columns = new Map<string, Column[]>(oids.map((oid) => [oid, []]))
  for (const row of rows) {
    const column = columnRow.parse(row)
    columns.get(column.relation)?.push(column)
  }
  return columns
}

/**
 * The statement that counts a relation and, with `columns`, hashes its content without regard to the order of rows.
 *
 * Each row becomes a record of its columns' binary forms, the record a 64-bit hash, and each hash is mixed once more
 * before it is summed: record hashes alone combine linearly, and a value that moved from one row to another would not show.
 */
export function factsQuery(source: string, columns: readonly Column[] | undefined): string {
  if (!columns) return `select count(*)::text as rows from ${source} x`
  const record = `row(${columns.map(columnExpression).join(", ")})`
  const mixed = `hashint4extended(0, hash_record_extended(${record}, 0))`
  return `select count(*)::text as rows, coalesce(sum(${mixed}), 0)::text as hash from ${source} x`
}

/** The `from` item that yields exactly the relation's own rows. */
export function rowsOf(relation: ProvenRelation): string {
  const name = `${escapeIdentifier(relation.schema)}.${escapeIdentifier(relation.name)}`
  return relation.kind === "table" ? `only ${name}` : name
}

function columnExpression(column: Column): string {
  const value = `x.${escapeIdentifier(column.name)}`
  if (column.typeKind === "e") return `enum_send(${value})`
  if (column.typeSchema === "pg_catalog" && column.typeKind === "b") {
    if (column.typeName === "bytea") return value
    if (hasStableSend(column)) return `${column.send}(${value})`
  }
  return `(${value})::text collate "C"`
}

/** Binary forms of arrays hold type ids and those of `reg…` types hold object ids: both change on restore. */
function hasStableSend(column: Column): boolean {
  return column.send !== "-" && column.send !== "array_send" && !column.typeName.startsWith("reg")
}
