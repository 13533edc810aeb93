import { formatDuration } from "../core/duration.ts"
import type { Finding } from "../core/finding.ts"
import type { Observation } from "../core/observation.ts"
import type { WarmBudget } from "./warm-budget.ts"
import { warmWindows } from "./warm-hours.ts"
import { clip, intersect, lengthMs, type Span, union } from "./warm-spans.ts"
import type { WarmSettings } from "./warmth.ts"

/** What was delivered in a stretch of time, of the active hours in it. */
export type WarmReport = {
  activeMs: number
  /** Time within `idleMinutes` after a ping that counted. Time of which nothing is known is not warm. */
  warmMs: number
  /** The longest time without a ping that counted; absent without active hours. */
  longestGapMs?: number
  /** Cold starts, whoever met them. */
  coldStarts: number
  /** Pings that came after it had time to fall asleep, and found it awake. */
  foundAwake: number
  pings: { wanted: number; made: number; counted: number }
  /** Set when it stayed awake for so many days without being held awake from here. */
  notNeededFor?: { days: number; foundAwake: number }
}

const dayMs = 86_400_000
const hourMs = 3_600_000

/** Below so many looks after a pause nothing is concluded from what they found. */
const fewLooks = 5
const leastActiveMs = 2 * hourMs

/** Measures the time from `from` up to `to`; `observations` may reach further back, which tells whether keeping warm is still needed. */
export function reportWarmth(
  target: WarmSettings,
  observations: readonly Observation[],
  from: Date,
  to: Date,
): WarmReport {
  const range: Span = { from: from.getTime(), to: to.getTime() }
  const looks = observations
    .filter(({ service, at }) => service === target.name && at.getTime() < range.to)
    .toSorted((a, b) => a.at.getTime() - b.at.getTime())
  const active = union(clip(warmWindows(target.hours, range), range))
  const times = looks.filter(isCounted).map(({ at }) => at.getTime())
  const warm = times.map((at) => ({ from: at, to: at + target.idleMs }))
  const seen = looks.filter(({ at }) => active.some((span) => span.from <= at.getTime() && at.getTime() < span.to))
  const pings = seen.filter(({ by }) => by === "keep-warm")
  const awake = foundAwake(looks, target.idleMs)
  return {
    activeMs: lengthMs(active),
    warmMs: lengthMs(intersect(active, warm)),
    ...(active.length > 0 && { longestGapMs: Math.max(...active.map((span) => longestGap(span, times))) }),
    coldStarts: seen.filter(({ isCold }) => isCold).length,
    foundAwake: awake.filter((look) => seen.includes(look)).length,
    pings: {
      wanted: Math.max(1, Math.floor(lengthMs(active) / target.everyMs)),
      made: pings.length,
      counted: pings.filter(isCounted).length,
    },
    ...notNeeded(target, looks, awake, range.to),
  }
}

/** The report in one line: `warm 71 % of 24.0 active hours, longest gap 1 h 6 min, 9 cold starts; 103 of 144 wanted pings (72 %)`. */
export function renderWarmth({ activeMs, warmMs, longestGapMs = 0, coldStarts, pings }: WarmReport): string {
  if (activeMs === 0) return "no active hours in this time"
  const cold = coldStarts === 1 ? "1 cold start" : `${coldStarts || "no"} cold starts`
  const failed = pings.made === pings.counted ? "" : `, ${pings.made - pings.counted} of them did not count`
  return (
    `warm ${percent(warmMs, activeMs)} of ${(activeMs / hourMs).toFixed(1)} active hours, longest gap ${formatDuration(longestGapMs)}, ${cold}; ` +
    `${pings.made} of ${pings.wanted} wanted pings were made (coverage ${percent(Math.min(pings.made, pings.wanted), pings.wanted)})${failed}`
  )
}

