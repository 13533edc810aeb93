import { describe, expect, it } from "vitest"
import { availabilityOf } from "../../lib/slo/availability.ts"
import { diceOf, isDownAt, type Month, makeMonth, services } from "../support/month.ts"
import { type Arrival, type Faults, type FaultyTeller, faultyTeller } from "../support/month-faults.ts"
import { expectNoFalseIncident, playMonth } from "../support/month-play.ts"
import { defaultPolicy, watch } from "../support/watch.ts"

const seeds = Array.from({ length: 40 }, (_, seed) => seed)

describe("a month as it is on GitHub", () => {
  it("is what it says: ticks regular, sparse and missing, outages of minutes and hours", () => {
    const months = seeds.map(makeMonth)
    const outages = months.flatMap((month) => month.outages.map(({ from, to }) => (to - from) / 60_000))
    expect(Math.min(...outages)).toBeLessThan(5)
    expect(Math.max(...outages)).toBeGreaterThan(8 * 60)
    const longest = months.map(({ ticks }) => {
      return ticks.reduce(
        (most, { at }, index) => Math.max(most, at.getTime() - (ticks[index - 1] ?? { at }).at.getTime()),
        0,
      )
    })
    expect(Math.max(...longest)).toBeGreaterThan(6 * 3_600_000)
    expect(makeMonth(7)).toEqual(makeMonth(7))
  })

  it.each(seeds)(
    "loses no outage, tells each and its end exactly once, and pages nobody in vain (%i)",
    async (seed) => {
      const month = makeMonth(seed)
      const night = watch({ policy: defaultPolicy, start: month.start.toISOString() })
      const seen = await playMonth(month, {
        tell: (findings, _recent, now) => void night.run((now.getTime() - month.start.getTime()) / 60_000, findings),
        incidents: night.incidents,
      })

      expect(seen.length).toBeGreaterThan(15)
      for (const { outage, keys } of seen)
        expect(keys.size, `${outage.service} ${new Date(outage.from).toISOString()}`).toBe(1)
      expectNoFalseIncident(month, night.incidents())
      for (const { key } of night.incidents()) {
        const own = night.heard.filter((one) => one.key === key)
        const kinds = own.map(({ kind }) => kind)
        expect(
          kinds.filter((kind) => kind === "opened" || kind === "flapping"),
          key,
        ).toHaveLength(1)
        expect(
          kinds.filter((kind) => kind === "recovered"),
          key,
        ).toHaveLength(1)
        expect(kinds.filter((kind) => kind === "still").length, key).toBeLessThanOrEqual(4)
        for (const { kind, at, subject } of own)
          if (kind === "recovered") expect(isDownAt(month, subject.replace("service/", ""), at.getTime())).toBe(false)
      }
    },
  )
})

describe("the availability of such months", () => {
  it.each([5, 30])("holds the truth within its bounds, looked at every %i minutes", (minutes) => {
    const found = seeds.flatMap((seed) =>
      services.map((service) => compareWithTruth(makeMonth(seed), service, minutes)),
    )
    expect(found.length).toBe(160)
    expect(found.filter(({ isWithin }) => isWithin).length / found.length).toBeGreaterThanOrEqual(0.95)
    for (const { share, coverage } of found) {
      expect(share).toBeLessThan(1)
      expect(coverage).toBeLessThan(1)
    }
  })
})

/** What the looks of a month say of a service against every minute of it, outside of maintenance. */
function compareWithTruth(month: Month, service: string, minutes: number) {
  const observations = month.ticks.flatMap(({ at, findings }) => {
    const finding = findings.find(({ subject }) => subject === `service/${service}`)
    if (!finding) return []
    const { outcome, inMaintenance } = finding
    return [{ at, service, by: "health" as const, outcome, ...(inMaintenance && { inMaintenance }) }]
  })
  const window = { from: month.start, to: month.end, intervalMs: minutes * 60_000 }
  const { share = Number.NaN, bounds, coverage } = availabilityOf(observations, window)
  const [from, to] = [month.start.getTime(), month.end.getTime()]
  const all = Array.from({ length: (to - from) / 60_000 }, (_, minute) => from + minute * 60_000)
  const counted = all.filter((at) => service !== "shop" || ![2, 3].includes(new Date(at).getUTCHours()))
  const truth = counted.filter((at) => !isDownAt(month, service, at)).length / counted.length
  return { share, coverage, isWithin: bounds.low <= truth && truth <= bounds.high }
}

