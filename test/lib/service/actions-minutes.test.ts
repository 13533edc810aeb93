import { expect, it } from "vitest"
import type { Observation } from "../../../lib/core/observation.ts"
import { judgeMinutes } from "../../../lib/service/actions-minutes.ts"

const now = new Date("2026-03-16T00:00:00Z")
const minuteMs = 60_000

/** Runs every so many minutes since the month began, two services each. */
function runs(everyMinutes: number): Observation[] {
  const from = Date.parse("2026-03-01T00:07:00Z")
  const count = Math.floor((now.getTime() - from) / (everyMinutes * minuteMs)) + 1
  return Array.from({ length: count }, (_, index) => new Date(from + index * everyMinutes * minuteMs)).flatMap((at) =>
    ["api", "web"].map((service) => ({ at, service, by: "health" as const, outcome: "ok" as const })),
  )
}

it("says what the month comes to on the schedule, which fits", () => {
  const finding = judgeMinutes(runs(30), { budget: 2000, scheduleMs: 30 * minuteMs, now })
  expect(finding).toMatchObject({ outcome: "ok", facts: { usedMinutes: 720, projectedMinutes: 1488 } })
})

it("warns when another clock starts it more often, and names the interval that fits", () => {
  const finding = judgeMinutes(runs(12), { budget: 2000, scheduleMs: 30 * minuteMs, now })
  expect(finding).toMatchObject({
    subject: "actions/minutes",
    outcome: "warn",
    severity: "P3",
    facts: { usedMinutes: 1800 },
  })
  // 200 minutes are left for 16 days of 1,440.
  expect(finding.detail).toContain("every 120 minutes at most")
})

it("says what to do when none are left, and counts nothing of the month before", () => {
  const order = { budget: 1000, scheduleMs: 30 * minuteMs, now }
  expect(judgeMinutes(runs(12), order).detail).toContain("none are left: take the cron out of pulse.yml")
  const begin = new Date("2026-04-01T00:00:00Z")
  expect(judgeMinutes(runs(12), { ...order, budget: 2000, now: begin })).toMatchObject({ facts: { usedMinutes: 0 } })
})
