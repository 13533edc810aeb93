import type { Client } from "pg"
import { z } from "zod"
import { quoteTable, renderTableName } from "../postgres/name.ts"
import { columnOf, type Table } from "../postgres/table.ts"
import type { PlannedPartition } from "./contract.ts"
import { countRows } from "./count.ts"

const keyRow = z.object({ strategy: z.string(), columns: z.array(z.string().nullable()) })

/** Why whole partitions of the table cannot be told old by this column; empty when they can. */
export async function partitioningProblems(client: Client, table: Table, column: string): Promise<string[]> {
  const title = `table ${renderTableName(table)}`
  if (table.kind !== "partitioned table")
    return [`${title} has no partitions to drop or detach: use the action "delete", or "archive"`]
  const { rows } = await client.query(
    `select p.partstrat::text as strategy,
            (select json_agg(a.attname order by k.position) from unnest(p.partattrs::int2[]) with ordinality k(number, position)
               left join pg_catalog.pg_attribute a on a.attrelid = p.partrelid and a.attnum = k.number and k.number <> 0) as columns
       from pg_catalog.pg_partitioned_table p where p.partrelid = $1`,
    [table.oid],
  )
  const { strategy, columns } = keyRow.parse(rows[0])
  if (strategy !== "r")
    return [
      `${title} is partitioned by ${strategy === "l" ? "list" : "hash"}, which tells no age: use the action "delete"`,
    ]
  if (columns.length === 1 && columns[0] === column) return []
  const key = columns.map((name) => name ?? "an expression").join(", ")
  const advice = columns.length === 1 && columns[0] ? `set column to ${JSON.stringify(columns[0])}, or use` : "use"
  return [`${title} is partitioned by ${key}, not by ${column} alone: ${advice} the action "delete"`]
}

const partitionRow = z.object({
  oid: z.string(),
  schema: z.string(),
  name: z.string(),
  bounds: z.string(),
  bytes: z.number(),
  estimatedRows: z.number(),
})

/**
 * Direct partitions with all their rows before the cutoff, oldest first: their upper bound, which is exclusive, is not after it. Never the
 * default one, nor one without an upper bound.
 */
export async function oldPartitions(
  client: Client,
  table: Table,
  { column, timezone, cutoff }: { column: string; timezone: string; cutoff: Date },
): Promise<PlannedPartition[]> {
  const type = columnOf(table, column).baseType
  const isOld = {
    date: "upper::date <= ($2::timestamptz at time zone $3)::date",
    "timestamp with time zone": "upper::timestamptz <= $2::timestamptz and $3::text is not null",
    "timestamp without time zone":
      "upper::timestamp at time zone $3 <= $2::timestamptz and upper::timestamp <= ($2::timestamptz at time zone $3)",
  }[type]
  if (isOld === undefined) throw new Error(`column ${column} is of type ${type}, which is no time`)
  const { rows } = await client.query(
    `with parts as materialized (
       select c.oid, n.nspname as schema, c.relname as name, pg_catalog.pg_get_expr(c.relpartbound, c.oid) as bounds,
              substring(pg_catalog.pg_get_expr(c.relpartbound, c.oid) from $q$ TO \\('([^']+)'\\)$$q$) as upper
         from pg_catalog.pg_inherits i
         join pg_catalog.pg_class c on c.oid = i.inhrelid
         join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where i.inhparent = $1::oid)
     select oid::text, schema, name, bounds,
            (select coalesce(sum(pg_catalog.pg_table_size(f.relid)), 0)::float8 from pg_catalog.pg_partition_tree(oid::regclass) f) as bytes,
            (select coalesce(case when bool_or(l.reltuples < 0) then -1 else sum(l.reltuples) end, -1)::float8
               from pg_catalog.pg_partition_tree(parts.oid::regclass) f join pg_catalog.pg_class l on l.oid = f.relid where f.isleaf) as "estimatedRows"
       from parts where upper is not null and ${isOld}
      order by upper::timestamp, name`,
    [table.oid, cutoff.toISOString(), timezone],
  )
  const partitions: PlannedPartition[] = []
  for (const { estimatedRows, ...partition } of z.array(partitionRow).parse(rows)) {
    const { rows: count } = await countRows(client, { ...partition, estimatedRows })
    partitions.push({ ...partition, parent: { schema: table.schema, name: table.name }, rows: count })
  }
  return partitions
}

/** How many rows of a partition pass a condition on `t`. */
export async function countIn(
  client: Client,
  partition: PlannedPartition,
  condition: string,
  values: readonly unknown[],
): Promise<number> {
  const sql = `select count(*)::float8 as count from ${quoteTable(partition)} t where ${condition}`
  const { rows } = await client.query(sql, [...values])
  return z.object({ count: z.number() }).parse(rows[0]).count
}
