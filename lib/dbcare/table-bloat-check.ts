import type { Client } from "pg"
import { z } from "zod"
import { formatBytes } from "../core/size.ts"
import { quoteTable } from "../postgres/name.ts"
import type { CareCheck } from "./check.ts"
import { columnWidth, expectedHeapPages } from "./expected-size.ts"
import { measureTables } from "./pgstattuple.ts"
import { ask, isOfTeam } from "./team-relations.ts"
import { noteOf, outcomeAt, type Weighed, worstFirst } from "./worst-first.ts"

/** Wasted bytes that are worth a rewrite. */
export const worthBytes = 8_388_608

const tableRow = z.object({
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

type Estimated = { oid: string; schema: string; name: string; bytes: number; percent: number; fillPercent: number }

/** Tables that are much larger than their rows need. */
export const tableBloatCheck: CareCheck = {
  name: "table-bloat",
  about: "tables of which much is dead or empty",
  needs: "SELECT on the tables, for their statistics; pgstattuple and pg_stat_scan_tables to confirm the estimate",
  unit: "percent of the table",
  threshold: { warn: 50 },
  severity: "P3",
  async run({ client, may }, threshold) {
    const tables = await readTables(client)
    const unseen = tables.filter(({ isHidden }) => isHidden).length
    if (tables.length > 0 && unseen === tables.length) return { status: "skipped", reason: allHidden(may.role) }
    const estimated = tables.flatMap((table) => estimate(table))
    const suspects = estimated
      .filter(({ percent, bytes }) => outcomeAt(percent, threshold) && (percent * bytes) / 100 >= worthBytes)
      .sort((a, b) => b.percent * b.bytes - a.percent * a.bytes)
    const measured = await measureTables(client, suspects)
    const found = suspects.flatMap((table): Weighed[] => {
      const exact = measured.get(table.oid)
      // What the fill factor keeps free is no waste.
      const percent = exact === undefined ? table.percent : Math.max(0, exact - (100 - table.fillPercent))
      const outcome = outcomeAt(percent, threshold)
      return outcome ? [describe(table, percent, exact === undefined, outcome)] : []
    })
    const uncounted = tables.length - unseen - estimated.length
    const notes = [
      ...noteOf(unseen, "table", "not looked at: their statistics are hidden from this role"),
      ...noteOf(uncounted, "table", "not looked at: no statistics yet, run ANALYZE"),
    ]
    return worstFirst(estimated.length, found, { notes })
  },
}

/** Why nothing can be said of the space in tables. */
export function allHidden(role: string): string {
  return `the statistics of all larger tables are hidden from ${role}: grant it SELECT on them, or pg_read_all_data`
}

async function readTables(client: Client) {
  return ask(
    client,
    tableRow,
    `select c.oid::text, n.nspname as schema, c.relname as name, c.reltuples::float8 as rows, c.relpages as pages,
            b.bytes as "blockBytes", coalesce((select o.option_value::int from pg_catalog.pg_options_to_table(c.reloptions) o
              where o.option_name = 'fillfactor'), 100) as "fillPercent",
            not pg_catalog.has_table_privilege(c.oid, 'SELECT') or pg_catalog.row_security_active(c.oid) as "isHidden",
            (select pg_catalog.json_agg(pg_catalog.json_build_object('width', s.avg_width, 'nullShare', s.null_frac,
                      'align', a.attalign, 'length', a.attlen) order by a.attnum)
               from pg_catalog.pg_attribute a
               left join pg_catalog.pg_stats s on s.schemaname = n.nspname and s.tablename = c.relname
                     and s.attname = a.attname and not s.inherited
              where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated <> 'v') as columns
       from pg_catalog.pg_class c
       join pg_catalog.pg_namespace n on n.oid = c.relnamespace
       cross join (select pg_catalog.current_setting('block_size')::int as bytes) b
      where c.relkind in ('r', 'm') and c.relpages::bigint * b.bytes >= $1 and ${isOfTeam}`,
    [worthBytes],
  )
}

function estimate({ rows, pages, columns, blockBytes, fillPercent, ...table }: z.output<typeof tableRow>): Estimated[] {
  if (rows < 0 || columns === null || table.isHidden) return []
  const needed = expectedHeapPages({ rows, columns, blockBytes, fillPercent })
  if (needed === undefined) return []
  return [{ ...table, fillPercent, bytes: pages * blockBytes, percent: Math.max(0, 100 - (100 * needed) / pages) }]
}

function describe(table: Estimated, percent: number, isEstimate: boolean, outcome: "warn" | "fail"): Weighed {
  const wasted = Math.round((table.bytes * percent) / 100)
  const name = quoteTable(table)
  return {
    item: `${table.schema}.${table.name}`,
    outcome,
    weight: wasted,
    detail: `${percent.toFixed(0)} % of ${formatBytes(table.bytes)} is dead or empty (${isEstimate ? "estimate" : "measured"})`,
    evidence: {
      bytes: table.bytes,
      wastedBytes: wasted,
      percent: Number(percent.toFixed(1)),
      method: isEstimate ? "estimate" : "pgstattuple",
    },
    remedy: {
      advice:
        "new rows fill the space again: leave it where the table will grow back. Else rewrite it in a quiet hour (nobody can read or write meanwhile, and it needs the table's size free on the disk), or with pg_repack, which locks it only for moments. A rewrite cannot and need not be taken back",
      run: [`vacuum (full, analyze) ${name}`],
    },
  }
}
