import type { Observation } from "../core/observation.ts"

/** What is known of one interval of time. `up` is the share of its looks that were good. */
export type Slot = { kind: "seen"; up: number; isDown: boolean } | { kind: "unknown" | "maintenance" | "missing" }

export type Window = { from: Date; to: Date; intervalMs: number }

/**
 * Divides a window into intervals, from its end backwards, and says what was seen in each. Several looks in one interval count as one, so
 * that looking often while something is broken, or by hand while it is not, moves no number. An interval with any look outside of
 * maintenance is seen; one with none of which anything is known is unknown; one without a look is missing. A part at the begin of the
 * window that is no whole interval is left out.
 */
export function slotsOf(observations: Iterable<Observation>, { from, to, intervalMs }: Window): Slot[] {
  const count = Math.floor((to.getTime() - from.getTime()) / intervalMs)
  const tallies = Array.from({ length: Math.max(0, count) }, () => ({ good: 0, bad: 0, unknown: 0, maintenance: 0 }))
  for (const { at, outcome, inMaintenance } of observations) {
    const tally = tallies[Math.floor((to.getTime() - 1 - at.getTime()) / intervalMs)]
    if (!tally) continue
    if (inMaintenance) tally.maintenance++
    else if (outcome === "unknown") tally.unknown++
    else if (outcome === "fail") tally.bad++
    else tally.good++
  }
  return tallies.reverse().map(({ good, bad, unknown, maintenance }) => {
    if (good + bad > 0) return { kind: "seen", up: good / (good + bad), isDown: bad > 0 }
    if (maintenance > 0) return { kind: "maintenance" }
    return { kind: unknown > 0 ? "unknown" : "missing" }
  })
}
