import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { Observation } from "../../../lib/core/observation.ts"
import type { Outcome } from "../../../lib/core/outcome.ts"
import { availabilityOf } from "../../../lib/slo/availability.ts"
import { judgeBurn } from "../../../lib/slo/burn.ts"
import { judgeObjective, unmeasurable } from "../../../lib/slo/objective.ts"
import { percentiles } from "../../../lib/slo/percentile.ts"
import { reportServices } from "../../../lib/slo/report.ts"
import { formatShare, objectiveFindings, promise, renderTable } from "../../../lib/slo/table.ts"
import { wilsonBounds } from "../../../lib/slo/wilson.ts"

const minuteMs = 60_000
const now = new Date("2026-03-31T12:00:00Z")

/** A look so many minutes before now. */
function look(minutesAgo: number, outcome: Outcome, more: Partial<Observation> = {}): Observation {
  return { at: new Date(now.getTime() - minutesAgo * minuteMs), service: "api", by: "health", outcome, ...more }
}

/** A look every `step` minutes over `days`, newest first; `bad` says which of them failed. */
function looks(days: number, step: number, bad: (index: number) => boolean = () => false): Observation[] {
  return Array.from({ length: Math.floor((days * 1440) / step) }, (_, index) =>
    look(index * step, bad(index) ? "fail" : "ok", { latencyMs: 100 + index }),
  )
}

const over = (days: number, intervalMinutes: number) => ({
  from: new Date(now.getTime() - days * 1440 * minuteMs + 1),
  to: new Date(now.getTime() + 1),
  intervalMs: intervalMinutes * minuteMs,
})

describe("the availability", () => {
  it("of a time in which nobody looked is no number, and all of it is missing", () => {
    const seen = availabilityOf([], over(30, 30))
    expect(seen).toMatchObject({ share: undefined, coverage: 0, seen: 0, missing: 1440, downMinutes: 0 })
    expect(seen.unseenMinutes).toBe(30 * 1440)
    expect(seen.bounds).toEqual({ low: 0, high: 1 })
    expect(formatShare(seen.share)).toBe("no data")
  })

  it("falls with outages only: gaps in the schedule lower the coverage", () => {
    const every65 = availabilityOf(looks(30, 65), over(30, 30))
    expect(every65.share).toBe(1)
    expect(every65.coverage).toBeGreaterThan(0.44)
    expect(every65.coverage).toBeLessThan(0.48)
    expect(every65.downMinutes).toBe(0)
  })

  it("counts unknown looks and maintenance apart", () => {
    const seen = availabilityOf(
      [
        look(0, "ok"),
        look(30, "unknown"),
        look(60, "fail", { inMaintenance: true }),
        look(90, "fail"),
        look(120, "warn"),
      ],
      { ...over(1, 30), from: new Date(now.getTime() - 150 * minuteMs + 1) },
    )
    expect(seen).toMatchObject({ seen: 3, unknown: 1, maintenance: 1, missing: 0, downMinutes: 30 })
    // Two hours were seen: one half down, one up. An hour of many looks says no more than one of few.
    expect(seen.share).toBeCloseTo(3 / 4)
    expect(seen.coverage).toBeCloseTo(3 / 4)
  })

  it("does not move when people look fifty times by hand within one interval", () => {
    const usual = looks(1, 30, (index) => index === 3)
    const byHand = Array.from({ length: 50 }, (_, index) => look(index * 0.1, "ok"))
    expect(availabilityOf([...usual, ...byHand], over(1, 30)).share).toBe(availabilityOf(usual, over(1, 30)).share)
  })

  it("is a share, within its bounds, and nothing is counted twice, whatever was seen", () => {
    const outcome = fc.constantFrom<Outcome>("ok", "warn", "fail", "unknown")
    const any = fc.record({ ago: fc.integer({ min: -100, max: 3000 }), outcome, inMaintenance: fc.boolean() })
    fc.assert(
      fc.property(fc.array(any, { maxLength: 200 }), fc.integer({ min: 1, max: 120 }), (rows, step) => {
        const window = over(1, step)
        const seen = availabilityOf(
          rows.map(({ ago, outcome, inMaintenance }) => look(ago, outcome, { inMaintenance })),
          window,
        )
        const slots = Math.floor((window.to.getTime() - window.from.getTime()) / window.intervalMs)
        expect(seen.seen + seen.unknown + seen.missing + seen.maintenance).toBe(slots)
        expect(seen.coverage).toBeGreaterThanOrEqual(0)
        expect(seen.coverage).toBeLessThanOrEqual(1)
        expect(seen.share === undefined).toBe(seen.seen === 0)
        if (seen.share === undefined) return
        expect(seen.share).toBeGreaterThanOrEqual(seen.bounds.low - 1e-9)
        expect(seen.share).toBeLessThanOrEqual(Math.min(1, seen.bounds.high + 1e-9))
      }),
    )
  })
})

