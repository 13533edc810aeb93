import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { Observation } from "../../../lib/core/observation.ts"
import { histogramOf, mergeHistograms, percentileOf } from "../../../lib/ledger/histogram.ts"
import type { LedgerRecord } from "../../../lib/ledger/ledger.ts"
import { observationRecords, readDay, readObservations } from "../../../lib/ledger/observations.ts"
import { planRollUp } from "../../../lib/ledger/roll-up-plan.ts"
import { thinRuns } from "../../../lib/ledger/thin-runs.ts"
import { percentiles } from "../../../lib/slo/percentile.ts"

const day = new Date("2026-11-20T00:00:00Z")
const seen = { at: day, service: "api", by: "health", outcome: "ok" } as const

/** What a file would hold: each header once, before the row that needs it. */
function linesOf(records: readonly LedgerRecord[]): unknown[] {
  const written = new Set<string>()
  return records.flatMap(({ row, headers = [] }) => {
    const missing = headers.filter((header) => !written.has(JSON.stringify(header)))
    for (const header of missing) written.add(JSON.stringify(header))
    return [...missing, row]
  })
}

describe("a row that is no observation", () => {
  it("is passed over, and the others are read", () => {
    const good = linesOf(observationRecords([seen]))
    const bad = [[], ["x", "api", 0, 0], [90_000, "api", 0, 0], [1, "", 9, 0], [1, 2, 0, 0], [-1, "api", 0, 0], null, 7]
    expect(readDay([...bad, ...good, ...bad], day)).toEqual([seen])
  })

  it("may come from any hand without breaking a reader", () => {
    fc.assert(fc.property(fc.array(fc.jsonValue()), (rows) => void readDay(rows, day)))
  })
})

describe("a row of observations", () => {
  it("comes back as it was", () => {
    const optional = { requiredKeys: ["at", "service", "by", "outcome"] as const }
    const word = fc.string({ minLength: 1, maxLength: 60 })
    const observation = fc.record(
      {
        at: fc.integer({ min: 0, max: 86_399 }).map((second) => new Date(day.getTime() + second * 1000)),
        ...{ service: word, class: word, cause: word, version: word },
        by: fc.constantFrom("health", "keep-warm"),
        outcome: fc.constantFrom("ok", "warn", "fail", "unknown"),
        ...{ latencyMs: fc.nat(), totalMs: fc.nat(), status: fc.nat(599), tries: fc.nat(9) },
        ...{ isCold: fc.constant(true), inMaintenance: fc.constant(true) },
        numbers: fc.dictionary(
          word.filter((name) => name !== "__proto__"),
          fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
          { minKeys: 1, noNullPrototype: true },
        ),
      },
      { requiredKeys: [...optional.requiredKeys] },
    ) as fc.Arbitrary<Observation>
    fc.assert(
      fc.property(fc.array(observation), (observations) => {
        const file = linesOf(observationRecords(observations)).map((line) => JSON.parse(JSON.stringify(line)))
        expect(readDay(file, day)).toEqual(observations)
      }),
    )
  })

  it("is short: 25 to 40 bytes of a service that answers", () => {
    const names = ["api", "web", "the-checkout-service-of-the-shop"]
    const records = names.flatMap((service) =>
      observationRecords([
        { ...seen, at: new Date("2026-11-20T20:00:00Z"), service, latencyMs: 123, totalMs: 1456, status: 200 },
      ]),
    )
    for (const { row } of records) expect(JSON.stringify(row).length).toBeLessThanOrEqual(40)
  })

  it("is read under the header above it, whatever version wrote that", () => {
    const rows = [
      { columns: ["second", "service", "outcome", "by"], outcome: ["ok", "fail"], by: ["health"] },
      [10, "old", 1, 0],
      {
        columns: ["service", "mood", "second", "by", "outcome"],
        by: ["keep-warm", "health"],
        outcome: ["unknown", "ok"],
      },
      ["new", { any: 1 }, 20, 1, 1, "a cell without a name"],
    ]
    const old = { at: new Date("2026-11-20T00:00:10Z"), service: "old", by: "health", outcome: "fail" }
    expect(readDay(rows, day)).toEqual([old, { ...seen, service: "new", at: new Date("2026-11-20T00:00:20Z") }])
  })

  it("of a file that is no day's is not asked for", async () => {
    const asked: string[] = []
    const ledger = {
      streams: async () => [
        "observations/2026/02/31.jsonl",
        "observations/notes.jsonl",
        "observations/2026/11/20.jsonl",
      ],
      async read(stream: string) {
        asked.push(stream)
        return []
      },
    }
    expect(await readObservations(ledger, new Date("2026-01-01T00:00:00Z"), new Date("2027-01-01T00:00:00Z"))).toEqual(
      [],
    )
    expect(asked).toEqual(["observations/2026/11/20.jsonl"])
  })
})

