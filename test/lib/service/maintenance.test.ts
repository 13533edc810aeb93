import { Cron } from "croner"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { serviceSchema } from "../../../lib/config/service-schema.ts"
import { ConfigError } from "../../../lib/core/config-error.ts"
import { inMaintenance } from "../../../lib/service/maintenance.ts"

function windows(...list: object[]) {
  return serviceSchema.parse({ url: "https://app.example.com", maintenance: list }).maintenance
}

const end = (list: ReturnType<typeof windows>, at: string, zone?: string) =>
  inMaintenance(list, new Date(at), zone)?.endsAt.toISOString()

describe("a maintenance window", () => {
  it("that is no cron is a setting to correct, which is named", () => {
    const wrong = windows({ cron: "every night", duration: "1 hour" })
    expect(() => inMaintenance(wrong, new Date("2026-03-01T00:00Z"))).toThrow(ConfigError)
    expect(() => inMaintenance(wrong, new Date("2026-03-01T00:00Z"))).toThrow(/"every night" is no cron/)
  })

  it("of its own begins at its first moment and is over at its last", () => {
    const once = windows({ from: "2026-03-01T02:00Z", to: "2026-03-01T03:00Z", reason: "move to the new host" })
    expect(end(once, "2026-03-01T01:59:59.999Z")).toBeUndefined()
    expect(inMaintenance(once, new Date("2026-03-01T02:00:00Z"))).toEqual({
      reason: "move to the new host",
      endsAt: new Date("2026-03-01T03:00:00Z"),
    })
    expect(end(once, "2026-03-01T02:59:59.999Z")).toBe("2026-03-01T03:00:00.000Z")
    expect(end(once, "2026-03-01T03:00:00Z")).toBeUndefined()
  })

  it("that recurs begins at its cron, in its own time zone or that of the app", () => {
    const sundays = { cron: "0 2 * * 0", duration: "90 minutes" }
    expect(end(windows(sundays), "2026-07-05T01:00:00.000Z", "Europe/London")).toBe("2026-07-05T02:30:00.000Z")
    expect(end(windows(sundays), "2026-07-05T02:30:00.000Z", "Europe/London")).toBeUndefined()
    expect(end(windows(sundays), "2026-07-05T00:59:59.999Z", "Europe/London")).toBeUndefined()
    const inTokyo = windows({ ...sundays, timezone: "Asia/Tokyo" })
    expect(end(inTokyo, "2026-07-04T17:15:00Z", "Europe/London")).toBe("2026-07-04T18:30:00.000Z")
    expect(end(windows(sundays), "2026-07-05T02:15:00Z")).toBe("2026-07-05T03:30:00.000Z")
  })

  it("may reach over midnight, and over several days", () => {
    const long = windows({ cron: "0 22 * * 5", duration: "2 days" })
    expect(end(long, "2026-03-08T21:59:00Z")).toBe("2026-03-08T22:00:00.000Z")
    expect(end(long, "2026-03-08T22:00:00Z")).toBeUndefined()
  })

  it("is as long as it says on the days on which clocks change, and not lost with a skipped hour", () => {
    const nightly = windows({ cron: "30 2 * * *", duration: "1 hour" })
    const berlin = (at: string) => end(nightly, at, "Europe/Berlin")
    // 29 March: the clock goes from 02:00 to 03:00, which is 01:00 UTC; half past two never comes.
    expect(berlin("2026-03-29T00:45:00Z")).toBeUndefined()
    expect(berlin("2026-03-29T01:10:00Z")).toBe("2026-03-29T02:00:00.000Z")
    expect(berlin("2026-03-29T02:00:00Z")).toBeUndefined()
    // 25 October: half past two comes twice, at 00:30 and 01:30 UTC; the window comes once.
    expect(berlin("2026-10-25T00:30:00Z")).toBe("2026-10-25T01:30:00.000Z")
    expect(berlin("2026-10-25T01:30:00Z")).toBeUndefined()
  })

  it("that ends last counts where several overlap", () => {
    const two = windows(
      { from: "2026-03-01T02:00Z", to: "2026-03-01T03:00Z", reason: "short" },
      { cron: "0 0 1 * *", duration: "6 hours", reason: "long" },
    )
    expect(inMaintenance(two, new Date("2026-03-01T02:30:00Z"))?.reason).toBe("long")
    expect(inMaintenance([], new Date("2026-03-01T02:30:00Z"))).toBeUndefined()
  })

  it("holds whenever, and only when, one of its beginnings is less than its length ago", () => {
    const zones = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]
    const crons = ["30 2 * * *", "0 1 * * 0", "*/40 * * * *", "15 23 28 * *", "0 0 * 3,10,11 1-5"]
    const year = { min: new Date("2026-01-01T00:00Z"), max: new Date("2026-12-31T00:00Z"), noInvalidDate: true }
    const property = fc.property(
      fc.constantFrom(...zones),
      fc.constantFrom(...crons),
      fc.integer({ min: 1, max: 3000 }),
      fc.date(year),
      (timezone, cron, minutes, at) => {
        const [window] = windows({ cron, duration: `${minutes} min` })
        const schedule = new Cron(cron, { mode: "5-part", timezone, paused: true })
        const earliest = new Date(at.getTime() - minutes * 60_000)
        // croner counts whole seconds and leaves out the one it is given
        const next = schedule.nextRun(new Date(Math.floor(earliest.getTime() / 1000) * 1000))
        const expected = next !== null && next <= at && next > earliest
        expect(window && inMaintenance([window], at, timezone) !== undefined).toBe(expected)
      },
    )
    fc.assert(property, { numRuns: 500, seed: 20261120 })
  })
})
