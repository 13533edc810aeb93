import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { Observation } from "../../../lib/core/observation.ts"
import { monthOf } from "../../../lib/service/warm-budget.ts"
import { planWarmth } from "../../../lib/service/warm-plan.ts"
import { clip, lengthMs } from "../../../lib/service/warm-spans.ts"
import type { WarmSettings } from "../../../lib/service/warmth.ts"
import { always, dayMs, hourMs, minuteMs, pinged, settings } from "../../support/warm.ts"

const now = new Date("2026-03-10T12:00Z")
const workHours = { beginMinute: 420, lengthMinutes: 900, days: [1, 2, 3, 4, 5], timezone: "Europe/London" }

describe("planning a ping", () => {
  it("pings what nothing is known of", () => {
    expect(planWarmth(settings(), [], now)).toMatchObject({
      act: "ping",
      reason: "no earlier ping is known",
      lastFailed: false,
    })
  })

  it("tells the gap since the last ping that counted, and whether the last one failed", () => {
    const looks = [
      pinged("2026-03-10T11:00Z"),
      pinged("2026-03-10T11:30Z", { outcome: "warn" }),
      pinged("2026-03-10T11:40Z", { service: "web" }),
    ]
    expect(planWarmth(settings(), looks, now)).toMatchObject({
      act: "ping",
      gapMs: hourMs,
      lastFailed: true,
      reason: "1 h since the last ping",
    })
  })

  it("does not ping more often than wanted, but a little early where the scheduler's clock is not exact", () => {
    const at = (minutes: number) => planWarmth(settings(), [pinged(now.getTime() - minutes * minuteMs)], now)
    expect(at(5)).toMatchObject({ act: "skip", reason: "pinged 5 min ago, wanted every 10 min" })
    expect(at(9).act).toBe("ping")
    expect(planWarmth(settings(), [pinged(now.getTime() - 5 * minuteMs, { outcome: "unknown" })], now).act).toBe("ping")
  })

  it("does not ping outside of the active hours, and says when they begin", () => {
    const night = planWarmth(settings({ hours: workHours }), [], new Date("2026-03-10T22:30Z"))
    expect(night).toMatchObject({ act: "skip", lastFailed: false })
    expect(night.reason).toBe(
      "outside of the active hours (07:00-22:00 of mon tue wed thu fri, Europe/London): they begin in 8 h 30 min",
    )
    expect(planWarmth(settings({ hours: workHours }), [], new Date("2026-03-14T12:00Z")).reason).toMatch(
      /begin in 43 h$/,
    )
    expect(planWarmth(settings({ hours: workHours }), [], now).act).toBe("ping")
  })

  it("counts the runs of the month, each of which bills a minute", () => {
    const health = [1, 2, 3].map((hours) => pinged(now.getTime() - hours * hourMs, { by: "health" }))
    const before = pinged("2026-02-28T12:00Z", { by: "health" })
    expect(planWarmth(settings(), [before, ...health, pinged(now.getTime() - hourMs)], now).actionsMinutes).toBe(3)
  })
})

