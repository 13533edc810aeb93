import type { Observation } from "../core/observation.ts"
import { estimateShare } from "./estimate.ts"
import { percentiles } from "./percentile.ts"
import { slotsOf, type Window } from "./slots.ts"
import { wilsonBounds } from "./wilson.ts"

/** How a service was over a window. Shares are between 0 and 1. */
export type Availability = {
  /** Share of the seen time in which it was up, degraded included; `undefined` when nothing was seen. Never above 1. */
  share: number | undefined
  /** Where the true share lies with 95 % certainty, as far as the looks tell, which are not independent of each other. */
  bounds: { low: number; high: number }
  /** Share of the intervals outside of maintenance of which something is known. What is missing is neither up nor down. */
  coverage: number
  /** Intervals of each kind. */
  seen: number
  unknown: number
  missing: number
  maintenance: number
  /** Minutes that it was down in what was seen. */
  downMinutes: number
  /** Minutes of which nobody knows. */
  unseenMinutes: number
  /** Until the first byte, of answers that were good, in milliseconds. */
  latency?: { p50: number; p95: number; p99: number }
}

/** The availability of one service from its raw observations in a window. Observations outside of it are passed over. */
export function availabilityOf(observations: readonly Observation[], window: Window): Availability {
  const slots = slotsOf(observations, window)
  const ofKind = (kind: string) => slots.filter((slot) => slot.kind === kind).length
  const seen = slots.filter((slot) => slot.kind === "seen")
  const up = seen.reduce((sum, slot) => sum + slot.up, 0)
  const [unknown, missing, maintenance] = [ofKind("unknown"), ofKind("missing"), ofKind("maintenance")]
  const minutes = window.intervalMs / 60_000
  const estimate = estimateShare(slots, window.intervalMs)
  const latency = percentiles(latencies(observations, window))
  return {
    share: estimate?.share,
    bounds: estimate ? wilsonBounds(estimate.share * estimate.looks, estimate.looks) : wilsonBounds(0, 0),
    coverage: slots.length === maintenance ? 0 : seen.length / (slots.length - maintenance),
    ...{ seen: seen.length, unknown, missing, maintenance },
    downMinutes: (seen.length - up) * minutes,
    unseenMinutes: (unknown + missing) * minutes,
    ...(latency && { latency }),
  }
}

function latencies(observations: readonly Observation[], { from, to }: Window): number[] {
  return observations.flatMap(({ at, outcome, latencyMs, inMaintenance }) =>
    latencyMs !== undefined && (outcome === "ok" || outcome === "warn") && !inMaintenance && at >= from && at < to
      ? [latencyMs]
      : [],
  )
}
