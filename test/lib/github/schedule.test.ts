import { expect, it } from "vitest"
import { usualGapMs } from "../../../lib/github/schedule.ts"

const now = new Date("2026-03-01T12:00:00Z")
const minutes = (...crons: string[]) => (usualGapMs(crons, now) ?? Number.NaN) / 60_000

it("is what the crons ask for, whatever their number and the hours in which they rest", () => {
  expect(minutes("7,37 * * * *")).toBe(30)
  expect(minutes("*/5 * * * *")).toBe(5)
  expect(minutes("7 * * * *", "37 * * * *", "37 * * * *")).toBe(30)
  expect(minutes("7,37 6-20 * * 1-5")).toBe(30)
  expect(minutes("17 3 * * *")).toBe(1440)
})

it("is unknown where there is no cron, or one run a week", () => {
  expect(usualGapMs([], now)).toBeUndefined()
  expect(usualGapMs(["17 3 * * 1"], now)).toBeUndefined()
})
