import { z } from "zod"
import { formatBytes, formatCounted } from "../core/size.ts"
import type { CareCheck, CareSample } from "./check.ts"
import { ask, isOfTeam, ownBytes } from "./team-relations.ts"
import { outcomeAt, type Weighed, worstFirst } from "./worst-first.ts"

const sampledTables = 20
const dayMs = 86_400_000
const weekDays = 7

const tableRow = z.object({
  schema: z.string(),
  name: z.string(),
  bytes: z.coerce.number(),
  indexBytes: z.coerce.number(),
  toastBytes: z.coerce.number(),
  rows: z.coerce.number(),
  partitions: z.coerce.number(),
})

type SizedTable = z.output<typeof tableRow>

/** Tables that are large, and how fast they grow. */
export const tableSizesCheck: CareCheck = {
  name: "table-sizes",
  about: "large tables with their indexes and partitions, and what they grew by in a week",
  needs: "nothing",
  unit: "bytes of a table with all that belongs to it",
  threshold: { warn: 1_000_000_000 },
  severity: "P3",
  async run({ client, earlier, now }, threshold) {
    const tables = await ask(client, tableRow, query)
    const numbers = Object.fromEntries(tables.slice(0, sampledTables).map((table) => [bytesNumber(table), table.bytes]))
    const found = tables.flatMap((table): Weighed[] => {
      const outcome = outcomeAt(table.bytes, threshold)
      return outcome ? [describe(table, growthOf(bytesNumber(table), table.bytes, earlier, now), outcome)] : []
    })
    return worstFirst(tables.length, found, { numbers })
  },
}

/**
 * Everything that takes space counts to the table that it belongs to: indexes, toast and its index, partitions. Opening a relation to measure it
 * costs the server most: for tables of less than 1 MB their indexes count as the last VACUUM or ANALYZE found them, and so do those of toast.
 */
const query = `
  with block as (select pg_catalog.current_setting('block_size')::bigint as bytes),
  parts as materialized (
    select c.oid, coalesce(pg_catalog.pg_partition_root(c.oid)::pg_catalog.oid, c.oid) as root, c.relispartition, c.reltuples,
           c.reltoastrelid, ${ownBytes("c")} as bytes
      from pg_catalog.pg_class c
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p', 'm') and ${isOfTeam}),
  pieces as (
    select root, bytes, 'table' as kind from parts
    union all
    select p.root, case when p.bytes >= 1048576 then ${ownBytes("i")} else i.relpages * block.bytes end, 'index'
      from parts p join pg_catalog.pg_index x on x.indrelid = p.oid join pg_catalog.pg_class i on i.oid = x.indexrelid, block
    union all
    select p.root, ${ownBytes("t")}, 'toast' from parts p join pg_catalog.pg_class t on t.oid = p.reltoastrelid
     where p.bytes > 0 or t.relpages > 0
    union all
    select p.root, i.relpages * block.bytes, 'toast' from parts p
      join pg_catalog.pg_index x on x.indrelid = p.reltoastrelid join pg_catalog.pg_class i on i.oid = x.indexrelid, block),
  sizes as (
    select root, pg_catalog.sum(bytes) as bytes, coalesce(pg_catalog.sum(bytes) filter (where kind = 'index'), 0) as index_bytes,
           coalesce(pg_catalog.sum(bytes) filter (where kind = 'toast'), 0) as toast_bytes
      from pieces group by root),
  counts as (
    select root, pg_catalog.sum(greatest(reltuples, 0)) filter (where oid <> root or not exists (
             select from pg_catalog.pg_inherits h where h.inhparent = oid)) as rows,
           pg_catalog.count(*) filter (where relispartition) as partitions
      from parts group by root)
  select n.nspname as schema, c.relname as name, s.bytes, s.index_bytes as "indexBytes", s.toast_bytes as "toastBytes",
         coalesce(k.rows, 0)::bigint as rows, k.partitions
    from sizes s
    join counts k using (root)
    join pg_catalog.pg_class c on c.oid = s.root
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
   order by s.bytes desc, n.nspname, c.relname`

function bytesNumber({ schema, name }: SizedTable): string {
  return `table.${schema}.${name}.bytes`
}

/** By how many bytes a number grew since the sample nearest to a week ago, at least a day old; `undefined` without one. Pure. */
export function growthOf(
  name: string,
  bytes: number,
  earlier: readonly CareSample[],
  now: Date,
): { bytes: number; days: number } | undefined {
  const samples = earlier.flatMap(({ at, numbers }) => {
    const value = numbers[name]
    const days = (now.getTime() - at.getTime()) / dayMs
    return value === undefined || days < 1 ? [] : [{ bytes: bytes - value, days }]
  })
  return samples.sort((a, b) => Math.abs(a.days - weekDays) - Math.abs(b.days - weekDays))[0]
}

function describe(table: SizedTable, growth: ReturnType<typeof growthOf>, outcome: "warn" | "fail"): Weighed {
  const { schema, name, bytes, indexBytes, toastBytes, rows, partitions } = table
  const days = growth && Math.round(growth.days)
  const grew = growth
    ? `, ${growth.bytes < 0 ? "down by" : "up by"} ${formatBytes(Math.abs(growth.bytes))} in ${formatCounted(days ?? 0, "day")}`
    : ""
  return {
    item: `${schema}.${name}`,
    outcome,
    weight: bytes,
    detail: `${formatBytes(bytes)}, of which indexes ${formatBytes(indexBytes)}${grew}`,
    evidence: {
      bytes,
      indexBytes,
      toastBytes,
      rows,
      ...(partitions > 0 && { partitions }),
      ...(growth && { grownBytes: growth.bytes, grownDays: days ?? 0 }),
    },
    remedy: {
      advice:
        "decide what of it must stay: a cleanup rule deletes or archives the rest (cleanup in ops.config.ts); partition it by time when it only grows; see unused-indexes and table-bloat for what is needless. Raise the threshold when its size is right",
    },
  }
}
