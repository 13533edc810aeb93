import type { Client } from "pg"
import { z } from "zod"
import type { CareConfig } from "../config/care-schema.ts"
import { formatBytes, formatCount } from "../core/size.ts"
import type { CareCheck, CareContext, CareItem, Threshold } from "./check.ts"
import { plans } from "./plans.ts"
import { type DaysLeft, daysLeft, trendOf } from "./trend.ts"

/** Shares of a limit at which people hear of it, in percent, and the days that are left; each worse than the one before, so that each is told. */
const shares = { hint: 70, warn: 85, fail: 95 } as const
const days = { warn: 30, fail: 7 } as const

type Measured = {
  /** As it is called in the sample. */
  number: string
  item: string
  value: number
  limit: number
  show: (value: number) => string
  /** It goes up and down by itself, or begins anew every month: a trend over days says nothing. */
  hasNoTrend?: boolean
}

/** How near the database is to what its plan, or the team, allows, and how many days are left at the present pace. */
export const limitsCheck: CareCheck = {
  name: "limits",
  about: "database size, connections, rows and egress against the plan's limits, and the days that are left",
  needs: "nothing; egress needs the query of the configuration",
  unit: "percent of the limit",
  threshold: { warn: shares.hint, fail: shares.fail },
  severity: "P2",
  async run(context, threshold) {
    const measured = await measure(context)
    const numbers = Object.fromEntries(measured.all.map(({ number, value }) => [number, value]))
    const notes = [...measured.notes]
    const items = measured.all.flatMap((one) => {
      if (one.limit === 0) return []
      const trend = one.hasNoTrend
        ? ({ known: false, days: 0 } as const)
        : trendOf([...context.earlier, { at: context.now, numbers }], one.number, context.now)
      const left = daysLeft(one.value, one.limit, trend)
      if (!left.known && !one.hasNoTrend)
        notes.push(`days until the limit of ${one.item}: not enough data (${left.days} of 7 days)`)
      return judgeLimit(one, left, threshold, context.settings.plan)
    })
    return { status: "done", looked: measured.all.filter(({ limit }) => limit > 0).length, items, numbers, notes }
  },
}

/** What one number means for people: by its share of the limit, and by the days that are left. Pure. */
export function judgeLimit(
  { item, value, limit, show, hasNoTrend }: Measured,
  left: DaysLeft,
  { warn = shares.hint, fail = shares.fail }: Threshold,
  plan: CareConfig["plan"],
): CareItem[] {
  const percent = (100 * value) / limit
  const expected = left.known ? left.expected : undefined
  // Only where even the slow end of the interval rises: what merely jitters is no trend.
  const isClose = (bound: number) => left.known && left.latest !== undefined && (expected ?? Infinity) <= bound
  const isFail = percent >= fail || isClose(days.fail)
  const isHigh = percent >= Math.max(shares.warn, warn) || isClose(days.warn)
  if (!isFail && !isHigh && percent < warn) return []
  const outcome = isFail ? "fail" : "warn"
  const level = percent >= fail ? fail : percent >= shares.warn && shares.warn > warn ? shares.warn : warn
  const evidence = { value, limit, percent: Number(percent.toFixed(1)), ...(percent >= warn && { passed: level }) }
  const facts = plan === "none" ? undefined : plans[plan]
  const effect = facts && item === "database size" ? `; then ${facts.atLimit}` : ""
  return [
    {
      item,
      outcome,
      severity: isFail ? "P1" : isHigh ? "P2" : "P3",
      detail: `${show(value)} of ${show(limit)} (${percent.toFixed(0)} %)${hasNoTrend ? "" : `, ${describeDays(left)}`}${effect}`,
      evidence: { ...evidence, ...(expected !== undefined && { daysLeft: Math.floor(expected) }) },
      remedy: { advice: facts ? `${advice}; or upgrade: ${facts.upgrade}` : advice },
    },
  ]
}

const advice = "see what grew (table-sizes), and let cleanup take what is old"

function describeDays(left: DaysLeft): string {
  if (!left.known) return `days that are left: not enough data`
  if (left.expected === undefined) return "not growing"
  const bounds = [left.soonest, left.latest].map((value) => (value === undefined ? "never" : Math.floor(value)))
  return `${Math.floor(left.expected)} days left at the present pace (80 % between ${bounds.join(" and ")})`
}

const sizesRow = z.object({
  bytes: z.coerce.number(),
  rows: z.coerce.number(),
  connections: z.coerce.number(),
})

async function measure({ client, settings, now }: CareContext): Promise<{ all: Measured[]; notes: string[] }> {
  const plan = settings.plan === "none" ? undefined : plans[settings.plan]
  const own = settings.limits
  const { rows } = await client.query(
    `select pg_catalog.pg_database_size(pg_catalog.current_database()) as bytes,
            (select coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint from pg_catalog.pg_class c
               join pg_catalog.pg_namespace n on n.oid = c.relnamespace
              where c.relkind = 'r' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema') as rows,
            (select sum(numbackends) from pg_catalog.pg_stat_database) as connections`,
  )
  const sizes = sizesRow.parse(rows[0])
  const all: Measured[] = [
    {
      number: "database.bytes",
      item: "database size",
      value: sizes.bytes,
      limit: own.databaseBytes ?? plan?.databaseBytes ?? 0,
      show: formatBytes,
    },
    {
      number: "connections.used",
      item: "connections",
      value: sizes.connections,
      limit: own.connections ?? 0, // of what the server takes, the check connections speaks
      show: formatCount,
      hasNoTrend: true,
    },
    { number: "database.rows", item: "rows", value: sizes.rows, limit: own.rows ?? 0, show: formatCount },
  ]
  const egressLimit = own.egressBytes ?? plan?.egressBytes ?? 0
  if (!settings.egressSql) {
    const notes = egressLimit > 0 ? ["egress is not watched: the database does not know it (care.egressSql)"] : []
    return { all, notes }
  }
  const monthStart = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), 1))
  const value = await readEgress(client, settings.egressSql, monthStart)
  const egress = {
    number: "egress.bytes",
    item: "egress",
    value,
    limit: egressLimit,
    show: formatBytes,
    hasNoTrend: true,
  }
  return { all: [...all, egress], notes: [] }
}

async function readEgress(client: Client, sql: string, since: Date): Promise<number> {
  const { rows } = await client.query({ text: sql, values: [since.toISOString()], rowMode: "array" })
  const value = z.tuple([z.tuple([z.coerce.number().nonnegative()])]).safeParse(rows)
  if (value.success) return value.data[0][0]
  throw new Error("care.egressSql must return one row with one number, the bytes sent since $1")
}
