import { z } from "zod"
import type { Observation } from "../core/observation.ts"
import type { Outcome } from "../core/outcome.ts"
import { type Histogram, histogramOf, mergeHistograms } from "./histogram.ts"
import type { Ledger, LedgerRecord } from "./ledger.ts"
import { observationStream } from "./observations.ts"

/** What is left of the observations of one service on one UTC day once the rows themselves are gone. */
export type DailyTally = {
  day: Date
  service: string
  by: Observation["by"]
  /** How many rows came to each outcome, outside of maintenance. */
  outcomes: Record<Outcome, number>
  inMaintenance: number
  coldStarts: number
  /** Times until the first byte, of rows that were `ok` or `warn` and outside of maintenance. */
  latency: Histogram
}

/** The tallies of one day's observations, by service and observer, in the order of their names. */
export function tallyDay(day: Date, observations: readonly Observation[]): DailyTally[] {
  const groups = Map.groupBy(observations, ({ service, by }) => keyOf({ day, service, by }))
  return [...groups.values()].map((group) => tallyOf(day, group)).sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
}

function tallyOf(day: Date, group: readonly Observation[]): DailyTally {
  const [{ service, by } = { service: "", by: "health" as const }] = group
  const counted = group.filter((row) => !row.inMaintenance)
  const outcomes: DailyTally["outcomes"] = { ok: 0, warn: 0, fail: 0, unknown: 0 }
  for (const { outcome } of counted) outcomes[outcome]++
  const answered = counted.filter(({ outcome }) => outcome === "ok" || outcome === "warn")
  return {
    ...{ day, service, by, outcomes },
    inMaintenance: group.length - counted.length,
    coldStarts: group.filter((row) => row.isCold).length,
    latency: histogramOf(answered.flatMap(({ latencyMs }) => latencyMs ?? [])),
  }
}

/** Two tallies of the same service, observer and day as one. */
export function addTallies(a: DailyTally, b: DailyTally): DailyTally {
  const { ok, warn, fail, unknown } = a.outcomes
  const other = b.outcomes
  return {
    ...a,
    outcomes: { ok: ok + other.ok, warn: warn + other.warn, fail: fail + other.fail, unknown: unknown + other.unknown },
    inMaintenance: a.inMaintenance + b.inMaintenance,
    coldStarts: a.coldStarts + b.coldStarts,
    latency: mergeHistograms([a.latency, b.latency]),
  }
}

const count = z.int().nonnegative()
const tallyRow = z.object({
  day: z.iso.date(),
  service: z.string(),
  by: z.enum(["health", "keep-warm"]),
  ...{ ok: count, warn: count, fail: count, unknown: count, inMaintenance: count, coldStarts: count },
  latency: z.array(z.tuple([z.int(), count])),
})

/** The row of a tally in the file of its month. */
export function tallyRecord({
  day,
  service,
  by,
  outcomes,
  inMaintenance,
  coldStarts,
  latency,
}: DailyTally): LedgerRecord {
  const pairs = [...latency].sort(([a], [b]) => a - b)
  const row = { day: isoDay(day), service, by, ...outcomes, inMaintenance, coldStarts, latency: pairs }
  return { stream: tallyStream(day), row }
}

/** The tallies among the rows of a month's file. Of several rows for the same service, observer and day the last one counts. */
export function parseTallies(rows: readonly unknown[]): Map<string, DailyTally> {
  const tallies = new Map<string, DailyTally>()
  for (const row of rows) {
    const parsed = tallyRow.safeParse(row)
    if (!parsed.success) continue
    const { day, service, by, ok, warn, fail, unknown, inMaintenance, coldStarts, latency } = parsed.data
    const outcomes = { ok, warn, fail, unknown }
    const at = new Date(`${day}T00:00:00Z`)
    const tally = { ...{ day: at, service, by, outcomes, inMaintenance, coldStarts }, latency: new Map(latency) }
    tallies.set(keyOf(tally), tally)
  }
  return tallies
}

/**
 * The tallies of the days from `from` until before `to` whose observations are rows no more, in order of time. A day that still has
 * its rows is left to `readObservations`, so that no look is counted twice.
 */
export async function readDailyTallies(
  ledger: Pick<Ledger, "read" | "streams">,
  from: Date,
  to: Date,
): Promise<DailyTally[]> {
  const raw = new Set(await ledger.streams("observations"))
  const found: DailyTally[] = []
  for (const stream of await ledger.streams("histograms")) {
    if (stream < tallyStream(from) || stream > tallyStream(to)) continue
    for (const tally of parseTallies(await ledger.read(stream)).values()) {
      if (tally.day >= from && tally.day < to && !raw.has(observationStream(tally.day))) found.push(tally)
    }
  }
  return found.sort((a, b) => a.day.getTime() - b.day.getTime())
}

/** The file that holds the tallies of a UTC day: that of its month. */
export function tallyStream(day: Date): string {
  return `histograms/${isoDay(day).slice(0, 7).replace("-", "/")}.jsonl`
}

/** What makes two tallies ones of the same rows. */
export function keyOf({ day, service, by }: Pick<DailyTally, "day" | "service" | "by">): string {
  return `${isoDay(day)} ${by} ${service}`
}

function isoDay(day: Date): string {
  return day.toISOString().slice(0, 10)
}
