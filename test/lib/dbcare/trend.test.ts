import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { CareSample } from "../../../lib/dbcare/check.ts"
import { daysLeft, trendOf } from "../../../lib/dbcare/trend.ts"

const now = new Date("2026-03-29T04:00:00Z")
const dayMs = 86_400_000

/** One sample a day, the newest today. */
function samples(values: readonly number[]) {
  return values.map((value, index) => ({
    at: new Date(now.getTime() - (values.length - 1 - index) * dayMs),
    numbers: { size: value },
  }))
}

describe("a trend", () => {
  it("is not read from fewer than seven days, however many samples they have", () => {
    const often = [...samples([1, 2, 3, 4, 5, 6]), { at: new Date(now.getTime() - 1000), numbers: { size: 6 } }]
    expect(trendOf(often, "size", now)).toEqual({ known: false, days: 6 })
  })

  it("is the slope of a straight line, with an interval of no width", () => {
    expect(trendOf(samples([10, 20, 30, 40, 50, 60, 70]), "size", now)).toMatchObject({
      days: 7,
      perDay: 10,
      low: 10,
      high: 10,
    })
  })

  it("does not mind two days that are far off", () => {
    const values = Array.from({ length: 28 }, (_, day) => 1000 + 5 * day)
    values[4] = 90_000
    values[20] = 0
    const trend = trendOf(samples(values), "size", now)
    expect(trend.known && trend.perDay).toBeCloseTo(5, 6)
  })

  it("looks 28 days back, and at the last sample of a day", () => {
    const old = { at: new Date(now.getTime() - 35 * dayMs), numbers: { size: -1_000_000 } }
    const morning = { at: new Date(now.getTime() - 3 * 3_600_000), numbers: { size: 999_999 } }
    const trend = trendOf([old, morning, ...samples([1, 2, 3, 4, 5, 6, 7])], "size", now)
    expect(trend).toMatchObject({ known: true, days: 7, perDay: 1 })
  })

  it("passes over samples without the number, and numbers that are none", () => {
    const odd: CareSample[] = [
      { at: now, numbers: { other: 4 } },
      { at: new Date(now.getTime() - 8 * dayMs), numbers: { size: Number.NaN } },
    ]
    expect(trendOf(odd, "size", now)).toEqual({ known: false, days: 0 })
  })

  it("has its slope within its interval, and turns round with its values", () => {
    const values = fc.array(fc.integer({ min: 0, max: 1_000_000 }), { minLength: 7, maxLength: 28 })
    fc.assert(
      fc.property(values, (list) => {
        const [up, down] = [trendOf(samples(list), "size", now), trendOf(samples(list.map((v) => -v)), "size", now)]
        if (!up.known || !down.known) throw new Error("seven days are enough")
        expect(up.low).toBeLessThanOrEqual(up.perDay)
        expect(up.perDay).toBeLessThanOrEqual(up.high)
        expect(down.perDay).toBeCloseTo(-up.perDay, 6)
      }),
    )
  })

  it("contains the true slope in about four of five cases", () => {
    let inside = 0
    for (let trial = 0; trial < 300; trial++) {
      const noise = (day: number) => Math.sin((trial * 28 + day) * 12.9898) * 43758.5453
      const values = Array.from({ length: 28 }, (_, day) => 100 * day + 400 * (noise(day) - Math.floor(noise(day))))
      const trend = trendOf(samples(values), "size", now)
      if (trend.known && trend.low <= 100 && trend.high >= 100) inside++
    }
    expect(inside / 300).toBeGreaterThan(0.72)
    expect(inside / 300).toBeLessThan(0.9)
  })
})

describe("the days that are left", () => {
  const trend = { known: true, days: 28, perDay: 10, low: 5, high: 20 } as const

  it("are counted at the pace, with the bounds of the interval", () => {
    expect(daysLeft(800, 1000, trend)).toEqual({ known: true, days: 28, expected: 20, soonest: 10, latest: 40 })
  })

  it("have no end where nothing grows, and are none where the limit is passed", () => {
    expect(daysLeft(800, 1000, { ...trend, perDay: -1, low: -2, high: 1 })).toEqual({
      known: true,
      days: 28,
      soonest: 200,
    })
    expect(daysLeft(1000, 1000, trend)).toMatchObject({ expected: 0 })
  })

  it("are not known without a trend", () => {
    expect(daysLeft(1, 2, { known: false, days: 3 })).toEqual({ known: false, days: 3 })
  })
})
