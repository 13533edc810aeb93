import { formatDuration } from "../core/duration.ts"
import type { Observation } from "../core/observation.ts"
import { monthOf, planBudget, type WarmBudget } from "./warm-budget.ts"
import { describeHours, warmWindows } from "./warm-hours.ts"
import type { WarmSettings } from "./warmth.ts"

export type WarmPlan = {
  act: "ping" | "skip"
  /** One sentence: why, and what is left. */
  reason: string
  /** Since the last ping that counted. */
  gapMs?: number
  /** The last ping that was made did not count. */
  lastFailed: boolean
  budget?: WarmBudget
  /** Runs that pinged or looked this month; each bills a minute of Actions at least. */
  actionsMinutes: number
}

const dayMs = 86_400_000

/** The clock of a schedule is not exact: a ping that comes a little early is wanted all the same. */
const earlyShare = 0.8

/** Whether to ping a service now. `observations` are those of this month at least, of any services; none means that none are known. */
export function planWarmth(target: WarmSettings, observations: readonly Observation[], now: Date): WarmPlan {
  const at = now.getTime()
  const looks = observations.filter((look) => look.service === target.name && look.at.getTime() <= at)
  const pings = looks.filter(({ by }) => by === "keep-warm")
  const counted = pings.filter(({ outcome }) => outcome === "ok")
  const gapMs = counted.length === 0 ? undefined : at - Math.max(...counted.map((ping) => ping.at.getTime()))
  const latest = pings.reduce<Observation | undefined>(
    (last, ping) => (last && last.at > ping.at ? last : ping),
    undefined,
  )
  const window = warmWindows(target.hours, { from: at, to: at + 1 }).at(-1)
  const budget = window && planBudget(target, looks, window, at)
  const common = {
    ...(gapMs !== undefined && { gapMs }),
    ...(budget && { budget }),
    lastFailed: latest !== undefined && latest.outcome !== "ok",
    actionsMinutes: runsOf(looks, at),
  }
  const why = !window ? outside(target, at) : (tooEarly(target, gapMs) ?? (budget && overBudget(target, budget, at)))
  if (why !== undefined) return { ...common, act: "skip", reason: why }
  return { ...common, act: "ping", reason: [since(gapMs), ...(budget ? [budgetText(budget)] : [])].join("; ") }
}

function outside({ hours }: WarmSettings, at: number): string {
  const next = warmWindows(hours, { from: at, to: at + 8 * dayMs })[0]
  const begins = next ? `: they begin in ${formatDuration(next.from - at)}` : ""
  return `outside of the active hours (${describeHours(hours)})${begins}`
}

function tooEarly({ everyMs }: WarmSettings, gapMs: number | undefined): string | undefined {
  if (gapMs === undefined || gapMs >= everyMs * earlyShare) return undefined
  return `pinged ${formatDuration(gapMs)} ago, wanted every ${formatDuration(everyMs)}`
}

function overBudget({ idleMs }: WarmSettings, budget: WarmBudget, at: number): string | undefined {
  const usedUp = budget.leftHours < idleMs / 3_600_000
  if (usedUp) return `the month's budget is used up: ${budgetText(budget)}`
  return at >= budget.until ? `today's share of the month's budget is used up: ${budgetText(budget)}` : undefined
}

function since(gapMs: number | undefined): string {
  return gapMs === undefined ? "no earlier ping is known" : `${formatDuration(gapMs)} since the last ping`
}

/** The budget in words: `budget 412.5 of 750 h left, 330.0 h needed until the month's end`. */
export function budgetText({ hours, leftHours, neededHours, lookedHours, fittingHours }: WarmBudget): string {
  const state = `budget ${leftHours.toFixed(1)} of ${hours} h left, ${neededHours.toFixed(1)} h needed until the month's end`
  if (fittingHours === undefined) return state
  const looked = lookedHours < 1 ? "" : `; the looks of health take ${lookedHours.toFixed(1)} h of it (interval)`
  return `${state}: it would run out before, so only the first ${fittingHours.toFixed(1)} h of each day's active hours are kept warm${looked}`
}

/** A run looks at a service once by each of its jobs: the job that looked more often tells how many runs there were. */
function runsOf(looks: readonly Observation[], at: number): number {
  const month = looks.filter((look) => look.at.getTime() >= monthOf(at).from)
  return Math.max(...(["keep-warm", "health"] as const).map((by) => month.filter((look) => look.by === by).length))
}
