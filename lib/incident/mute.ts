import { isBad } from "./confirm.ts"
import { closesBy, wasCounted } from "./judge.ts"
import { isBadNow, isCertain, isGoodNow, type KnownIncident, type Subject } from "./looks.ts"
import type { Policy } from "./policy.ts"
import { isResting } from "./rest.ts"

/** Who speaks for whom. `held` are subjects that nobody speaks for: what they depend on is in its maintenance window. */
export type Voices = {
  /** By the name of a muted subject: the subject or provider that is at fault. */
  muted: ReadonlyMap<string, string>
  held: ReadonlySet<string>
}

/**
 * Finds what is bad because of something else. A subject is muted only while the one at fault has an incident, or gets it in
 * this run: nothing is kept quiet that nobody else tells. What is named in a circle speaks for itself.
 */
export function voicesOf(
  subjects: ReadonlyMap<string, Subject>,
  incidents: readonly KnownIncident[],
  policy: Policy,
  now: Date,
): Voices {
  const open = new Map(
    incidents.flatMap((known) => (known.state === "closed" ? [] : [[known.subject, known] as const])),
  )
  const bad = [...subjects.values()].filter(isBadNow)
  const causes = new Map(bad.map((subject) => [subject.name, rootOf(subject, subjects, open)]))
  const certain = new Set<string>()
  for (const subject of bad) if (isCertain(subject, policy)) certain.add(causes.get(subject.name) ?? subject.name)
  const muted = new Map<string, string>()
  const held = new Set<string>()
  for (const { name } of bad) {
    const cause = causes.get(name) ?? lingering(name, subjects, open, policy, now)
    if (cause === undefined) continue
    const root = subjects.get(cause)
    if (root?.finding.inMaintenance) held.add(name)
    else if (speaks(root, open.get(cause), certain.has(cause), policy, now)) muted.set(name, cause)
  }
  // What lingers explains what failed because of its own children, too.
  return { muted: new Map([...muted].map(([name, cause]) => [name, muted.get(cause) ?? cause])), held }
}

/** The last link of the chain of causes that is bad, or that has an incident and was not seen well; `undefined` when it is the subject itself. */
function rootOf(
  subject: Subject,
  subjects: ReadonlyMap<string, Subject>,
  open: ReadonlyMap<string, KnownIncident>,
): string | undefined {
  const visited = new Set([subject.name])
  let at: Subject | undefined = subject
  let root: string | undefined
  while (at?.finding.cause !== undefined) {
    const cause: string = at.finding.cause
    if (visited.has(cause)) return at.name === cause ? root : undefined
    visited.add(cause)
    const next = subjects.get(cause)
    const isToBlame = next && next.finding.outcome !== "unknown" ? isBad(next.finding.outcome) : open.has(cause)
    if (!isToBlame) return root
    root = cause
    at = next && isBad(next.finding.outcome) ? next : undefined
  }
  return root
}

/** What just recovers, and whose recovery is not certain yet: what failed because of it may still be coming up. */
function lingering(
  name: string,
  subjects: ReadonlyMap<string, Subject>,
  open: ReadonlyMap<string, KnownIncident>,
  policy: Policy,
  now: Date,
): string | undefined {
  return [...open.values()].find((incident) => {
    const subject = subjects.get(incident.subject)
    if (!subject || !isGoodNow(subject) || subject.open !== incident) return false
    if (incident.state === "flapping" || !incident.muted.includes(name)) return false
    return wasCounted(incident, now) || !closesBy(incident, subject.finding, policy, now)
  })?.subject
}

function speaks(
  root: Subject | undefined,
  open: KnownIncident | undefined,
  isCertain: boolean,
  policy: Policy,
  now: Date,
): boolean {
  if (open) return !open.isClosedByPerson || (root !== undefined && isBadNow(root) && open.reopened === 0)
  return root !== undefined && isBadNow(root) && isCertain && !isResting(root, policy, now)
}
