import type { Finding } from "../core/finding.ts"
import type { Observation } from "../core/observation.ts"
import { formatCount } from "../core/size.ts"
import { monthOf } from "./warm-budget.ts"

export type MinutesOrder = {
  /** Minutes of Actions that the pulse may bill in a month. */
  budget: number
  /** From one run to the next when the schedule is kept, in milliseconds. */
  scheduleMs: number
  now: Date
}

const minuteMs = 60_000
const dayMs = 86_400_000
const evenMinutes = [5, 6, 10, 12, 15, 20, 30, 60, 120, 180, 240, 360, 720]

/**
 * What the pulse bills this month, a minute a run: used so far, and by the month's end at the pace of its schedule, or of the last week
 * where other clocks start it more often. A run that has begun is billed whatever it does, so that no run can keep to a budget: this
 * says in time, and once, which interval would.
 */
export function judgeMinutes(observations: readonly Observation[], { budget, scheduleMs, now }: MinutesOrder): Finding {
  const at = now.getTime()
  const month = monthOf(at)
  const used = runsSince(observations, month.from, at)
  const lately = runsSince(observations, at - 7 * dayMs, at) / 7
  const daily = Math.max(dayMs / scheduleMs, lately)
  const leftDays = (month.to - at) / dayMs
  const projected = Math.round(used + daily * leftDays)
  const facts = { usedMinutes: used, projectedMinutes: projected, budgetMinutes: budget }
  const finding = { subject: "actions/minutes", severity: "P3" as const, runbook: "keep-warm", facts }
  const text = `${formatCount(used)} of ${formatCount(budget)} minutes of Actions used this month, ${formatCount(projected)} by its end`
  if (projected <= budget) return { ...finding, outcome: "ok", detail: text }
  const left = budget - used
  const fitting = evenMinutes.find((minutes) => (leftDays * dayMs) / (minutes * minuteMs) <= left)
  const remedy =
    left <= 0 || fitting === undefined
      ? "none are left: take the cron out of pulse.yml until then, or let another clock ping (npm run job -- keep-warm --print pg_cron)"
      : `start the pulse every ${fitting} minutes at most (the cron in pulse.yml, and any other clock), or raise app.actionsMinutes`
  return { ...finding, outcome: "warn", detail: `${text}: ${remedy}` }
}

/** Each run leaves rows of one time: those of the job that left more of them. */
function runsSince(observations: readonly Observation[], from: number, to: number): number {
  const times = (by: Observation["by"]) => {
    const own = observations.filter((one) => one.by === by && one.at.getTime() >= from && one.at.getTime() <= to)
    return new Set(own.map(({ at }) => Math.floor(at.getTime() / minuteMs))).size
  }
  return Math.max(times("health"), times("keep-warm"))
}
