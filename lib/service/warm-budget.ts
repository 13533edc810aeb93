import type { Observation } from "../core/observation.ts"
import { warmWindows } from "./warm-hours.ts"
import { clip, lengthMs, type Span } from "./warm-spans.ts"
import type { WarmSettings } from "./warmth.ts"

/** How the hours of a month, in UTC, are spent. */
export type WarmBudget = {
  hours: number
  /** Hours that the looks which are known have kept it awake so far this month: visitors' come on top. */
  usedHours: number
  leftHours: number
  /** What the active hours from now until the month's end would take, with the looks of health beside them. */
  neededHours: number
  /** What the looks of health alone take of that, where they go on as in the day before. */
  lookedHours: number
  /** Until when it may be pinged in the present window; the window's end where all fits. */
  until: number
  /** Hours of each window that fit, where not all do. */
  fittingHours?: number
}

const hourMs = 3_600_000
const dayMs = 24 * hourMs

/**
 * Divides what is left of the month's hours among the windows that are left: each gets the same share of its length, from its begin on.
 * What is left is counted at the begin of the present window, so that its end does not move while it lasts; what the looks of health
 * will take, which keep it awake as well, is put aside first.
 */
export function planBudget(
  { budgetHours, hours, idleMs }: WarmSettings,
  looks: readonly Observation[],
  window: Span,
  now: number,
): WarmBudget | undefined {
  if (budgetHours === undefined) return undefined
  const month = monthOf(now)
  const awake = looks.map(({ at }) => ({ from: at.getTime(), to: at.getTime() + idleMs }))
  const usedMs = (until: number) => lengthMs(clip(awake, { from: month.from, to: until }))
  const begin = Math.max(window.from, month.from)
  const ahead = clip(warmWindows(hours, { from: begin, to: month.to }), { from: begin, to: month.to })
  const withTail = ahead.map(({ from, to }) => ({ from, to: to + idleMs }))
  const neededMs = lengthMs(clip(withTail, month))
  const leftAtBeginMs = budgetHours * hourMs - usedMs(begin)
  const awakeShare = shareOfHealth(looks, idleMs, begin)
  const lookedMs = (from: number) => awakeShare * (month.to - from)
  const beyond = (pingedMs: number) => pingedMs * (1 - awakeShare)
  const nowMs = lengthMs(clip(withTail, { from: now, to: month.to }))
  const figures = {
    hours: budgetHours,
    usedHours: usedMs(now) / hourMs,
    leftHours: Math.max(0, budgetHours - usedMs(now) / hourMs),
    neededHours: (beyond(nowMs) + lookedMs(now)) / hourMs,
    lookedHours: lookedMs(now) / hourMs,
  }
  const freeMs = leftAtBeginMs - lookedMs(begin)
  if (beyond(neededMs) <= freeMs) return { ...figures, until: window.to }
  // Shortened windows no longer touch: each one costs the time after its last ping as well.
  const wholeMs = withTail.reduce((sum, { from, to }) => sum + to - from, 0)
  const share = beyond(wholeMs) > 0 ? Math.max(0, freeMs) / beyond(wholeMs) : 0
  const fittingMs = Math.max(0, (window.to - begin + idleMs) * share - idleMs)
  return { ...figures, until: begin + fittingMs, fittingHours: fittingMs / hourMs }
}

/** The share of the day before `at` in which looks of health kept it awake, pings or not. */
function shareOfHealth(looks: readonly Observation[], idleMs: number, at: number): number {
  const awake = looks.flatMap((look) =>
    look.by === "health" ? { from: look.at.getTime(), to: look.at.getTime() + idleMs } : [],
  )
  return lengthMs(clip(awake, { from: at - dayMs, to: at })) / dayMs
}

/** The calendar month in UTC, as hosts count it. */
export function monthOf(now: number): Span {
  const date = new Date(now)
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()]
  return { from: Date.UTC(year, month, 1), to: Date.UTC(year, month + 1, 1) }
}
