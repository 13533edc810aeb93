import type { Availability } from "./availability.ts"

export type Objective = { availability: number; days: number }

/** How a promise stands. `uncertain`: what was seen is good enough, but too little was seen to say so. */
export type ObjectiveState = "met" | "missed" | "uncertain" | "not measurable" | "no data"

export type ObjectiveReport = {
  state: ObjectiveState
  /** Minutes that it may be down in the window, and how many of them are left; negative when overspent. */
  budgetMinutes: number
  leftMinutes: number
  /** For an objective that cannot be measured: how often one would have to look. */
  neededIntervalMinutes?: number
}

const fewestProbes = 5
const enoughCoverage = 0.9

/**
 * Whether the interval can measure an objective: fewer than five looks within the budget, and one failed look decides. Gives the longest
 * interval in minutes that would do; `undefined` when it can.
 */
export function unmeasurable({ availability, days }: Objective, intervalMs: number): number | undefined {
  const budgetMs = (1 - availability) * days * 24 * 3600_000
  return budgetMs / intervalMs >= fewestProbes - 1e-9 ? undefined : budgetMs / fewestProbes / 60_000
}

/** The objective held against the availability over its own days. Missing looks are neither spent nor saved: they make it uncertain. */
export function judgeObjective(objective: Objective, intervalMs: number, seen: Availability): ObjectiveReport {
  const budgetMinutes = (1 - objective.availability) * objective.days * 1440
  const leftMinutes = budgetMinutes - seen.downMinutes
  const needed = unmeasurable(objective, intervalMs)
  if (needed !== undefined)
    return { state: "not measurable", budgetMinutes, leftMinutes, neededIntervalMinutes: needed }
  return { state: stateOf(objective, seen, leftMinutes), budgetMinutes, leftMinutes }
}

function stateOf({ availability }: Objective, seen: Availability, leftMinutes: number): ObjectiveState {
  if (seen.share === undefined) return "no data"
  if (leftMinutes < 0) return "missed"
  return seen.share >= availability && seen.coverage >= enoughCoverage ? "met" : "uncertain"
}