describe("bounds and percentiles", () => {
  it("are those of the textbooks", () => {
    // Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662, 15 of 148 gives 0.0624 to 0.1605, 0 of 20 gives 0 to 0.1611.
    for (const [good, total, low, high] of [
      [81, 263, 0.2553, 0.3662],
      [15, 148, 0.0624, 0.1605],
      [0, 20, 0, 0.1611],
    ] as const) {
      expect(wilsonBounds(good, total).low).toBeCloseTo(low, 4)
      expect(wilsonBounds(good, total).high).toBeCloseTo(high, 4)
    }
    expect(percentiles([])).toBeUndefined()
    expect(percentiles(Array.from({ length: 1000 }, (_, index) => 1000 - index))).toEqual({
      p50: 500,
      p95: 950,
      p99: 990,
    })
    expect(percentiles([7])).toEqual({ p50: 7, p95: 7, p99: 7 })
  })

  it("never show less than all as 100 %", () => {
    expect(formatShare(1)).toBe("100.00 %")
    expect(formatShare(0.999999)).toBe("99.999 %")
    expect(formatShare(0.99995)).toBe("99.995 %")
    expect(formatShare(0.99)).toBe("99.00 %")
  })
})

describe("an objective", () => {
  it("that the interval cannot measure is never met, and says how often one must look", () => {
    const strict = { availability: 0.999, days: 30 }
    expect(unmeasurable(strict, 15 * minuteMs)).toBeCloseTo(8.64)
    const report = judgeObjective(strict, 15 * minuteMs, availabilityOf(looks(30, 15), over(30, 15)))
    expect(report).toMatchObject({ state: "not measurable" })
    const [service] = reportServices(
      [{ name: "api", objective: strict, intervalMs: 15 * minuteMs }],
      looks(30, 15),
      now,
    )
    expect(service && promise(service)).toBe(
      "objective 99.90 % over 30 d: cannot be measured at an interval of 15 min (needs <= 8 min)",
    )
    expect(unmeasurable(strict, 8 * minuteMs)).toBeUndefined()
    expect(unmeasurable({ availability: 0.99, days: 30 }, 30 * minuteMs)).toBeUndefined()
  })

  it("is met, missed or uncertain by what was seen", () => {
    const state = (rows: Observation[]) =>
      judgeObjective({ availability: 0.99, days: 30 }, 30 * minuteMs, availabilityOf(rows, over(30, 30))).state
    expect(state([])).toBe("no data")
    expect(state(looks(30, 30))).toBe("met")
    expect(state(looks(10, 30))).toBe("uncertain")
    expect(state(looks(30, 30, (index) => index < 15))).toBe("missed")
    expect(state(looks(30, 30, (index) => index < 14))).toBe("met")
  })

  it("counts the budget in minutes", () => {
    const seen = availabilityOf(
      looks(30, 30, (index) => index < 4),
      over(30, 30),
    )
    const { budgetMinutes, leftMinutes } = judgeObjective({ availability: 0.99, days: 30 }, 30 * minuteMs, seen)
    expect(budgetMinutes).toBeCloseTo(432)
    expect(leftMinutes).toBeCloseTo(312)
  })
})

