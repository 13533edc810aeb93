import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { judgeWarmth, renderWarmth, reportWarmth } from "../../../lib/service/warm-report.ts"
import { dayMs, hourMs, minuteMs, pinged, settings } from "../../support/warm.ts"

const from = new Date("2026-03-10T00:00Z")
const to = new Date("2026-03-11T00:00Z")
const every = (minutes: number, changes = {}) =>
  Array.from({ length: Math.ceil((24 * 60) / minutes) }, (_, index) =>
    pinged(from.getTime() + index * minutes * minuteMs, changes),
  )

describe("what was delivered", () => {
  it("is nothing where nothing is known", () => {
    const report = reportWarmth(settings(), [], from, to)
    expect(report).toMatchObject({
      activeMs: dayMs,
      warmMs: 0,
      longestGapMs: dayMs,
      coldStarts: 0,
      pings: { wanted: 144, made: 0 },
    })
    expect(judgeWarmth(settings(), report)).toMatchObject({
      subject: "service/api/warmth",
      outcome: "warn",
      runbook: "keep-warm",
    })
  })

  it("is the time within the host's patience after each ping that counted", () => {
    expect(reportWarmth(settings(), every(30), from, to).warmMs).toBe(12 * hourMs)
    expect(reportWarmth(settings(), every(10), from, to).warmMs).toBe(dayMs)
    expect(reportWarmth(settings(), every(30, { outcome: "warn" }), from, to).warmMs).toBe(0)
    expect(reportWarmth(settings(), every(30, { by: "health" }), from, to).warmMs).toBe(0)
    expect(reportWarmth(settings(), every(30, { service: "web" }), from, to).warmMs).toBe(0)
    expect(reportWarmth(settings(), [pinged("2026-03-09T23:50Z")], from, to).warmMs).toBe(5 * minuteMs)
  })

  it("counts the active hours alone", () => {
    const hours = { beginMinute: 420, lengthMinutes: 600, days: [2], timezone: "UTC" } // a Tuesday, 07:00 to 17:00
    const night = [pinged("2026-03-10T02:00Z", { isCold: true }), pinged("2026-03-10T20:00Z")]
    const day = [pinged("2026-03-10T07:30Z", { isCold: true }), pinged("2026-03-10T08:36Z")]
    const report = reportWarmth(settings({ hours }), [...night, ...day], from, to)
    expect(report).toEqual({
      activeMs: 10 * hourMs,
      warmMs: 30 * minuteMs,
      longestGapMs: 504 * minuteMs,
      coldStarts: 1,
      foundAwake: 1,
      pings: { wanted: 60, made: 2, counted: 2 },
    })
    const weekend = reportWarmth(settings({ hours }), day, new Date("2026-03-14T00:00Z"), new Date("2026-03-15T00:00Z"))
    expect(judgeWarmth(settings(), weekend).outcome).toBe("unknown")
  })

  it("is told in one line, rounded down", () => {
    const pings = every(30).filter((_, index) => index % 24 !== 2)
    const cold = pings.map((ping, index) => (index % 5 === 0 ? { ...ping, isCold: true } : ping))
    expect(renderWarmth(reportWarmth(settings(), cold, from, to))).toBe(
      "warm 47 % of 24.0 active hours, longest gap 1 h, 10 cold starts; 46 of 144 wanted pings were made (coverage 31 %)",
    )
    const almost = every(15).toSpliced(3, 1)
    expect(renderWarmth(reportWarmth(settings({ everyMs: 15 * minuteMs }), almost, from, to))).toMatch(/^warm 98 %/)
  })

  it("is never above the whole, never below nothing, and no ping that is added makes it less", () => {
    const at = fc.integer({ min: from.getTime() - dayMs, max: to.getTime() + dayMs })
    const looks = fc.array(fc.record({ at, isCounted: fc.boolean() }), { maxLength: 60 })
    fc.assert(
      fc.property(looks, at, (some, another) => {
        const pings = some.map((look) => pinged(look.at, { outcome: look.isCounted ? "ok" : "unknown" }))
        const report = reportWarmth(settings(), pings, from, to)
        const more = reportWarmth(settings(), [...pings, pinged(another)], from, to)
        expect(report.warmMs).toBeGreaterThanOrEqual(0)
        expect(report.warmMs).toBeLessThanOrEqual(report.activeMs)
        expect(more.warmMs).toBeGreaterThanOrEqual(report.warmMs)
        expect(more.longestGapMs ?? 0).toBeLessThanOrEqual(report.longestGapMs ?? 0)
      }),
      { numRuns: 100 },
    )
  })
})

