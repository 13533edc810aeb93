import type { Finding } from "../core/finding.ts"
import type { Outcome } from "../core/outcome.ts"
import type { Policy } from "./policy.ts"

/** One earlier look at a subject. */
export type Row = { at: Date; outcome: Outcome; inMaintenance?: boolean }

export function isBad(outcome: Outcome): outcome is "warn" | "fail" {
  return outcome === "warn" || outcome === "fail"
}

/**
 * True when a bad finding is no chance: the run itself made sure, it was bad when its maintenance ended, or enough of the last
 * looks were bad. `isAsBad` says which of them count; `rows` are the earlier looks, oldest first.
 */
export function isConfirmed(
  finding: Finding,
  rows: readonly Row[],
  { confirmRuns, confirmOf }: Policy,
  isAsBad: (outcome: Outcome) => boolean = isBad,
): boolean {
  if (needsNoSecondLook(finding)) return true
  const seen = rows.filter(({ outcome }) => outcome !== "unknown")
  const last = seen.at(-1)
  if (last?.inMaintenance && isAsBad(last.outcome)) return true
  const window = confirmOf > 1 ? counted(rows).slice(1 - confirmOf) : []
  return 1 + window.filter(({ outcome }) => isAsBad(outcome)).length >= confirmRuns
}

/** A good finding that closes at once, as the bad one opens at once: what runs once a night is not watched for hours. */
export function needsNoSecondLook({ subject, outcome, isConfirmed }: Finding): boolean {
  if (subject.startsWith("job/")) return true
  const isWatched = subject.startsWith("service/") || subject.startsWith("provider/")
  return isConfirmed === true && !(outcome === "warn" && isWatched)
}

/** The first bad look of those that led to `now`. */
export function firstBadAt(rows: readonly Row[], { confirmOf }: Policy, now: Date): Date {
  const lately = counted(rows)
  const from = Math.max(0, lately.length - (confirmOf - 1))
  let first = lately.findIndex(({ outcome }, at) => at >= from && isBad(outcome))
  if (first < 0) return now
  while (first > 0 && isBad(lately[first - 1]?.outcome ?? "ok")) first--
  return lately[first]?.at ?? now
}

/** True when it was good so many times in a row since. */
export function wasGoodSince(rows: readonly Row[], since: Date, { closeRuns }: Policy): boolean {
  let inRow = 0
  for (const { at, outcome } of counted(rows)) {
    if (at <= since) continue
    inRow = outcome === "ok" ? inRow + 1 : 0
    if (inRow >= closeRuns) return true
  }
  return false
}

/** What is not known, and what happens in a maintenance window, counts neither way. */
function counted(rows: readonly Row[]): Row[] {
  return rows.filter(({ outcome, inMaintenance }) => outcome !== "unknown" && !inMaintenance)
}