describe("a burning budget", () => {
  const order = { service: "api", objective: { availability: 0.99, days: 30 }, intervalMs: 5 * minuteMs, now }

  it("pages for a fast burn, and is a ticket for a slow one", () => {
    expect(
      judgeBurn(
        looks(4, 5, (index) => index < 12),
        order,
      ),
    ).toMatchObject({ subject: "service/api/budget", outcome: "fail" })
    expect(
      judgeBurn(
        looks(4, 5, (index) => index % 20 === 0),
        order,
      ),
    ).toMatchObject({ outcome: "warn" })
    expect(judgeBurn(looks(4, 5), order)).toMatchObject({ outcome: "ok" })
  })

  it("is no news after one failed look, whatever the interval", () => {
    const slow = { ...order, intervalMs: 30 * minuteMs }
    expect(
      judgeBurn(
        looks(4, 30, (index) => index === 0),
        slow,
      ),
    ).toMatchObject({ outcome: "ok" })
    expect(
      judgeBurn(
        looks(4, 5, (index) => index === 0),
        order,
      ),
    ).toMatchObject({ outcome: "ok" })
  })

  it("stops paging when the short window is good again", () => {
    expect(
      judgeBurn(
        looks(4, 5, (index) => index >= 8 && index < 20),
        order,
      )?.outcome,
    ).not.toBe("fail")
  })

  it("pages at the pace that GitHub keeps, a look every 65 minutes, and not for a failed look now and then", () => {
    const slow = { ...order, intervalMs: 30 * minuteMs }
    const outage = looks(4, 65, (index) => index < 4)
    expect(judgeBurn(outage, slow)).toMatchObject({ outcome: "fail", facts: { windowHours: 6 } })
    expect(judgeBurn(outage.slice(3), slow)).toMatchObject({ outcome: "ok" })
    const flaky = looks(4, 65, (index) => index % 30 === 0)
    expect(judgeBurn(flaky, slow)).toMatchObject({ outcome: "warn", facts: { windowHours: 72 } })
  })

  it("is not said to last where the outage was seen and little else", () => {
    const slow = { ...order, intervalMs: 30 * minuteMs }
    const looksOfADay = [look(0, "fail"), look(60, "fail"), look(1200, "ok")]
    expect(judgeBurn(looksOfADay, slow)).toBeUndefined()
    expect(judgeBurn([look(0, "ok")], slow)?.detail).toBe("the error budget lasts at the rate of the last 1 h")
  })

  it("counts the share that is spent over the window that it looked at", () => {
    const rare = { ...order, intervalMs: 60 * minuteMs }
    const two = looks(4, 60, (index) => index < 2)
    // Two hours of the 7.2 that are allowed in 30 days.
    expect(judgeBurn(two, rare)?.detail).toContain("over 2 h: about 28 % of 30 days' error budget")
  })

  it("says nothing where little was seen or the objective cannot be measured", () => {
    expect(judgeBurn([look(0, "fail"), look(70, "fail")], order)).toBeUndefined()
    expect(judgeBurn(looks(4, 15), { ...order, objective: { availability: 0.9999, days: 30 } })).toBeUndefined()
  })
})

it("the table hides no look that is missing behind a rounded share", () => {
  const rows = looks(90, 30, (index) => index === 7).filter((_, index) => index % 1000 !== 500)
  const [report] = reportServices([{ name: "api", intervalMs: 30 * minuteMs }], [...rows, look(0, "unknown")], now)
  const line =
    report &&
    renderTable([report])
      .split("\n")
      .find((text) => text.includes("90 d"))
  expect(line).toMatch(/99 % +0 % +< 1 % +0 %/)
})

it("the table and the findings say what was seen, and hide nothing that was not", () => {
  const services = [
    { name: "api", objective: { availability: 0.99, days: 30 }, intervalMs: 30 * minuteMs },
    { name: "new", intervalMs: 30 * minuteMs },
  ]
  const reports = reportServices(services, looks(30, 65), now)
  expect(renderTable(reports)).toMatchInlineSnapshot(`
    "api  (looked at every 30 min)
      window   availability  95 % between          seen  unknown  missing  maint.   p50 ms  p95 ms  p99 ms
      24 h         100.00 %    85.68 % - 100.00 %     48 %      0 %     52 %      0 %     111     121     122
      7 d          100.00 %    97.59 % - 100.00 %     46 %      0 %     54 %      0 %     177     248     254
      30 d         100.00 %    99.42 % - 100.00 %     46 %      0 %     54 %      0 %     431     730     757
      90 d         100.00 %    99.42 % - 100.00 %     15 %      0 %     85 %      0 %     431     730     757
      objective 99.00 % over 30 d: uncertain, too little was seen; 432 of 432 min of error budget left, as far as seen

    new  (looked at every 30 min)
      window   availability  95 % between          seen  unknown  missing  maint.   p50 ms  p95 ms  p99 ms
      24 h          no data                     -      0 %      0 %    100 %      0 %       -       -       -
      7 d           no data                     -      0 %      0 %    100 %      0 %       -       -       -
      30 d          no data                     -      0 %      0 %    100 %      0 %       -       -       -
      90 d          no data                     -      0 %      0 %    100 %      0 %       -       -       -
      no objective

    "
  `)
  expect(objectiveFindings(reports)).toMatchObject([
    { subject: "service/api/objective", outcome: "unknown", detail: expect.stringContaining("uncertain") },
    { subject: "service/new/objective", outcome: "unknown", detail: expect.stringMatching(/^no data, 0\.00 % seen/) },
  ])
})