describe("keeping to a budget", () => {
  it("pings as wanted while all active hours fit", () => {
    const plan = planWarmth(settings({ budgetHours: 750 }), [], new Date("2026-03-01T00:00Z"))
    expect(plan.act).toBe("ping")
    expect(plan.reason).toBe(
      "no earlier ping is known; budget 750.0 of 750 h left, 744.0 h needed until the month's end",
    )
  })

  it("keeps only the first hours of each day warm where the month is longer than the budget, and says so", () => {
    const target = settings({ budgetHours: 300 })
    const early = planWarmth(target, [], new Date("2026-03-01T03:00Z"))
    expect(early.act).toBe("ping")
    expect(early.reason).toMatch(
      /it would run out before, so only the first 9\.4 h of each day's active hours are kept warm$/,
    )
    const late = planWarmth(target, [], new Date("2026-03-01T10:00Z"))
    expect(late.act).toBe("skip")
    expect(late.reason).toMatch(/^today's share of the month's budget is used up: budget 300\.0 of 300 h left/)
  })

  it("counts what health's looks keep awake, each moment once, and nothing of the month before", () => {
    const looks = [
      pinged("2026-02-28T23:50Z"),
      pinged("2026-03-01T12:00Z"),
      pinged("2026-03-01T12:05Z", { by: "health" }),
      pinged("2026-03-02T12:00Z", { by: "health" }),
    ]
    const { budget } = planWarmth(settings({ budgetHours: 10 }), looks, new Date("2026-03-03T01:00Z"))
    expect(budget?.usedHours).toBeCloseTo((5 + 20 + 15) / 60, 10)
  })

  it("puts aside what the looks of health will take, so that the end of the month is as warm as its begin", () => {
    const hours = { ...always, beginMinute: 7 * 60, lengthMinutes: 15 * 60 }
    const month = liveThrough(settings({ budgetHours: 500, hours }), 15, 30)
    expect(month.usedHours).toBeLessThanOrEqual(501) // health goes on looking when nothing is left
    expect(month.usedHours).toBeGreaterThan(480)
    expect(month.daysPinged).toBe(31)
    const from = Date.parse("2026-02-28T00:00Z")
    const looks = Array.from({ length: 72 }, (_, index) => pinged(from + index * 30 * minuteMs, { by: "health" }))
    const alone = planWarmth(settings({ budgetHours: 200, hours }), looks, new Date("2026-03-01T12:00Z"))
    expect(alone.act).toBe("skip")
    expect(alone.reason).toMatch(/only the first 0\.0 h of .*; the looks of health take 366\.0 h of it \(interval\)$/)
  })

  it("stops when the budget is used up", () => {
    const looks = Array.from({ length: 40 }, (_, index) =>
      pinged(Date.parse("2026-03-01T00:00Z") + index * 15 * minuteMs),
    )
    const plan = planWarmth(settings({ budgetHours: 10 }), looks, new Date("2026-03-01T10:00Z"))
    expect(plan).toMatchObject({ act: "skip", budget: { leftHours: 0 } })
    expect(plan.reason).toMatch(/^the month's budget is used up/)
  })

  it("never spends more than it has, whatever is kept warm and whenever it is asked, and spends nearly all of it where it is short", () => {
    const wishes = fc.record({
      budgetHours: fc.integer({ min: 1, max: 800 }),
      beginMinute: fc.integer({ min: 0, max: 1439 }),
      lengthMinutes: fc.integer({ min: 60, max: 1440 }),
      timezone: fc.constantFrom("UTC", "Europe/London", "Asia/Tokyo"),
      tickMinutes: fc.constantFrom(20, 33, 65),
    })
    fc.assert(
      fc.property(wishes, ({ budgetHours, tickMinutes, ...hours }) => {
        const target = settings({ budgetHours, hours: { ...always, ...hours } })
        const { usedHours } = liveThrough(target, tickMinutes)
        expect(usedHours).toBeLessThanOrEqual(budgetHours + 1e-9)
      }),
      { numRuns: 6 },
    )
    const short = liveThrough(settings({ budgetHours: 200 }), 15)
    expect(short.usedHours).toBeGreaterThan(190)
    expect(short.daysPinged).toBe(31)
  })
})

/** A month of ticks, each of which pings where the plan says so. */
function liveThrough(target: WarmSettings, tickMinutes: number, healthMinutes?: number) {
  const month = monthOf(Date.parse("2026-03-15T00:00Z"))
  const pings: Observation[] = []
  for (let at = month.from - (healthMinutes ? dayMs : 0); at < month.to; at += tickMinutes * minuteMs) {
    if (planWarmth(target, pings, new Date(at)).act === "ping") pings.push(pinged(at))
    if (healthMinutes && at % (healthMinutes * minuteMs) === 0) pings.push(pinged(at, { by: "health" }))
  }
  const awake = pings.map(({ at }) => ({ from: at.getTime(), to: at.getTime() + target.idleMs }))
  const own = pings.filter(({ at, by }) => by === "keep-warm" && at.getTime() >= month.from)
  const days = new Set(own.map(({ at }) => Math.floor(at.getTime() / dayMs)))
  return { usedHours: lengthMs(clip(awake, month)) / hourMs, daysPinged: days.size }
}
