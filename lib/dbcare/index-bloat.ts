import type { Client } from "pg"
import { z } from "zod"
import { quoteName } from "../postgres/name.ts"
import { withTransaction } from "../postgres/transaction.ts"

/** A page of an index, in bytes, as nearly every server has them; its header and the b-tree's own notes take 40. */
const pageBytes = 8192
const usableBytes = pageBytes - 40

/** Below this a rebuild gains nothing that anybody would notice. */
export const worthBytes = 32 * pageBytes

const columnRow = z.object({
  /** Mean bytes of its values; `null` where neither statistics nor the type tell. */
  widthBytes: z.number().nullable(),
  nullShare: z.number(),
})

export const indexRow = z.object({
  oid: z.string(),
  tableOid: z.string(),
  schema: z.string(),
  name: z.string(),
  method: z.string(),
  isValid: z.boolean(),
  isPartial: z.boolean(),
  isExclusion: z.boolean(),
  /** A statement of somebody else is at work on the table's structure, perhaps building this very index. */
  isBeingBuilt: z.boolean(),
  /** What it is an index of: two of a table with the same one do the same. */
  definition: z.string(),
  /** `null` where the table is locked. */
  sizeBytes: z.coerce.number().nullable(),
  /** Entries at the last VACUUM or ANALYZE; below 0 when never counted. */
  estimatedRows: z.number(),
  fillFactor: z.coerce.number(),
  columns: z.array(columnRow),
  /** Bytes that a rebuild would leave, as `pgstatindex` measured it. */
  measuredBytes: z.number().optional(),
})

type IndexFacts = z.output<typeof indexRow>

/** Indexes of the team's tables. Asks for no lock that somebody else may hold for long. */
export const indexQuery = `
  with locks as materialized (
    select l.relation, bool_or(l.mode = 'AccessExclusiveLock') as "isExclusive",
           bool_or(l.granted and l.pid <> pg_backend_pid() and l.mode in ('ShareUpdateExclusiveLock', 'ShareLock')) as "isAltering"
      from pg_locks l
     where l.locktype = 'relation' and l.database = (select oid from pg_database where datname = current_database())
     group by l.relation)
  select i.indexrelid::text as oid, i.indrelid::text as "tableOid", n.nspname as schema, c.relname as name, m.amname as method,
         i.indisvalid and i.indisready as "isValid", i.indpred is not null as "isPartial", i.indisexclusion as "isExclusion",
         coalesce(tl."isAltering", false) as "isBeingBuilt",
         concat_ws(' ', i.indisunique, i.indkey, i.indclass, i.indcollation, i.indoption, pg_get_expr(i.indexprs, i.indrelid), pg_get_expr(i.indpred, i.indrelid)) as definition,
         z.bytes as "sizeBytes",
         c.reltuples::float8 as "estimatedRows",
         coalesce((select option_value from pg_options_to_table(c.reloptions) where option_name = 'fillfactor'), '90') as "fillFactor",
         case when m.amname <> 'btree' or coalesce(z.bytes, 0) < ${worthBytes} then '[]'::json else coalesce((
           select json_agg(json_build_object('widthBytes', coalesce(s.avg_width, nullif(a.attlen, -1)), 'nullShare', coalesce(s.null_frac, 0)) order by k.pos)
             from unnest(i.indkey::int2[]) with ordinality k(num, pos)
             left join pg_attribute a on a.attrelid = case when k.num = 0 then i.indexrelid else i.indrelid end
                  and a.attnum = case when k.num = 0 then k.pos else k.num end
             left join pg_stats s on s.schemaname = n.nspname and not s.inherited and s.attname = a.attname
                  and s.tablename = case when k.num = 0 then c.relname else t.relname end), '[]') end as columns
    from pg_index i
    join pg_class c on c.oid = i.indexrelid join pg_class t on t.oid = i.indrelid
    join pg_namespace n on n.oid = t.relnamespace join pg_am m on m.oid = c.relam
    left join locks tl on tl.relation = i.indrelid left join locks il on il.relation = i.indexrelid
    cross join lateral (select case when tl."isExclusive" or il."isExclusive" then null
      else pg_relation_size(i.indexrelid) end as bytes) z
   where c.relkind = 'i' and t.relkind in ('r', 'm') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and t.relpersistence <> 't'
   order by n.nspname collate "C", c.relname collate "C"`

/**
 * Bytes that a b-tree of so many entries takes when it is new, without the room that deduplication saves, so that it is never too small;
 * `undefined` where the width of a column is not known.
 * Source: "B-Tree Implementation" in the manual (page header 24, special space 16, item pointer 4, tuple header 8, null bitmap 4, aligned to 8).
 */
