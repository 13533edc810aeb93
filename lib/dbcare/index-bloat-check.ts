import type { Client } from "pg"
import { z } from "zod"
import { formatBytes } from "../core/size.ts"
import { quoteTable } from "../postgres/name.ts"
import type { CareCheck } from "./check.ts"
import { columnWidth, expectedBtreePages } from "./expected-size.ts"
import { measureBtrees } from "./pgstattuple.ts"
import { allHidden, worthBytes } from "./table-bloat-check.ts"
import { ask, isOfTeam } from "./team-relations.ts"
import { noteOf, outcomeAt, type Weighed, worstFirst } from "./worst-first.ts"

const indexRow = z.object({
  oid: z.string(),
  schema: z.string(),
  name: z.string(),
  rows: z.number(),
  pages: z.number(),
  blockBytes: z.number(),
  fillPercent: z.number(),
  isHidden: z.boolean(),
  columns: z.array(columnWidth).nullable(),
})

type Estimated = { oid: string; schema: string; name: string; bytes: number; percent: number }

/** B-trees that are much larger than their entries need. */
export const indexBloatCheck: CareCheck = {
  name: "index-bloat",
  about: "B-tree indexes of which much is dead or empty",
  needs: "SELECT on the tables, for their statistics; pgstattuple and pg_stat_scan_tables to confirm the estimate",
  unit: "percent of the index",
  threshold: { warn: 50 },
  severity: "P3",
  async run({ client, may }, threshold) {
    const indexes = await readIndexes(client)
    const unseen = indexes.filter(({ isHidden }) => isHidden).length
    if (indexes.length > 0 && unseen === indexes.length) return { status: "skipped", reason: allHidden(may.role) }
    const estimated = indexes.flatMap((index) => estimate(index))
    const suspects = estimated
      .filter(({ percent, bytes }) => outcomeAt(percent, threshold) && (percent * bytes) / 100 >= worthBytes)
      .sort((a, b) => b.percent * b.bytes - a.percent * a.bytes)
    const measured = await measureBtrees(client, suspects)
    const found = suspects.flatMap((index): Weighed[] => {
      const exact = measured.get(index.oid)
      const percent = exact ?? index.percent
      const outcome = outcomeAt(percent, threshold)
      return outcome ? [describe(index, percent, exact === undefined, outcome)] : []
    })
    const uncounted = indexes.length - unseen - estimated.length
    const notes = [
      ...noteOf(
        unseen,
        "B-tree",
        "not looked at: their statistics are hidden from this role (those of expressions from all but the owner)",
      ),
      ...noteOf(uncounted, "B-tree", "not looked at: no statistics yet, run ANALYZE"),
    ]
    return worstFirst(estimated.length, found, { notes })
  },
}

/** Statistics of an indexed expression stand under the name of the index, on which only its owner and readers of everything have rights. */
async function readIndexes(client: Client) {
  return ask(
    client,
    indexRow,
    `select i.oid::text, n.nspname as schema, i.relname as name, i.reltuples::float8 as rows, i.relpages as pages,
            b.bytes as "blockBytes", coalesce((select o.option_value::int from pg_catalog.pg_options_to_table(i.reloptions) o
              where o.option_name = 'fillfactor'), 90) as "fillPercent",
            not pg_catalog.has_table_privilege(c.oid, 'SELECT') or pg_catalog.row_security_active(c.oid)
              or x.indexprs is not null and not pg_catalog.has_table_privilege(i.oid, 'SELECT') as "isHidden",
            (select pg_catalog.json_agg(pg_catalog.json_build_object('width', s.avg_width, 'nullShare', s.null_frac,
                      'align', a.attalign, 'length', a.attlen) order by a.attnum)
               from pg_catalog.pg_attribute a
               left join pg_catalog.pg_attribute t on t.attrelid = c.oid and t.attnum = x.indkey[a.attnum - 1] and t.attnum <> 0
               left join pg_catalog.pg_stats s on s.schemaname = n.nspname and not s.inherited
                     and s.tablename = case when t.attnum is null then i.relname else c.relname end
                     and s.attname = coalesce(t.attname, a.attname)
              where a.attrelid = i.oid and a.attnum > 0) as columns
       from pg_catalog.pg_index x
       join pg_catalog.pg_class i on i.oid = x.indexrelid
       join pg_catalog.pg_am m on m.oid = i.relam and m.amname = 'btree'
       join pg_catalog.pg_class c on c.oid = x.indrelid
       join pg_catalog.pg_namespace n on n.oid = c.relnamespace
       cross join (select pg_catalog.current_setting('block_size')::int as bytes) b
      where i.relkind = 'i' and x.indisvalid and i.relpages::bigint * b.bytes >= $1 and ${isOfTeam}`,
    [worthBytes],
  )
}

function estimate({ rows, pages, columns, blockBytes, fillPercent, ...index }: z.output<typeof indexRow>): Estimated[] {
  if (rows < 0 || columns === null || index.isHidden) return []
  const needed = expectedBtreePages({ rows, columns, blockBytes, fillPercent })
  if (needed === undefined) return []
  return [{ ...index, bytes: pages * blockBytes, percent: Math.max(0, 100 - (100 * needed) / pages) }]
}

function describe(index: Estimated, percent: number, isEstimate: boolean, outcome: "warn" | "fail"): Weighed {
  const wasted = Math.round((index.bytes * percent) / 100)
  return {
    item: `${index.schema}.${index.name}`,
    outcome,
    weight: wasted,
    detail: `${percent.toFixed(0)} % of ${formatBytes(index.bytes)} is dead or empty (${isEstimate ? "estimate" : "measured"})`,
    evidence: {
      bytes: index.bytes,
      wastedBytes: wasted,
      percent: Number(percent.toFixed(1)),
      method: isEstimate ? "estimate" : "pgstatindex",
    },
    remedy: {
      advice:
        "the weekly maintenance rebuilds it while people go on writing (action reindex). A rebuild cannot and need not be taken back; one that was cut leaves an index that ends in _ccnew (see invalid-indexes)",
      run: [`reindex index concurrently ${quoteTable(index)}`],
    },
  }
}
