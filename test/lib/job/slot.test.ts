import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { latestSlot, parseInstant } from "../../../lib/job/slot.ts"

const minuteMs = 60_000

describe("the latest slot", () => {
  it.each([
    ["17 3 * * *", "2026-01-01T03:16:59.999Z", "2025-12-31T03:17:00.000Z"],
    ["17 3 * * *", "2026-01-01T03:17:00.000Z", "2026-01-01T03:17:00.000Z"],
    ["17 3 * * *", "2026-01-01T03:17:00.001Z", "2026-01-01T03:17:00.000Z"],
    ["7,37 * * * *", "2027-01-01T00:05:12.000Z", "2026-12-31T23:37:00.000Z"],
    ["59 23 31 12 *", "2026-12-31T23:58:59.999Z", "2025-12-31T23:59:00.000Z"],
    ["0 0 1 1 *", "2026-01-01T00:00:00.000Z", "2026-01-01T00:00:00.000Z"],
    ["0 0 29 2 *", "2027-01-01T00:00:00.000Z", "2024-02-29T00:00:00.000Z"],
    // Day of month and day of week are alternatives, as in cron: 4 January 2027 is a Monday.
    ["0 0 1 * 1", "2027-01-05T00:00:00.000Z", "2027-01-04T00:00:00.000Z"],
  ])("of %s at %s is %s", (cron, now, slot) => {
    expect(latestSlot(cron, new Date(now)).toISOString()).toBe(slot)
  })

  it("is the same minute that a search back from now finds, on every day around the turn of a year", () => {
    const now = fc
      .tuple(fc.integer({ min: 2024, max: 2032 }), fc.integer({ min: -4 * 86_400_000, max: 4 * 86_400_000 }))
      .map(([year, offset]) => new Date(Date.UTC(year, 0, 1) + offset))
    const hour = fc.option(fc.integer({ min: 0, max: 23 }), { nil: undefined })
    fc.assert(
      fc.property(now, fc.integer({ min: 0, max: 59 }), hour, (now, minute, hour) => {
        const slot = latestSlot(`${minute} ${hour ?? "*"} * * *`, now)
        expect(slot.toISOString()).toBe(searchBack(now, minute, hour).toISOString())
      }),
    )
  })

  it.each(["", "* * * *", "0 0 3 * * *", "61 * * * *", "@daily nonsense"])('refuses "%s"', (cron) => {
    expect(() => latestSlot(cron, new Date("2026-03-01T00:00:00Z"))).toThrow(/cron/)
  })
})

function searchBack(now: Date, minute: number, hour: number | undefined): Date {
  let time = new Date(Math.floor(now.getTime() / minuteMs) * minuteMs)
  while (time.getUTCMinutes() !== minute || (hour !== undefined && time.getUTCHours() !== hour)) {
    time = new Date(time.getTime() - minuteMs)
  }
  return time
}

describe("a time on the command line", () => {
  it.each([
    ["2026-03-01", "2026-03-01T00:00:00.000Z"],
    ["2026-03-01T03:17", "2026-03-01T03:17:00.000Z"],
    ["2026-03-01T03:17:05Z", "2026-03-01T03:17:05.000Z"],
    ["2026-03-01T03:17+02:00", "2026-03-01T01:17:00.000Z"],
  ])("%s is %s, in UTC unless told", (text, instant) => expect(parseInstant(text)?.toISOString()).toBe(instant))

  it.each(["", "yesterday", "2026-13-01", "03:17", "1772335020", "2026-03-01 03:17", "2026-03-01T25:00"])(
    "%s is none",
    (text) => {
      expect(parseInstant(text)).toBeUndefined()
    },
  )
})
