import { z } from "zod"
import { formatBytes, formatCount } from "../core/size.ts"
import { quoteName, quoteTable } from "../postgres/name.ts"
import type { CareCheck } from "./check.ts"
import { dropIndex } from "./index-statements.ts"
import { ask, isOfTeam, isOpen, noteClosed, ownBytes } from "./team-relations.ts"
import { outcomeAt, type Weighed, worstFirst } from "./worst-first.ts"

const keyRow = z.object({
  schema: z.string(),
  table: z.string(),
  name: z.string(),
  columns: z.array(z.string()),
  parent: z.string(),
  isPartitioned: z.boolean(),
  bytes: z.coerce.number(),
  rows: z.coerce.number(),
  parentChanges: z.coerce.number(),
  isIndexed: z.boolean(),
})

type ForeignKey = z.output<typeof keyRow>

/** Foreign keys whose table must be read whole for each row that goes at the other end. */
export const foreignKeysWithoutIndexCheck: CareCheck = {
  name: "foreign-keys-without-index",
  about: "foreign keys of larger tables that no index begins with: each delete at the other end reads the whole table",
  needs: "nothing",
  unit: "bytes of the table",
  threshold: { warn: 10_000_000 },
  severity: "P3",
  async run({ client }, threshold) {
    const keys = await ask(client, keyRow, query)
    const found = keys.flatMap((key): Weighed[] => {
      const outcome = key.isIndexed ? undefined : outcomeAt(key.bytes, threshold)
      return outcome ? [describe(key, outcome)] : []
    })
    return worstFirst(keys.length, found, { notes: await noteClosed(client) })
  },
}

/**
 * An index serves a key whose columns are its first ones, in whatever order. One over a part of the table serves when it only leaves out
 * nulls of such a column: what is looked for is never null.
 */
const query = `
  with sizes as (
    select coalesce(pg_catalog.pg_partition_root(c.oid)::pg_catalog.oid, c.oid) as oid,
           pg_catalog.sum(${ownBytes("c")}) as bytes,
           pg_catalog.sum(greatest(c.reltuples, 0))::bigint as rows
      from pg_catalog.pg_class c where c.relkind in ('r', 'p') group by 1)
  select n.nspname as schema, c.relname as "table", k.conname as name, key.columns, pn.nspname || '.' || p.relname as parent,
         c.relkind = 'p' as "isPartitioned", s.bytes, s.rows,
         coalesce(pg_catalog.pg_stat_get_tuples_deleted(p.oid), 0) as "parentChanges",
         exists (
           select from pg_catalog.pg_index x
             join pg_catalog.pg_class i on i.oid = x.indexrelid
             join pg_catalog.pg_am m on m.oid = i.relam and m.amname in ('btree', 'hash')
            where x.indrelid = k.conrelid and x.indisvalid and x.indisready
              and pg_catalog.cardinality(k.conkey) <= x.indnkeyatts
              and k.conkey <@ (x.indkey::pg_catalog.int2[])[0:pg_catalog.cardinality(k.conkey) - 1]
              and (x.indpred is null or pg_catalog.pg_get_expr(x.indpred, x.indrelid) = any(key.conditions))) as "isIndexed"
    from pg_catalog.pg_constraint k
    join pg_catalog.pg_class c on c.oid = k.conrelid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    join pg_catalog.pg_class p on p.oid = k.confrelid
    join pg_catalog.pg_namespace pn on pn.oid = p.relnamespace
    join sizes s on s.oid = c.oid
    cross join lateral (
      select pg_catalog.array_agg(a.attname::text order by u.at) as columns,
             pg_catalog.array_agg(pg_catalog.format('(%I IS NOT NULL)', a.attname)) as conditions
        from pg_catalog.unnest(k.conkey) with ordinality u (attnum, at)
        join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.attnum) key
   where k.contype = 'f' and k.conparentid = 0 and ${isOpen} and ${isOfTeam}`

function describe(key: ForeignKey, outcome: "warn" | "fail"): Weighed {
  const { schema, table, columns, parent, isPartitioned, bytes, rows, parentChanges } = key
  const index = { schema, name: indexName(table, columns) }
  const list = columns.map(quoteName).join(", ")
  const make = isPartitioned ? "create index" : "create index concurrently"
  return {
    item: `${schema}.${table}.${key.name}`,
    outcome,
    weight: bytes * Math.log10(10 + parentChanges),
    detail: `no index begins with (${columns.join(", ")}): each delete in ${parent} reads ${formatBytes(bytes)}, about ${formatCount(rows)} rows`,
    evidence: { table: `${schema}.${table}`, refersTo: parent, bytes, rows, deletedThere: parentChanges },
    remedy: {
      advice: isPartitioned
        ? "an index of a partitioned table stops writes while it is made: in a quiet hour, or partition by partition with concurrently, and attached"
        : "make the index while people go on writing; it costs a little on every write",
      run: [`${make} ${quoteName(index.name)} on ${quoteTable({ schema, name: table })} (${list})`],
      undo: [dropIndex(index, isPartitioned)],
    },
  }
}

/** A name within the 63 bytes of the server. */
function indexName(table: string, columns: readonly string[]): string {
  const ending = "_fk"
  const bytes = Buffer.from(`${table}_${columns.join("_")}`).subarray(0, 63 - ending.length)
  return new TextDecoder().decode(bytes).replace(/\uFFFD+$/, "") + ending
}
