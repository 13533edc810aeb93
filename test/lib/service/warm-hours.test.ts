import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { describeHours, readHours, type WarmHours, warmWindows } from "../../../lib/service/warm-hours.ts"
import { intersect, lengthMs, union } from "../../../lib/service/warm-spans.ts"
import { dayMs, hourMs } from "../../support/warm.ts"

const week = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const
const span = (from: string, to: string) => ({ from: Date.parse(from), to: Date.parse(to) })
const iso = (windows: readonly { from: number; to: number }[]) =>
  windows.map(
    ({ from, to }) => `${new Date(from).toISOString().slice(0, 16)} ${new Date(to).toISOString().slice(0, 16)}`,
  )

describe("active hours", () => {
  it("are read, and the same time twice is the whole day", () => {
    const read = (hours: string) => readHours({ hours, days: [...week] }, "UTC")
    expect(read("07:00-22:00")).toMatchObject({ beginMinute: 420, lengthMinutes: 900, timezone: "UTC" })
    expect(read("22:00-06:00")).toMatchObject({ beginMinute: 1320, lengthMinutes: 480 })
    expect(read("00:00-24:00")).toMatchObject({ beginMinute: 0, lengthMinutes: 1440 })
    expect(read("08:00-08:00")).toMatchObject({ beginMinute: 480, lengthMinutes: 1440 })
    expect(readHours({ hours: "07:00-22:00", days: ["mon", "sat"], timezone: "Asia/Tokyo" }, "UTC")).toMatchObject({
      days: [1, 6],
      timezone: "Asia/Tokyo",
    })
    expect(describeHours(read("07:00-24:00"))).toBe("07:00-24:00 of every day, UTC")
    expect(describeHours(readHours({ hours: "22:00-06:00", days: ["fri"] }, "UTC"))).toBe("22:00-06:00 of fri, UTC")
  })

  it("follow the clock on the wall when it is changed", () => {
    const hours = readHours({ hours: "07:00-22:00", days: [...week] }, "Europe/London")
    expect(iso(warmWindows(hours, span("2026-03-28T12:00Z", "2026-03-29T12:00Z")))).toEqual([
      "2026-03-28T07:00 2026-03-28T22:00",
      "2026-03-29T06:00 2026-03-29T21:00",
    ])
  })

  it("have a day of 23 and one of 25 hours, and lose or gain the hour over which they reach", () => {
    const days = [...week]
    const lengths = (hours: string, from: string, to: string) =>
      warmWindows(readHours({ hours, days }, "Europe/Berlin"), span(from, to)).map((one) => lengthMs([one]) / hourMs)
    expect(lengths("00:00-24:00", "2026-03-29T10:00Z", "2026-03-29T11:00Z")).toEqual([23])
    expect(lengths("00:00-24:00", "2026-10-25T10:00Z", "2026-10-25T11:00Z")).toEqual([25])
    expect(lengths("01:00-04:00", "2026-03-29T00:30Z", "2026-03-29T01:30Z")).toEqual([2])
    expect(lengths("01:00-04:00", "2026-10-25T00:30Z", "2026-10-25T01:30Z")).toEqual([4])
  })

  it("begin an hour later on the day on which their begin is left out", () => {
    const hours = readHours({ hours: "02:30-06:00", days: [...week] }, "Europe/Berlin")
    expect(iso(warmWindows(hours, span("2026-03-29T00:00Z", "2026-03-29T05:00Z")))).toEqual([
      "2026-03-29T01:30 2026-03-29T04:00",
    ])
  })

  it("over midnight belong to the day on which they begin", () => {
    const hours = readHours({ hours: "22:00-06:00", days: ["fri"] }, "America/New_York")
    // 2026-03-06 is a Friday; New York is five hours behind.
    expect(iso(warmWindows(hours, span("2026-03-01T00:00Z", "2026-03-09T00:00Z")))).toEqual([
      "2026-03-07T03:00 2026-03-07T11:00",
    ])
    expect(warmWindows(hours, span("2026-03-07T10:59Z", "2026-03-07T11:01Z"))).toHaveLength(1)
    expect(warmWindows(hours, span("2026-03-07T11:00Z", "2026-03-08T11:00Z"))).toEqual([])
  })

  it("agree with a clock that is asked for every moment", () => {
    const zones = [
      "UTC",
      "Europe/London",
      "America/St_Johns",
      "Asia/Kathmandu",
      "Australia/Lord_Howe",
      "Pacific/Kiritimati",
    ]
    const anyHours = fc.record({
      beginMinute: fc.integer({ min: 0, max: 1439 }),
      lengthMinutes: fc.integer({ min: 1, max: 1440 }),
      days: fc.subarray([1, 2, 3, 4, 5, 6, 7], { minLength: 1 }),
      timezone: fc.constantFrom(...zones),
    })
    // Away from changes of the clock, where the two ways of reckoning may differ for an hour.
    const quiet = fc.integer({ min: Date.parse("2026-06-01T00:00Z"), max: Date.parse("2026-08-31T00:00Z") })
    fc.assert(
      fc.property(anyHours, quiet, (hours, at) => {
        expect(warmWindows(hours, { from: at, to: at + 1 }).length > 0).toBe(isActive(hours, at))
      }),
      { numRuns: 300 },
    )
  })
})

describe("stretches of time", () => {
  it("are joined where they touch, and cut with others", () => {
    const spans = [
      { from: 5, to: 9 },
      { from: 0, to: 3 },
      { from: 3, to: 4 },
      { from: 8, to: 12 },
    ]
    expect(union(spans)).toEqual([
      { from: 0, to: 4 },
      { from: 5, to: 12 },
    ])
    expect(intersect(spans, [{ from: 2, to: 6 }])).toEqual([
      { from: 2, to: 4 },
      { from: 5, to: 6 },
    ])
    expect(lengthMs(spans)).toBe(11)
    expect(spans[0]).toEqual({ from: 5, to: 9 })
  })
})

/** The clock on the wall, moved back by the begin: the way in which the SQL asks. */
function isActive({ beginMinute, lengthMinutes, days, timezone }: WarmHours, at: number): boolean {
  const parts = new Intl.DateTimeFormat("sv-SE", { timeZone: timezone, dateStyle: "short", timeStyle: "medium" })
  const moved = new Date(Date.parse(`${parts.format(at).replace(" ", "T")}Z`) - beginMinute * 60_000)
  const sinceMidnight = moved.getTime() - Math.floor(moved.getTime() / dayMs) * dayMs
  return sinceMidnight < lengthMinutes * 60_000 && days.includes(moved.getUTCDay() || 7)
}
