import { describe, expect, it } from "vitest"
import { forecastTimeUp } from "../../../lib/backup/time-limit.ts"

const gigabyte = 1e9

describe("a dump under way", () => {
  it("is foreseen to take too long at the rate it has, with the remedy", () => {
    const dump = { doneBytes: gigabyte, databaseBytes: 200 * gigabyte, elapsedMs: 90_000 }
    expect(forecastTimeUp(dump, 120)).toContain(
      "at 11.1 MB/s the 200 GB of the database take about 5 h, and the job has 120 min: raise jobMinutes",
    )
  })

  it("is let alone when the time will do, and before its rate says anything", () => {
    expect(
      forecastTimeUp({ doneBytes: gigabyte, databaseBytes: 20 * gigabyte, elapsedMs: 90_000 }, 120),
    ).toBeUndefined()
    expect(forecastTimeUp({ doneBytes: 1, databaseBytes: 200 * gigabyte, elapsedMs: 59_000 }, 120)).toBeUndefined()
    expect(forecastTimeUp({ doneBytes: 0, databaseBytes: 200 * gigabyte, elapsedMs: 90_000 }, 120)).toBeUndefined()
  })
})
