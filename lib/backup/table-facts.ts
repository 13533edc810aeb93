import { type Client, escapeIdentifier } from "pg"
import { z } from "zod"
import { pinnedSettings } from "../postgres/pinned-settings.ts"
import type { TableFacts } from "./proof.ts"

/** A relation whose rows are counted and hashed. */
export type ProvenRelation = {
  oid: string
  schema: string
  name: string
  kind: TableFacts["kind"]
  isPopulated?: boolean
  extension?: string
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

/** What turns a value into other bytes, and what reads it in another order. */
const hashSettings = {
  ...pinnedSettings,
  client_encoding: "UTF8",
  quote_all_identifiers: "off",
  max_parallel_workers_per_gather: "0",
}

/** Pins the session so that equal rows give equal hashes, here and in the restored copy. */
export async function pinSettings(client: Client): Promise<void> {
  const calls = Object.entries(hashSettings).map(([name, value]) => `set_config('${name}', '${value}', false)`)
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

/** The value in a form whose hash is equal for equal values and depends on no session setting, encoding or object id. */
function columnExpression({ name, typeSchema, typeName, typeKind, send }: Column): string {
  const value = `x.${escapeIdentifier(name)}`
  if (typeKind === "e") return `enum_send(${value})`
  if (typeSchema !== "pg_catalog" || typeKind !== "b" || retold.has(typeName)) return outputText(value)
  if (typeName === "bytea") return value
  if (floats.has(typeName)) return `${send}(case when ${value} = 'NaN' then 'NaN' else ${value} end)`
  return fixedForms.has(typeName) ? `${send}(${value})` : `${value}::text collate "C"`
}

/** Types whose cast to text says other things than a dump does: it drops the blanks of `char(n)` and keeps the declaration of XML. */
const retold = new Set(["bpchar", "xml"])

/** What the type itself prints. A cast to text may be the team's own, and say less. */
function outputText(value: string): string {
  return `case when num_nulls(${value}) = 0 then format('%s', ${value}) end collate "C"`
}

/** NaN has several bit patterns, and a restore keeps one of them. */
const floats = new Set(["float4", "float8"])

/**
 * Types whose binary form is the value and nothing else: the fast way. Not among them is what holds object ids (arrays, `reg…`), what
 * is sent in the client's encoding, and what is made of floats.
 */
const fixedForms = new Set(
  [
    "bool char int2 int4 int8 numeric money oid uuid bit varbit",
    "date time timetz timestamp timestamptz interval",
    "inet cidr macaddr macaddr8 pg_lsn",
  ].flatMap((names) => names.split(" ")),
)
