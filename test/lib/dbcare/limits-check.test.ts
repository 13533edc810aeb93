import { describe, expect, it } from "vitest"
import { careSchema } from "../../../lib/config/care-schema.ts"
import { formatBytes } from "../../../lib/core/size.ts"
import type { CareSample } from "../../../lib/dbcare/check.ts"
import { judgeLimit, limitsCheck } from "../../../lib/dbcare/limits-check.ts"
import { runChecks } from "../../../lib/dbcare/run-checks.ts"
import { daysLeft, trendOf } from "../../../lib/dbcare/trend.ts"
import { withDatabase } from "../../support/postgres.ts"

const now = new Date("2026-03-29T04:00:00Z")
const size = { number: "database.bytes", item: "database size", limit: 500e6, show: formatBytes }
const noTrend = { known: false, days: 2 } as const
const judge = (value: number, left: Parameters<typeof judgeLimit>[1] = noTrend) =>
  judgeLimit({ ...size, value }, left, {}, "supabase-free")[0]

describe("a number near its limit", () => {
  it("is told at 70, 85 and 95 percent", () => {
    expect(judge(349e6)).toBeUndefined()
    expect(judge(350e6)).toMatchObject({ outcome: "warn", severity: "P3", evidence: { passed: 70 } })
    expect(judge(425e6)).toMatchObject({ outcome: "warn", severity: "P2", evidence: { passed: 85 } })
    expect(judge(475e6)).toMatchObject({ outcome: "fail", severity: "P1", evidence: { passed: 95 } })
  })

  it("is told at 30 and at 7 days, however much room there is", () => {
    const days = (expected: number) => judge(100e6, { known: true, days: 28, expected, soonest: 1, latest: 99 })
    expect(days(31)).toBeUndefined()
    expect(days(29)).toMatchObject({ outcome: "warn", detail: expect.stringContaining("29 days left") })
    expect(days(6.4)).toMatchObject({ outcome: "fail", evidence: { daysLeft: 6 } })
  })

  it("is not told for a pace that may as well be none", () => {
    expect(judge(100e6, { known: true, days: 7, expected: 3, soonest: 1 })).toBeUndefined()
    let alarms = 0
    for (let trial = 0; trial < 200; trial++) {
      const jitter = (day: number) => Math.abs(Math.sin((trial * 31 + day) * 78.233) * 43758.5453) % 1
      const samples = Array.from({ length: 7 }, (_, day) => ({
        at: new Date(now.getTime() - (6 - day) * 86_400_000),
        numbers: { n: 100e6 + 300e6 * jitter(day) },
      }))
      const value = samples.at(-1)?.numbers.n ?? 0
      if (value < 350e6 && judge(value, daysLeft(value, 500e6, trendOf(samples, "n", now)))) alarms++
    }
    expect(alarms).toBeLessThan(200 * 0.12)
  })

  it("says what happens then, what an upgrade changes, and that a trend wants more days", () => {
    expect(judge(480e6)).toMatchObject({
      detail: "480 MB of 500 MB (96 %), days that are left: not enough data; then the database becomes read-only",
      remedy: { advice: expect.stringContaining("Supabase Pro holds 8 GB") },
    })
  })
})

async function look(url: Parameters<typeof runChecks>[0]["address"], care: object, earlier: CareSample[] = []) {
  const order = { address: url, checks: [limitsCheck], settings: careSchema.parse(care), now, earlier }
  const [report] = await runChecks({ ...order, signal: AbortSignal.timeout(20_000) })
  return report?.result
}

describe("the limits of a real database", () => {
  it("are measured, with the pace of the days before", async () => {
    await withDatabase("create table t as select generate_series(1, 1000) i; analyze t", async ({ address }) => {
      const day = (back: number, bytes: number) => ({
        at: new Date(now.getTime() - back * 86_400_000),
        numbers: { "database.bytes": bytes },
      })
      const result = await look(
        address,
        { limits: { databaseBytes: 20_000_000, rows: 1100 } },
        [1, 2, 3, 4, 5, 6, 7, 8].map((back) => day(back, 8_000_000 - back * 1_000_000)),
      )
      expect(result).toMatchObject({ status: "done", looked: 2, numbers: { "database.rows": 1000 } })
      const items = result?.status === "done" ? result.items : []
      expect(items.map(({ item }) => item)).toEqual(["database size", "rows"])
      expect(items[0]).toMatchObject({
        outcome: "warn",
        detail: expect.stringContaining("days left at the present pace"),
      })
    })
  })

  it("say when there is not enough data, and that egress is not watched", async () => {
    await withDatabase("", async ({ address }) => {
      const result = await look(address, { plan: "supabase-free" })
      expect(result).toMatchObject({
        items: [],
        notes: [
          "egress is not watched: the database does not know it (care.egressSql)",
          "days until the limit of database size: not enough data (1 of 7 days)",
        ],
      })
    })
  })

  it("take egress from the team's query, since the month began", async () => {
    await withDatabase("create table sent (at timestamptz, bytes bigint)", async ({ address, query }) => {
      await query("insert into sent values ('2026-02-27Z', 7e9), ('2026-03-02Z', 4.9e9)")
      const egressSql = "select coalesce(sum(bytes), 0) from public.sent where at >= $1"
      expect(await look(address, { plan: "supabase-free", egressSql })).toMatchObject({
        items: [{ item: "egress", outcome: "fail", detail: expect.stringMatching(/^4.9 GB of 5.0 GB \(98 %\)/) }],
      })
    })
  })

  it("do not take a query that returns no number for none", async () => {
    await withDatabase("", async ({ address }) => {
      expect(await look(address, { plan: "supabase-free", egressSql: "select 'much', $1::text" })).toMatchObject({
        status: "failed",
        reason: expect.stringContaining("care.egressSql must return one row with one number"),
      })
    })
  })
})
