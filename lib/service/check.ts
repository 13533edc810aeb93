import type { Outcome } from "../core/outcome.ts"

/** What kind of thing went wrong; each that pages has a runbook of the name `service-<class>`. */
export const failureClasses = [
  "dns",
  "refused",
  "unreachable",
  "timeout",
  "tls",
  "certificate",
  "reset",
  "protocol",
  "status",
  "body",
  "assertion",
  "too-large",
  "redirect-loop",
  "paused",
  "over-quota",
  "auth",
  "query",
  "threshold",
  "slow",
  "domain",
] as const

export type FailureClass = (typeof failureClasses)[number]

/** How far a check came, and how long each part took, in milliseconds. What was not reached is left out. */
export type PhaseTimings = { dnsMs?: number; connectMs?: number; tlsMs?: number; firstByteMs?: number; totalMs: number }

export type Phase = "dns" | "connect" | "tls" | "first byte" | "body"

/** Everything about one look at one service. `ok`: as it should be; `warn`: degraded; `fail`: down; `unknown`: nobody can say. */
export type CheckResult = {
  outcome: Outcome
  /** One sentence for a person: the thing, the value, and what was expected. Never a secret, never a URL with a password or query. */
  detail: string
  failure?: {
    class: FailureClass
    phase?: Phase /** The component that the answer itself names as bad. */
    component?: string
  }
  timings: PhaseTimings
  /** The HTTP status. */
  status?: number
  /** The version or commit that the answer names. */
  version?: string
  /** Numbers of the answer by their path, such as `memory.percent`, and days left of a certificate. */
  numbers?: Record<string, number>
  /** The first byte came so late that the host had to wake up. */
  isCold?: boolean
  /** The service asked to wait so long before the next try. */
  retryAfterMs?: number
}

/** What a check may use. `ask` of each kind is a function `(probe, surroundings) => Promise<CheckResult>` that never rejects but for the signal. */
export type Surroundings = {
  now: Date
  /** For one try, all of it. */
  timeoutMs: number
  signal: AbortSignal
}

/** A class that another try a moment later can change; the others are as they are. */
export function isWorthRetrying(failure: CheckResult["failure"]): boolean {
  return failure !== undefined && retryable.has(failure.class)
}

const retryable: ReadonlySet<FailureClass> = new Set([
  "dns",
  "refused",
  "unreachable",
  "timeout",
  "reset",
  "protocol",
  "status",
  "body",
  "assertion",
  "query",
])
