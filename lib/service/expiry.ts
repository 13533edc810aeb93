import type { Outcome } from "../core/outcome.ts"
import { type Severity, severities } from "../core/severity.ts"

const dayMs = 24 * 3600 * 1000

/** Whole days from `now` until `end`; below 0 when it is past. */
export function daysUntil(end: Date, now: Date): number {
  return Math.floor((end.getTime() - now.getTime()) / dayMs)
}

/** The ladder by which people hear of what runs out: 30 and 14 days before a warning, 7 and 1 day before a failure. */
export function judgeExpiry(daysLeft: number): Outcome {
  if (daysLeft <= 7) return "fail"
  return daysLeft <= 30 ? "warn" : "ok"
}

/**
 * How bad it is that something runs out, so that each rung of the ladder is worse than the one before and is told: 7 days before as bad
 * as `usual`, at the end a step worse, 14 and 30 days before one and two steps less. `undefined` above the ladder.
 */
export function severityOfExpiry(daysLeft: number, usual: Severity): Severity | undefined {
  if (daysLeft > 30) return undefined
  const step = daysLeft <= 1 ? -1 : daysLeft <= 7 ? 0 : daysLeft <= 14 ? 1 : 2
  const at = severities.indexOf(usual) + step
  return severities[Math.min(Math.max(at, 0), severities.length - 1)]
}

/** `runs out in 6 days, on 2026-03-07`, `ran out 2 days ago, on …`. */
export function tellExpiry(end: Date, daysLeft: number): string {
  const on = `on ${end.toISOString().slice(0, 10)}`
  if (daysLeft >= 1) return `runs out in ${count(daysLeft)}, ${on}`
  if (daysLeft === 0) return `runs out within a day, ${on}`
  return `ran out ${daysLeft === -1 ? "within the last day" : `${count(-daysLeft - 1)} ago`}, ${on}`
}

function count(days: number): string {
  return days === 1 ? "1 day" : `${days} days`
}
