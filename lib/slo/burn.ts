import type { Finding } from "../core/finding.ts"
import type { Observation } from "../core/observation.ts"
import { type Availability, availabilityOf } from "./availability.ts"
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
 * alarm must burn. A short window is never shorter than two intervals, and an alarm needs two failed intervals and a look in half of the
 * short windows that make up the long one: one failed look at a slow schedule is no trend, and looks that come every hour instead of
 * every half tell of one all the same. `undefined` when too little was seen, or the interval cannot measure the objective.
 */
export function judgeBurn(observations: readonly Observation[], order: BurnOrder): Finding | undefined {
  const { service, objective, intervalMs } = order
  if (unmeasurable(objective, intervalMs) !== undefined) return undefined
  const about = { subject: `service/${service}/budget`, runbook: "error-budget" }
  const seen = alarms.map((alarm) => ({ alarm, burn: burnOf(observations, alarm, order) }))
  const burning = seen.filter(({ alarm, burn }) => burn.rate >= alarm.factor && burn.downIntervals >= fewestFailures)
  const worst = burning.find(({ burn }) => burn.isCovered)
  if (worst) {
    const { alarm, burn } = worst
    const facts = { burnRate: round(burn.longRate), windowHours: Math.round(burn.longMs / hourMs) }
    const { outcome } = alarm
    return { ...about, outcome, detail: burnDetail(burn, objective), class: "budget", isConfirmed: true, facts }
  }
  const longest = seen.findLast(({ burn }) => burn.isCovered)?.burn
  if (burning.length > 0 || !longest) return undefined
  const hours = Math.round(longest.longMs / hourMs)
  return { ...about, outcome: "ok", detail: `the error budget lasts at the rate of the last ${hours} h` }
}

type Burn = { longMs: number; longRate: number; rate: number; downIntervals: number; isCovered: boolean }

/** How fast it burns in the long window, and in the slower of both. */
function burnOf(observations: readonly Observation[], alarm: (typeof alarms)[number], order: BurnOrder): Burn {
  const { objective, intervalMs, now } = order
  const to = new Date(now.getTime() + 1)
  const over = (lengthMs: number, stepMs: number) =>
    availabilityOf(observations, { from: new Date(to.getTime() - lengthMs), to, intervalMs: stepMs })
  const rateOf = ({ share = 1 }: Availability) => (1 - share) / (1 - objective.availability)
  const shortMs = Math.max(alarm.shortMs, 2 * intervalMs)
  const longMs = Math.max(alarm.longMs, shortMs)
  const long = over(longMs, intervalMs)
  const longRate = rateOf(long)
  return {
    ...{ longMs, longRate, rate: Math.min(longRate, rateOf(over(shortMs, intervalMs))) },
    downIntervals: Math.round((long.downMinutes * minuteMs) / intervalMs),
    isCovered: over(longMs, shortMs).coverage >= leastCoverage,
  }
}

function burnDetail({ longMs, longRate }: Burn, { availability, days }: Objective): string {
  const share = Math.round(((longRate * longMs) / (days * 24 * hourMs)) * 100)
  return `${round(longRate)} times as fast as the objective of ${percent(availability)} allows, over ${Math.round(longMs / hourMs)} h: about ${share} % of ${days} days' error budget`
}

function round(rate: number): number {
  return Math.round(rate * 10) / 10
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(4))} %`
}
