import type { Incident } from "./incident.ts"
import type { Policy } from "./policy.ts"

/** True when one more opening now makes the subject flapping: it opened too often lately. `past` are its own incidents. */
export function isFlapping(past: readonly Incident[], { flapCount, flapWindowMs }: Policy, now: Date): boolean {
  const from = now.getTime() - flapWindowMs
  return 1 + past.filter(({ openedAt }) => Date.parse(openedAt) > from).length >= flapCount
}

/** True when what flapped is over: it was not bad for the whole time between two digests. */
export function isCalm({ lastBadAt }: Incident, { digestEveryMs }: Policy, now: Date): boolean {
  return now.getTime() - Date.parse(lastBadAt) >= digestEveryMs
}

/** True when it no longer comes and goes: it was bad at every look for the whole time between two digests. */
export function isSteadilyBad({ openedAt, lastGoodAt }: Incident, { digestEveryMs }: Policy, now: Date): boolean {
  return now.getTime() - Date.parse(lastGoodAt ?? openedAt) >= digestEveryMs
}

/** True when people have heard nothing of it for the time between two digests. */
export function isDigestDue({ openedAt, outbox }: Incident, { digestEveryMs }: Policy, now: Date): boolean {
  const last = outbox.reduce((latest, { at }) => Math.max(latest, Date.parse(at)), Date.parse(openedAt))
  return now.getTime() - last >= digestEveryMs
}
