import type { Outcome } from "./outcome.ts"

/** One look at one service in one run: the raw row behind every uptime number. Compact in the ledger. */
export type Observation = {
  /** When it was looked at. */
  at: Date
  service: string
  /** `health` looks, `keep-warm` pings. */
  by: "health" | "keep-warm"
  outcome: Outcome
  /** Class of the failure, or of the degradation. */
  class?: string
  /** Until the first byte, in whole milliseconds; until the end for what has no bytes. */
  latencyMs?: number
  /** The whole check. */
  totalMs?: number
  status?: number
  /** Tries that it took, when more than one. */
  tries?: number
  isCold?: boolean
  /** Within a maintenance window: counted apart. */
  inMaintenance?: boolean
  /** The service or provider at fault when that is another one. */
  cause?: string
  version?: string
  numbers?: Record<string, number>
  /** It was asked without a secret, so that everyone can ask for the same. Not kept: says what a public ledger may hold. */
  isOpen?: boolean
}