describe("what is said of it", () => {
  it("warns below the wanted share, with a way out, and not above or where no share is wanted", () => {
    const half = reportWarmth(settings(), every(30), from, to)
    expect(judgeWarmth(settings(), half).outcome).toBe("ok")
    const third = reportWarmth(settings(), every(45, { isCold: true }), from, to)
    const finding = judgeWarmth(settings(), third)
    expect(finding).toMatchObject({
      outcome: "warn",
      severity: "P3",
      facts: { warmPercent: 33, coldStarts: 32, pingsMade: 32 },
    })
    expect(finding.detail).toContain(
      "wanted are 50 %: GitHub's clock cannot hold short intervals, docs/keep-warm.md has schedulers that do",
    )
    expect(judgeWarmth(settings({ atLeast: 0 }), third).outcome).toBe("ok")
    expect(judgeWarmth(settings(), third, { fittingHours: 9.43 }).detail).toContain(
      "wanted are 50 %, and the month's budget holds for 9.4 h of each day: choose narrower hours",
    )
  })

  it("judges nothing before two hours are known", () => {
    const report = reportWarmth(settings(), [], new Date("2026-03-10T23:00Z"), to)
    expect(judgeWarmth(settings(), report)).toMatchObject({ outcome: "unknown" })
  })

  it("does not warn when pings after long pauses find it awake: another scheduler keeps it warm", () => {
    const report = reportWarmth(settings(), every(65), from, to)
    expect(report).toMatchObject({ foundAwake: 22, coldStarts: 0 })
    const finding = judgeWarmth(settings(), report)
    expect(finding.outcome).toBe("ok")
    expect(finding.detail).toContain("found awake by 22 pings that came after a longer pause")
  })

  it("says that keeping warm may no longer be needed when no cold start was seen for so many days, in spite of pauses", () => {
    const daily = (days: number, changes = {}) =>
      Array.from({ length: days }, (_, index) => pinged(to.getTime() - (index + 1) * dayMs, changes))
    const says = (looks: ReturnType<typeof pinged>[]) =>
      judgeWarmth(settings(), reportWarmth(settings(), looks, from, to)).detail
    expect(says(daily(31))).toContain(
      "no cold start seen for 31 days, although 30 pings came after a pause long enough to fall asleep: keep-warm may no longer be needed",
    )
    expect(says(daily(20))).not.toContain("no longer")
    expect(says([...daily(31), pinged(to.getTime() - 3 * dayMs + 1, { isCold: true })])).not.toContain("no longer")
  })

  it("does not count the pauses before the last cold start", () => {
    const ago = (days: number, changes = {}) => pinged(to.getTime() - days * dayMs, changes)
    const before = Array.from({ length: 40 }, (_, index) => ago(80 - index))
    const since = Array.from({ length: 35 * 144 }, (_, index) => ago((index + 1) / 144))
    const report = reportWarmth(settings(), [...before, ago(35.1, { isCold: true }), ...since], from, to)
    expect(report.notNeededFor).toBeUndefined()
  })

  it("does not say so while pings leave it no time to fall asleep", () => {
    const looks = Array.from({ length: 31 * 24 * 6 }, (_, index) => pinged(to.getTime() - (index + 1) * 10 * minuteMs))
    expect(reportWarmth(settings(), looks, from, to).notNeededFor).toBeUndefined()
  })
})
