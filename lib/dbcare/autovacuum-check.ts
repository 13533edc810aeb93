import { z } from "zod"
import { formatCount } from "../core/size.ts"
import type { CareCheck, CareItem } from "./check.ts"
import { levelOf } from "./sessions-checks.ts"

const tableRow = z.object({
  table: z.string(),
  dead: z.coerce.number(),
  live: z.coerce.number(),
  due: z.coerce.number(),
  isOff: z.boolean(),
  isAnalyzed: z.boolean(),
  lastVacuum: z.string().nullable(),
})

const option = (name: string) =>
  `coalesce((select o.option_value from pg_options_to_table(c.reloptions) o where o.option_name = '${name}'), current_setting('${name}', true))`

/** Autovacuum looks at a table when its dead rows pass base + share * rows (chapter 25.1.6 of the manual). */
const tables = `
  select format('%I.%I', s.schemaname, s.relname) as table, s.n_dead_tup as dead, s.n_live_tup as live,
         ${option("autovacuum_vacuum_threshold")}::float8
           + ${option("autovacuum_vacuum_scale_factor")}::float8 * greatest(c.reltuples, 0) as due,
         coalesce((select o.option_value from pg_options_to_table(c.reloptions) o where o.option_name = 'autovacuum_enabled'), 'on')
           in ('off', 'false', 'no', '0') as "isOff",
         coalesce(s.last_analyze, s.last_autoanalyze) is not null or s.n_live_tup < 1000 as "isAnalyzed",
         to_char(greatest(s.last_vacuum, s.last_autovacuum) at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"') as "lastVacuum"
    from pg_stat_user_tables s join pg_class c on c.oid = s.relid`

/** Tables that should have been vacuumed or analysed by now. */
export const autovacuumCheck: CareCheck = {
  name: "autovacuum",
  about:
    "tables whose dead rows are far above what autovacuum waits for, that it must not touch, or that were never analysed",
  needs: "nothing",
  unit: "times autovacuum's own threshold",
  threshold: { warn: 2, fail: 20 },
  severity: "P3",
  async run({ client }, threshold) {
    const { rows } = await client.query(
      `select count(*) over () as looked, t.* from (${tables}) t where dead > due or "isOff" or not "isAnalyzed"
        order by dead / greatest(due, 1) desc, live desc limit 200`,
    )
    const found = z.array(tableRow).parse(rows)
    const { rows: counts } = await client.query("select count(*)::int as tables from pg_stat_user_tables")
    const items = found.flatMap(({ table, dead, live, due, isOff, isAnalyzed, lastVacuum }): CareItem[] => {
      const times = dead / Math.max(due, 1)
      const outcome = levelOf(times, threshold) ?? (isOff || !isAnalyzed ? "warn" : undefined)
      if (!outcome) return []
      const reasons = [
        times >= 1
          ? `${formatCount(dead)} dead rows beside ${formatCount(live)}, ${times.toFixed(1)} times what autovacuum waits for`
          : "",
        isOff ? "autovacuum is switched off for it" : "",
        isAnalyzed ? "" : "it was never analysed: the planner guesses",
        lastVacuum ? `last vacuumed ${lastVacuum}` : "never vacuumed since the statistics began",
      ].filter(Boolean)
      const run = [
        ...(isOff ? [`alter table ${table} reset (autovacuum_enabled)`] : []),
        times >= 1 ? `vacuum (analyze) ${table}` : `analyze ${table}`,
      ]
      return [
        {
          item: table,
          outcome,
          detail: reasons.join("; "),
          evidence: { dead, live, times: Number(times.toFixed(1)) },
          remedy: {
            advice: "the weekly maintenance does it; see what holds autovacuum up (xmin-horizon, blocking)",
            run,
          },
        },
      ]
    })
    return { status: "done", looked: z.object({ tables: z.number() }).parse(counts[0]).tables, items }
  },
}
