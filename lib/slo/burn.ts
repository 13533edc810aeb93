import type { Finding } from "../core/finding.ts"
import type { Observation } from "../core/observation.ts"
import { availabilityOf } from "./availability.ts"
import { type Objective, unmeasurable } from "./objective.ts"

const minuteMs = 60_000
const hourMs = 60 * minuteMs

/** Windows and factors of Google's SRE workbook, chapter 5, "multiwindow, multi-burn-rate alerts". */
const alarms = [
  { factor: 14.4, longMs: hourMs, shortMs: 5 * minuteMs, outcome: "fail" },
  { factor: 6, longMs: 6 * hourMs, shortMs: 30 * minuteMs, outcome: "fail" },
  { factor: 3, longMs: 24 * hourMs, shortMs: 2 * hourMs, outcome: "warn" },
  { factor: 1, longMs: 72 * hourMs, shortMs: 6 * hourMs, outcome: "warn" },
] as const

const fewestFailures = 2
const leastCoverage = 0.5

export type BurnOrder = { service: string; objective: Objective; intervalMs: number; now: Date }

/**
 * How fast the error budget burns: a finding `service/<name>/budget`, with the worst alarm, `ok` when there is none. Both windows of an
 * alarm must burn. A short window is never shorter than two intervals, and an alarm needs two failed intervals and half of the long window
 * seen: one failed look at a slow schedule is no trend. `undefined` when too little was seen, or the interval cannot measure the objective.
 */
export function judgeBurn(observations: readonly Observation[], order: BurnOrder): Finding | undefined {
  const { service, objective, intervalMs } = order
  if (unmeasurable(objective, intervalMs) !== undefined) return undefined
  const subject = `service/${service}/budget`
  const runbook = "error-budget"
  let isSeen = false
  for (const { factor, longMs, shortMs, outcome } of alarms) {
    const long = windowOf(observations, Math.max(longMs, 2 * intervalMs), order)
    const short = windowOf(observations, Math.max(shortMs, 2 * intervalMs), order)
    const rates = [long, short].map(({ share = 1 }) => (1 - share) / (1 - objective.availability))
    isSeen ||= long.coverage >= leastCoverage
    const isBurning = rates.every((rate) => rate >= factor)
    if (!isBurning || long.downIntervals < fewestFailures || long.coverage < leastCoverage) continue
    const hours = Math.round(Math.max(longMs, 2 * intervalMs) / hourMs)
    const share = Math.round((((rates[0] ?? 0) * longMs) / (objective.days * 24 * hourMs)) * 100)
    const detail = `${round(rates[0] ?? 0)} times as fast as the objective of ${percent(objective.availability)} allows, over ${hours} h: about ${share} % of ${objective.days} days' error budget`
    return {
      subject,
      outcome,
      detail,
      runbook,
      class: "budget",
      isConfirmed: true,
      facts: { burnRate: round(rates[0] ?? 0), windowHours: hours },
    }
  }
  if (!isSeen) return undefined
  return { subject, outcome: "ok", detail: "the error budget lasts at the rate of the last three days", runbook }
}

function windowOf(observations: readonly Observation[], lengthMs: number, { intervalMs, now }: BurnOrder) {
  const window = { from: new Date(now.getTime() - lengthMs), to: new Date(now.getTime() + 1), intervalMs }
  const { share, coverage, downMinutes } = availabilityOf(observations, window)
  return { share, coverage, downIntervals: Math.round((downMinutes * minuteMs) / intervalMs) }
}

function round(rate: number): number {
  return Math.round(rate * 10) / 10
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(4))} %`
}