describe("a latency histogram", () => {
  it("gives each percentile back within 5 %, of several days together as well", () => {
    const days = fc.array(fc.array(fc.integer({ min: 1, max: 120_000 }), { minLength: 1 }), { minLength: 1 })
    fc.assert(
      fc.property(days, (days) => {
        const exact = percentiles(days.flat())
        const merged = mergeHistograms(days.map(histogramOf))
        for (const [share, expected] of [
          [0.5, exact?.p50],
          [0.95, exact?.p95],
          [0.99, exact?.p99],
        ] as const) {
          const found = percentileOf(merged, share) ?? 0
          expect(Math.abs(found / (expected ?? 0) - 1)).toBeLessThanOrEqual(0.05)
        }
      }),
    )
    expect(percentileOf(histogramOf([]), 0.5)).toBeUndefined()
    expect(percentileOf(histogramOf([0, 0.4]), 0.99)).toBe(0)
  })
})

describe("the plan of a roll-up", () => {
  const files = ["observations/2026/08/21.jsonl.gz", "observations/2026/08/23.jsonl.gz", "runs/2026/10/01.jsonl.gz"]
  const now = new Date("2026-11-20T12:00:00Z")
  const plan = (...names: string[]) => planRollUp(names, now, new Date(0)).map(({ act, stream }) => `${act} ${stream}`)

  it("leaves alone what is open, and what is no day's or month's", () => {
    const open = ["observations/2026/11/20.jsonl", "runs/2026/11/20.jsonl", "histograms/2026/08.jsonl"]
    expect(plan(...open, "backups/main.jsonl", "metrics/waste.jsonl", "runs/2026/13/01.jsonl")).toEqual([])
  })

  it("has each step once, the oldest first", () => {
    const both = [
      "runs/2026/11/18.jsonl",
      "runs/2026/11/18.jsonl.gz",
      "histograms/2026/07.jsonl",
      "audit/2026/11/19.jsonl",
    ]
    expect(plan(...both, ...files)).toEqual([
      "zip histograms/2026/07.jsonl",
      "tally observations/2026/08/21.jsonl",
      "thin runs/2026/10/01.jsonl",
      "zip runs/2026/11/18.jsonl",
      "zip audit/2026/11/19.jsonl",
    ])
  })

  it("is bounded, and thins no day twice", () => {
    const many = Array.from({ length: 100 }, (_, n) => `audit/2026/0${1 + (n % 9)}/1${n % 10}.jsonl`)
    expect(plan(...new Set(many)).length).toBe(40)
    expect(planRollUp(["runs/2026/10/01.jsonl.gz"], now, new Date("2026-10-02T00:00:00Z"))).toEqual([])
  })
})

describe("thinning the runs of a day", () => {
  it("keeps every run of a job that is not busy, and every line that cannot be read", () => {
    const lines = Array.from({ length: 24 }, (_, n) =>
      JSON.stringify({ id: `${n}`, job: "backup", exitCode: 0, outcome: "ok" }),
    )
    expect(thinRuns([...lines, '{"id":'])).toEqual([...lines, '{"id":'])
  })
})
