import type { CheckResult } from "./check.ts"
import { isWorthRetrying } from "./check.ts"

/** How often and how soon a look that failed is repeated. */
export type Patience = {
  /** The wait before each repetition, in milliseconds: there are as many as waits. */
  retryWaitsMs: readonly number[]
  /** A service that asks for more time than this gets this much. */
  maxRetryAfterMs: number
}

/**
 * How long to wait before repetition number `retry` (from 0), in milliseconds; `undefined` when there were enough or another try
 * cannot help. The wait is a quarter longer or shorter by `seed`, so that services that fell together are not asked together.
 */
export function retryWaitMs(result: CheckResult, retry: number, seed: string, patience: Patience): number | undefined {
  const waitMs = patience.retryWaitsMs[retry]
  if (waitMs === undefined || result.outcome !== "fail" || !isWorthRetrying(result.failure)) return undefined
  const askedMs = Math.min(result.retryAfterMs ?? 0, patience.maxRetryAfterMs)
  return Math.max(askedMs, Math.round(waitMs * (0.75 + 0.5 * shareOf(`${seed} ${retry}`))))
}

/** A number from 0 up to, not including, 1 that looks like chance and is always the same for a text (FNV-1a, mixed). */
export function shareOf(text: string): number {
  let hash = 0x811c9dc5
  for (const character of text) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  return ((hash ^ (hash >>> 13)) >>> 0) / 2 ** 32
}