/** What the report means. A host that is found awake each time without our help is no reason to warn. */
export function judgeWarmth(
  { name, atLeast }: WarmSettings,
  report: WarmReport,
  budget?: Pick<WarmBudget, "fittingHours">,
): Finding {
  const { activeMs, warmMs, coldStarts, pings, longestGapMs = 0, notNeededFor } = report
  const text = renderWarmth(report)
  const finding = { subject: `service/${name}/warmth`, runbook: "keep-warm", severity: "P3" as const }
  if (activeMs < leastActiveMs)
    return { ...finding, outcome: "unknown", detail: `too little is known to judge: ${text}` }
  const facts = {
    warmPercent: Math.floor((100 * warmMs) / activeMs),
    longestGapMinutes: Math.round(longestGapMs / 60_000),
    coldStarts,
    pingsWanted: pings.wanted,
    pingsMade: pings.made,
    pingsCounted: pings.counted,
  }
  const isEnough = warmMs >= atLeast * activeMs
  const notes = [
    ...(isEnough ? [] : [shortfall(atLeast, report, budget?.fittingHours)]),
    ...(notNeededFor ? [notNeededText(notNeededFor)] : []),
  ]
  const outcome = isEnough || isKeptByOthers(atLeast, report) ? "ok" : "warn"
  return { ...finding, outcome, facts, detail: [text, ...notes].join("; ") }
}

function isCounted({ by, outcome }: Observation): boolean {
  return by === "keep-warm" && outcome === "ok"
}

function isKeptByOthers(atLeast: number, { foundAwake, coldStarts }: WarmReport): boolean {
  const looks = foundAwake + coldStarts
  return looks >= fewLooks && foundAwake >= Math.max(atLeast, 0.9) * looks
}

function shortfall(atLeast: number, report: WarmReport, fittingHours: number | undefined): string {
  if (isKeptByOthers(atLeast, report)) {
    return `found awake by ${report.foundAwake} pings that came after a longer pause: visitors or another scheduler keep it awake`
  }
  if (fittingHours !== undefined) {
    return `wanted are ${Math.round(atLeast * 100)} %, and the month's budget holds for ${fittingHours.toFixed(1)} h of each day: choose narrower hours`
  }
  return `wanted are ${Math.round(atLeast * 100)} %: GitHub's clock cannot hold short intervals, docs/keep-warm.md has schedulers that do`
}

function notNeededText({ days, foundAwake }: { days: number; foundAwake: number }): string {
  return `no cold start seen for ${days} days, although ${foundAwake} pings came after a pause long enough to fall asleep: keep-warm may no longer be needed`
}

/** Pings that came later after the look before them than the host waits, and met no cold start. */
function foundAwake(looks: readonly Observation[], idleMs: number): Observation[] {
  return looks.filter((look, index) => {
    const before = looks[index - 1]
    return before && isCounted(look) && !look.isCold && look.at.getTime() - before.at.getTime() > idleMs
  })
}

/**
 * While pings hold a host awake nobody can know what it does without them: only answers after a pause tell. One in every two days
 * is asked for.
 */
function notNeeded(
  { enoughDays }: WarmSettings,
  looks: readonly Observation[],
  awake: readonly Observation[],
  to: number,
): Pick<WarmReport, "notNeededFor"> {
  const first = looks[0]?.at.getTime() ?? to
  const lastCold = looks.findLast(({ isCold }) => isCold)?.at.getTime() ?? first
  const days = Math.floor((to - lastCold) / dayMs)
  const found = awake.filter(({ at }) => at.getTime() > lastCold).length
  return days >= enoughDays && found >= enoughDays / 2 ? { notNeededFor: { days, foundAwake: found } } : {}
}

/** From the begin of the active time to the first ping in it, and so on to its end. */
function longestGap({ from, to }: Span, pings: readonly number[]): number {
  const points = [from, ...pings.filter((at) => at > from && at < to), to]
  return Math.max(...points.slice(1).map((point, index) => point - (points[index] ?? point)))
}

/** Rounded down: nothing is called whole that is not. */
function percent(part: number, whole: number): string {
  return `${Math.floor((100 * part) / whole)} %`
}
