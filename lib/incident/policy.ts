import type { Severity } from "../core/severity.ts"

/** When a finding becomes an incident and how often people hear of it: `alerts.policy`, in milliseconds. */
export type Policy = {
  confirmRuns: number
  confirmOf: number
  closeRuns: number
  remindersMs: readonly number[]
  flapCount: number
  flapWindowMs: number
  digestEveryMs: number
  /** `alerts.severities`. */
  severities?: Readonly<Record<string, Severity>>
}

type Length = { ms: number }

/** `alerts.policy` and `alerts.severities` as they are configured. */
export type PolicySettings = {
  policy: {
    confirmRuns: number
    confirmOf: number
    closeRuns: number
    reminders: readonly Length[]
    flapCount: number
    flapWindow: Length
    digestEvery: Length
  }
  severities: Readonly<Record<string, Severity>>
}

/** The policy of a configuration. More bad runs than are looked back for could never be found: all of them are wanted then. */
export function policyOf({ policy, severities }: PolicySettings): Policy {
  return {
    confirmRuns: Math.min(policy.confirmRuns, policy.confirmOf),
    confirmOf: policy.confirmOf,
    closeRuns: policy.closeRuns,
    remindersMs: policy.reminders.map(({ ms }) => ms).sort((a, b) => a - b),
    flapCount: policy.flapCount,
    flapWindowMs: policy.flapWindow.ms,
    digestEveryMs: policy.digestEvery.ms,
    severities,
  }
}

/** How long closed incidents still matter, in milliseconds: so far back `reconcile` wants them. */
export function rememberMs({ flapWindowMs }: Policy): number {
  return Math.max(restMs, flapWindowMs)
}

/** How long nothing opens for a subject whose incident a person closed twice while it was bad. */
export const restMs = 24 * 3_600_000

/** How many of its last looks `reconcile` wants of each subject; some will be unknown or within a maintenance window. */
export function looksWanted({ confirmOf, closeRuns }: Policy): number {
  return 10 + 2 * Math.max(confirmOf, closeRuns)
}
