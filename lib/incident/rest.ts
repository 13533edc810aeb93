import { wasGoodSince } from "./confirm.ts"
import type { Incident } from "./incident.ts"
import { isLeftBad, type Subject } from "./looks.ts"
import { type Policy, restMs } from "./policy.ts"

/** The last incident, when a person closed it while it was bad, and it was never well since. */
export function closedWhileBad({ past, rows }: Subject, policy: Policy): Incident | undefined {
  const last = past.at(-1)
  if (!last?.closedAt || !isLeftBad(last)) return undefined
  return wasGoodSince(rows, new Date(last.closedAt), policy) ? undefined : last
}

/** True when a person closed it twice while it was bad, not long ago: they know of it, and it stays closed. */
export function isResting(subject: Subject, policy: Policy, now: Date): boolean {
  const last = closedWhileBad(subject, policy)
  return last?.closedAt !== undefined && last.reopened > 0 && now.getTime() - Date.parse(last.closedAt) < restMs
}
