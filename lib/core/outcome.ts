/** What a job saw, from best to worst knowledge: `unknown` is neither up nor down. */
export type Outcome = "ok" | "warn" | "fail" | "unknown"

const severity: Record<Outcome, number> = { ok: 0, unknown: 1, warn: 2, fail: 3 }

/** The most severe of several outcomes; `ok` when there are none. */
export function worstOutcome(outcomes: Iterable<Outcome>): Outcome {
  let worst: Outcome = "ok"
  for (const outcome of outcomes) if (severity[outcome] > severity[worst]) worst = outcome
  return worst
}
