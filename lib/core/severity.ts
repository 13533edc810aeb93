/** How bad an incident is: `P0` all is down, `P3` a nuisance. Reaction times are in docs/incident-response.md. */
export type Severity = "P0" | "P1" | "P2" | "P3"

export const severities = ["P0", "P1", "P2", "P3"] as const satisfies readonly Severity[]

/** True when `a` is worse than `b`. */
export function isWorse(a: Severity, b: Severity): boolean {
  return a < b
}
