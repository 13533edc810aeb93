import { createHash } from "node:crypto"
import type { Client } from "pg"
import { z } from "zod"
import { formatBytes, formatCounted } from "../core/size.ts"
import { quoteName, quoteTable, renderTableName, type TableName } from "../postgres/name.ts"
import type { ForeignKey, Table } from "../postgres/table.ts"
import { allBranches, type Branch } from "./cascade.ts"

/** From here on reading a whole table in every batch is too much. */
const large = { rows: 100_000, bytes: 64 * 1024 * 1024 }

export function isLarge({ estimatedRows, bytes }: { estimatedRows: number; bytes: number }): boolean {
  return estimatedRows > large.rows || bytes > large.bytes
}

type Node = {
  "Node Type": string
  "Relation Name"?: string | undefined
  Schema?: string | undefined
  Plans?: Node[] | undefined
}
const node: z.ZodType<Node> = z.lazy(() =>
  z.looseObject({
    "Node Type": z.string(),
    "Relation Name": z.string().optional(),
    Schema: z.string().optional(),
    Plans: z.array(node).optional(),
  }),
)
const explained = z.array(z.looseObject({ "QUERY PLAN": z.array(z.looseObject({ Plan: node })).min(1) })).min(1)
const lineRow = z.object({ "QUERY PLAN": z.string() })

export type Explained = {
  statement: string
  lines: string[]
  /** Tables that would be read from end to end. */
  scanned: TableName[]
}

/** How the server would run a statement, and which tables it would read from end to end. Runs nothing. */
export async function explain(client: Client, statement: string, values: unknown[]): Promise<Explained> {
  const { rows } = await client.query(`explain (verbose, format json) ${statement}`, values)
  const [first] = explained.parse(rows)
  const text = await client.query(`explain ${statement}`, values)
  const lines = z
    .array(lineRow)
    .parse(text.rows)
    .map((row) => row["QUERY PLAN"])
  const nodes = first?.["QUERY PLAN"].flatMap(({ Plan }) => allNodes(Plan)) ?? []
  const tablesOf = (found: Node[]) =>
    found.map((one) => ({ schema: one.Schema ?? "", name: one["Relation Name"] ?? "" }))
  return {
    statement,
    lines,
    scanned: tablesOf(nodes.filter((one) => one["Node Type"] === "Seq Scan")),
  }
}

function allNodes(plan: Node): Node[] {
  return [plan, ...(plan.Plans ?? []).flatMap(allNodes)]
}

const sizeRow = z.object({ schema: z.string(), name: z.string(), estimatedRows: z.number(), bytes: z.number() })

/** Those of the tables that are too large to be read from end to end. */
export async function largeOnes(client: Client, tables: readonly TableName[]): Promise<z.output<typeof sizeRow>[]> {
  const { rows } = await client.query(
    `select n.nspname as schema, c.relname as name, c.reltuples::float8 as "estimatedRows", pg_catalog.pg_table_size(c.oid)::float8 as bytes
       from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where (n.nspname, c.relname) in (select * from unnest($1::text[], $2::text[]))`,
    [tables.map(({ schema }) => schema), tables.map(({ name }) => name)],
  )
  return z.array(sizeRow).parse(rows).filter(isLarge)
}

/** What a batch would read from end to end, with the index that saves it. */
export function scanRefusal(
  scanned: { schema: string; name: string; estimatedRows: number; bytes: number },
  index: { table: Table; columns: readonly string[] } | undefined,
): string {
  const rows = scanned.estimatedRows < 0 ? "" : `${formatCounted(scanned.estimatedRows, "row")}, `
  const what = `each batch would read ${renderTableName(scanned)} from end to end (${rows}${formatBytes(scanned.bytes)})`
  if (!index) return `${what}: give the columns that \`where\` asks for an index`
  return `${what}: ${indexAdvice(index.table, index.columns)}`
}

/** A large table in which rows are looked up by these columns, and that has no index which begins with one of them. */
export function lookupRefusal(table: Table, columns: readonly string[]): string[] {
  if (!isLarge(table)) return []
  const serves = table.indexes.some(
    ({ columns: [first], isValid, isPartial }) => isValid && !isPartial && first != null && columns.includes(first),
  )
  const { schema, name, estimatedRows, bytes } = table
  return serves ? [] : [scanRefusal({ schema, name, estimatedRows, bytes }, { table, columns })]
}

/** Foreign keys of large tables without an index: each deleted row would read such a table from end to end. */
export function unindexedKeys(branches: readonly Branch[]): string[] {
  const keys = allBranches(branches).filter(
    ({ key }) => !key.hasIndex && isLarge({ estimatedRows: key.fromEstimatedRows, bytes: key.fromBytes }),
  )
  const unique = new Map(keys.map((branch) => [`${renderTableName(branch.key.from)} ${branch.key.name}`, branch]))
  return [...unique.values()].map(({ key, table }) => unindexedKey(key, table))
}

function unindexedKey({ name, from, columns, fromBytes }: ForeignKey, table: Table): string {
  return `the foreign key ${name} of ${renderTableName(from)} (${formatBytes(fromBytes)}) has no index, so that each deleted row would read that table from end to end: ${indexAdvice(table, columns)}`
}

/** The statement that makes an index while others work, and the one that takes it away. */
export function indexAdvice(table: Table, columns: readonly string[]): string {
  const name = indexName(table.name, columns)
  const on = `${quoteTable(table)} (${columns.map(quoteName).join(", ")})`
  const drop = `${quoteName(table.schema)}.${quoteName(name)}`
  if (table.kind === "partitioned table")
    return `run: create index ${quoteName(name)} on ${on} (which keeps writers out meanwhile; undo: drop index ${drop})`
  return `run: create index concurrently ${quoteName(name)} on ${on} (undo: drop index concurrently ${drop})`
}

const maxNameBytes = 63

function indexName(table: string, columns: readonly string[]): string {
  const name = `${table}_${columns.join("_")}_idx`
  if (Buffer.byteLength(name) <= maxNameBytes) return name
  return `idx_${createHash("sha256").update(name).digest("hex").slice(0, 16)}`
}