export function newIndexBytes(
  rows: number,
  { columns, fillFactor }: Pick<IndexFacts, "columns" | "fillFactor">,
): number | undefined {
  let dataBytes = 0
  let nullShare = 0
  for (const { widthBytes, nullShare: share } of columns) {
    if (widthBytes === null) return undefined
    dataBytes += widthBytes * (1 - share)
    nullShare = Math.max(nullShare, share)
  }
  if (columns.length === 0) return undefined
  const tupleBytes = Math.ceil((dataBytes + 8 + (nullShare > 0 ? 4 : 0)) / 8) * 8 + 4
  const perPage = Math.max(1, Math.floor((usableBytes * fillFactor) / 100 / tupleBytes))
  const leaves = Math.ceil(rows / perPage)
  return (1 + leaves + Math.ceil(leaves / 100)) * pageBytes
}

type RowCounts = { wasAnalyzed: boolean; estimatedRows: number; liveRows: number; deadRows: number }

/**
 * Rows that a table has now. Statistics that were reset count from nothing: without an ANALYZE since, they are believed only where the
 * planner knows nothing either.
 */
export function liveRowsOf({ wasAnalyzed, estimatedRows, liveRows }: RowCounts): number {
  return wasAnalyzed || estimatedRows < 0 ? liveRows : Math.max(liveRows, estimatedRows)
}

/** The share of a table's row versions that are not dead, from 0 to 1. */
export function liveShareOf(table: RowCounts): number {
  const live = liveRowsOf(table)
  return live + table.deadRows > 0 ? live / (live + table.deadRows) : 1
}

export type Bloat = {
  /** How much of the index a rebuild would give back, in percent. */
  percent: number
  expectedBytes: number
  isMeasured: boolean
}

/** How much of an index is dead space; `undefined` where it cannot be told. Pure. */
export function judgeBloat(index: IndexFacts, table: RowCounts): Bloat | undefined {
  const { sizeBytes, measuredBytes } = index
  if (!sizeBytes) return undefined
  const rows = entriesOf(index, table)
  const expectedBytes = measuredBytes ?? (rows === undefined ? undefined : newIndexBytes(rows, index))
  if (expectedBytes === undefined) return undefined
  const percent = Math.max(0, 100 * (1 - expectedBytes / sizeBytes))
  return { percent, expectedBytes, isMeasured: measuredBytes !== undefined }
}

/** Entries that an index has for rows of now. A partial one is taken to hold the same share of the table as when both were last counted. */
function entriesOf({ isPartial, estimatedRows }: IndexFacts, table: RowCounts): number | undefined {
  const live = liveRowsOf(table)
  if (!isPartial) return live
  if (estimatedRows <= 0 || table.estimatedRows <= 0) return undefined
  return live * Math.min(1, estimatedRows / table.estimatedRows)
}

const measureLimitMs = 60_000

const measuredRow = z.object({
  leafPages: z.coerce.number(),
  internalPages: z.coerce.number(),
  density: z.number(),
})

/**
 * What a rebuild would leave of an index, in bytes: `pgstatindex` reads it from its first page to its last. Entries of dead rows count
 * as full for it: `liveShare` of them stay. `undefined` where the extension is missing, the role may not use it, or it takes over a minute.
 */
export async function measureIndex(
  client: Client,
  index: Pick<IndexFacts, "oid" | "fillFactor">,
  liveShare: number,
): Promise<number | undefined> {
  const schema = await measuringSchema(client)
  if (schema === undefined) return undefined
  const limits = { readOnly: true, lockTimeoutMs: 1000, statementTimeoutMs: measureLimitMs }
  const sql = `select leaf_pages as "leafPages", internal_pages as "internalPages",
                      case when avg_leaf_density = 'NaN' then 0 else avg_leaf_density end as density
                 from ${quoteName(schema)}.pgstatindex($1::oid::regclass)`
  const { rows } = await withTransaction(client, limits, () => client.query(sql, [index.oid]))
  const { leafPages, internalPages, density } = measuredRow.parse(rows[0])
  const leaves = Math.ceil((leafPages * (density / 100) * liveShare) / (index.fillFactor / 100))
  return (1 + leaves + Math.min(internalPages, Math.ceil(leaves / 100))) * pageBytes
}

/** Where `pgstatindex` is, when this role may use it. */
export async function measuringSchema(client: Client): Promise<string | undefined> {
  const { rows } = await client.query(
    `select n.nspname as schema from pg_extension e join pg_namespace n on n.oid = e.extnamespace
      where e.extname = 'pgstattuple'
        and has_function_privilege(to_regprocedure(quote_ident(n.nspname) || '.pgstatindex(regclass)')::oid, 'execute')`,
  )
  return z.array(z.object({ schema: z.string() })).parse(rows)[0]?.schema
}
