import { expect, it } from "vitest"
import { readObservations } from "../../../lib/ledger/observations.ts"
import { openLedger } from "../../../lib/ledger/open.ts"
import { percentiles } from "../../../lib/slo/percentile.ts"
import { startTimer } from "../../../lib/system/clock.ts"
import { withTempDir } from "../../../lib/system/temp.ts"
import { fillDay } from "./synthetic-day.ts"

const dayMs = 24 * 3600 * 1000

it("reads and summarises 30 days of 20 services at 5 minutes, 172,800 rows, in about a second", async () => {
  await withTempDir("ledger-speed", async (dir) => {
    const first = new Date("2026-10-20T00:00:00Z")
    for (let n = 0; n < 30; n++) {
      const day = new Date(first.getTime() + n * dayMs)
      await fillDay(dir, day, { isClosed: n < 29 })
    }
    const ledger = openLedger(`file://${dir}`)
    const to = new Date(first.getTime() + 30 * dayMs)
    const tookMs: number[] = []
    for (let times = 0; times < 3; times++) {
      const elapsed = startTimer()
      const observations = await readObservations(ledger, first, to)
      const services = Map.groupBy(observations, ({ service }) => service)
      const summary = [...services.values()].map((rows) =>
        percentiles(rows.flatMap(({ latencyMs }) => latencyMs ?? [])),
      )
      tookMs.push(elapsed())
      expect([observations.length, summary.length]).toEqual([172_800, 20])
    }
    console.log(
      `30 days, 172,800 rows: read and summarised in ${tookMs.map((ms) => `${Math.round(ms)} ms`).join(", ")}`,
    )
    expect(Math.min(...tookMs)).toBeLessThan(2000)
  })
}, 60_000)