/** A month told by the real teller, with faults. */
async function faultyMonth(seed: number, faults: Faults) {
  const month = makeMonth(seed)
  const teller = faultyTeller(defaultPolicy, faults, diceOf(1000 + seed), month.start)
  const seen = await playMonth(month, teller)
  return { month, teller, seen }
}

function arrivalsOf(arrivals: readonly Arrival[], key: string) {
  const own = arrivals.filter(({ keys }) => keys.includes(key))
  return { opened: own.filter(({ isOpening }) => isOpening), recovered: own.filter(({ isRecovery }) => isRecovery) }
}

describe("a month in which Slack is out of reach at times, and says so", () => {
  it.each(seeds.slice(0, 12))(
    "tells each incident once and its end once, or both at its end where Slack was away throughout (%i)",
    async (seed) => {
      const { month, teller, seen } = await faultyMonth(seed, {
        ...{ slackRefuses: 0.2, slackLoses: 0, memoryFails: 0, awayHours: 0 },
      })
      expectNoFalseIncident(month, teller.incidents())
      for (const { keys } of seen) expect(keys.size).toBe(1)
      for (const { key } of teller.incidents()) {
        const { opened, recovered } = arrivalsOf(teller.arrivals, key)
        expect(opened.length, key).toBeLessThanOrEqual(1)
        expect(recovered.length, key).toBeLessThanOrEqual(1)
        if (opened.length === 1) expect(recovered.length, key).toBe(1)
      }
    },
  )
})

describe("a month in which Slack and GitHub fail at random and lose answers", () => {
  it.each(seeds)(
    "loses no outage, repeats at most once a run and says so, tells each end, and pages nobody in vain (%i)",
    async (seed) => {
      const { month, teller, seen } = await faultyMonth(seed, {
        ...{ slackRefuses: 0.05, slackLoses: 0.05, memoryFails: 0.02, awayHours: 12, ledgerShare: 0.5 },
      })
      for (const { outage } of seen) {
        const told = teller.arrivals.filter(({ at, words }) => {
          return at.getTime() >= outage.from && words.includes(`service/${outage.service}`)
        })
        expect(told.length, `${outage.service} ${new Date(outage.from).toISOString()}`).toBeGreaterThan(0)
      }
      expect(teller.left.length).toBeGreaterThan(0)
      const keys = new Set(teller.arrivals.flatMap((arrival) => arrival.keys))
      for (const key of keys) {
        const { opened, recovered } = arrivalsOf(teller.arrivals, key)
        for (const own of [opened, recovered]) {
          expect(own.filter(({ isRepeat }) => !isRepeat).length, key).toBeLessThanOrEqual(1)
          expect(new Set(own.map(({ at }) => at.getTime())).size, `${key} twice in one run`).toBe(own.length)
        }
        const ends = endsOf(teller, key)
        if (opened.length > 0) expect(ends.length, `${key} was told, and its end was not`).toBeGreaterThan(0)
        expect(ends.filter(({ isRepeat }) => !isRepeat).length, `${key} ended more than once`).toBeLessThanOrEqual(1)
        const subject = key.slice("service/".length, key.indexOf("@"))
        const [first] = opened
        if (first) expect(wasDown(month, subject, key, first.at), `${key} is a false alarm`).toBe(true)
      }
      expect(teller.arrivals.every((arrival) => arrival.keys.length > 0)).toBe(true)
      expect(teller.arrivals.some(({ isRepeat }) => isRepeat)).toBe(true)
      for (const incident of teller.incidents()) expect(incident.state, incident.key).toBe("closed")
    },
  )
})

/** The ends that were told of what was told under this key: of more names than a message has room for some stand in the incident alone. */
function endsOf({ arrivals, incidents }: FaultyTeller, key: string): Arrival[] {
  const names = incidents().flatMap((one) => (one.aliases?.includes(key) ? [one.key] : []))
  return arrivals.filter(({ isRecovery, keys }) => isRecovery && [key, ...names].some((name) => keys.includes(name)))
}

/** True when the service was down at some time from when the incident was first seen until people heard of it. */
function wasDown(month: ReturnType<typeof makeMonth>, service: string, key: string, heardAt: Date): boolean {
  const from = Date.parse(key.slice(key.indexOf("@") + 1, key.indexOf("Z") + 1))
  for (let at = from; at <= heardAt.getTime(); at += 60_000) if (isDownAt(month, service, at)) return true
  return isDownAt(month, service, heardAt.getTime())
}
