import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type Grid, gridOf, stepAt, stepBegin } from "../../../lib/decay/slots.ts"

const day = { text: "1 day", ms: 86_400_000 }
const at = (text: string) => new Date(text)
const steps = (grid: Grid, from: string, to: string) => stepAt(grid, at(to)) - stepAt(grid, at(from))

describe("steps of whole days", () => {
  it("begin at local midnight, which moves with summer time", () => {
    const london = gridOf(day, "Europe/London")
    expect(stepBegin(london, stepAt(london, at("2026-07-01T12:00:00Z")))).toEqual(at("2026-06-30T23:00:00Z"))
    expect(stepBegin(london, stepAt(london, at("2026-12-01T12:00:00Z")))).toEqual(at("2026-12-01T00:00:00Z"))
  })

  it.each([
    ["Europe/London", "2026-03-29T00:00:00Z", "2026-03-29T23:00:00Z", 23],
    ["Europe/London", "2026-10-24T23:00:00Z", "2026-10-26T00:00:00Z", 25],
    ["America/New_York", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z", 23],
    ["America/New_York", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z", 25],
  ])("count a day of %s as one, from %s to %s", (timezone, from, to, hours) => {
    const grid = gridOf(day, timezone)
    expect((at(to).getTime() - at(from).getTime()) / 3_600_000).toBe(hours)
    expect(stepBegin(grid, stepAt(grid, at(from)))).toEqual(at(from))
    expect(steps(grid, from, to)).toBe(1)
    expect(stepAt(grid, new Date(at(to).getTime() - 1))).toBe(stepAt(grid, at(from)))
  })

  it("go on over the end of a year and a leap day", () => {
    expect(steps(gridOf(day, "UTC"), "2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z")).toBe(1)
    expect(steps(gridOf(day, "UTC"), "2028-02-28T12:00:00Z", "2028-03-01T12:00:00Z")).toBe(2)
    expect(steps(gridOf(day, "Pacific/Auckland"), "2026-12-31T10:59:59Z", "2026-12-31T11:00:00Z")).toBe(1)
  })

  it("begin with the first moment of a day that has no midnight", () => {
    const beirut = gridOf(day, "Asia/Beirut") // on 2026-03-29 the clock goes from 00:00 to 01:00
    expect(stepBegin(beirut, stepAt(beirut, at("2026-03-29T12:00:00Z")))).toEqual(at("2026-03-28T22:00:00Z"))
  })

  it("may be several days long", () => {
    const week = gridOf({ text: "1 week", ms: 7 * day.ms }, "UTC")
    expect(steps(week, "2026-01-01T00:00:00Z", "2026-01-15T00:00:00Z")).toBe(2)
  })
})

it("other steps lie in UTC, whatever the time zone does", () => {
  const grid = gridOf({ text: "6 hours", ms: 6 * 3_600_000 }, "Europe/London")
  expect(steps(grid, "2026-03-29T00:00:00Z", "2026-03-30T00:00:00Z")).toBe(4)
})

it("the beginning of a step is in it, and the moment before is not", () => {
  const zones = fc.constantFrom(
    "UTC",
    "Europe/London",
    "America/New_York",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "America/Havana",
  )
  const lengths = fc.constantFrom(3_600_000, 5_400_000, day.ms, 3 * day.ms)
  const times = fc.date({ min: at("1960-01-01T00:00:00Z"), max: at("2080-01-01T00:00:00Z"), noInvalidDate: true })
  fc.assert(
    fc.property(zones, lengths, times, (zone, ms, time) => {
      const grid = gridOf({ text: "", ms }, zone)
      const step = stepAt(grid, time)
      const begin = stepBegin(grid, step)
      expect(begin.getTime()).toBeLessThanOrEqual(time.getTime())
      expect(stepAt(grid, begin)).toBe(step)
      expect(stepAt(grid, new Date(begin.getTime() - 1))).toBe(step - 1)
    }),
    { numRuns: 60 },
  )
})
