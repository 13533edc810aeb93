import type { Finding } from "../core/finding.ts"
import { hasQuietEnded, isAcked, isQuiet, isSilenced } from "./ack.ts"
import { isConfirmed, needsNoSecondLook } from "./confirm.ts"
import { isCalm, isDigestDue, isSteadilyBad } from "./flapping.ts"
import type { Incident, MessageKind } from "./incident.ts"
import { explaining, type KnownIncident, type Subject, severityWith } from "./looks.ts"
import type { Policy } from "./policy.ts"
import { awaitsOpening, isUnsaid, isWorseLevel, isWorseThanSaid, unsay, wasHeard } from "./say.ts"
import { note } from "./timeline.ts"

/** What one look does to one incident, before it is known what else is said in this run. */
export type Step = {
  kind: "open" | "update" | "close" | "reopen"
  incident: Incident
  why: string
  says?: MessageKind
}

/** The rest of the run: `muted` fail because of this one, `isMuted`: it fails because of another one, `seen` are all that was looked at. */
export type Surroundings = {
  muted: readonly Subject[]
  isMuted: boolean
  seen: ReadonlySet<string>
  policy: Policy
  now: Date
}

/** What a good look does to an open incident. */
export function judgeGood(known: KnownIncident, finding: Finding, { muted, policy, now }: Surroundings): Step {
  const { isClosedByPerson, ...incident } = known
  const at = now.toISOString()
  const good: Incident = { ...incident, goodRuns: incident.goodRuns + 1, lookedAt: at, lastGoodAt: at }
  if (isClosedByPerson)
    return recover({ ...good, resolved: resolvedByHand(now) }, now, "a person closed it, and it is good")
  if (closesBy(incident, finding, policy, now)) return recover(good, now, "good again")
  if (incident.state === "flapping")
    return withDigest({ kind: "update", incident: good, why: "good for now" }, policy, now)
  const names = muted.map(({ name }) => name)
  const recovering: Incident = explaining({ ...good, state: "recovering" }, names, now)
  const isFirst = incident.state !== "recovering"
  return {
    kind: "update",
    incident: isFirst ? note(recovering, now, "good again, not yet certain") : recovering,
    why: `good ${good.goodRuns} of ${policy.closeRuns}`,
  }
}

/** True when this look, or a later one, changed the incident already. */
export function wasCounted({ lookedAt }: Incident, now: Date): boolean {
  return lookedAt !== undefined && Date.parse(lookedAt) >= now.getTime()
}

/** True when one more good look is the last that was wanted. */
export function closesBy(incident: Incident, finding: Finding, policy: Policy, now: Date): boolean {
  const isEnough = incident.goodRuns + 1 >= policy.closeRuns || needsNoSecondLook(finding)
  return isEnough && (incident.state !== "flapping" || isCalm(incident, policy, now))
}

/** What a bad look does to an open incident that nobody closed. */
export function judgeBad(incident: Incident, subject: Subject, surroundings: Surroundings): Step {
  const { policy, now, isMuted } = surroundings
  const seen = settleFlapping(withLook(incident, subject, surroundings), policy, now)
  const says = isMuted || isSilenced(seen, now) ? undefined : sayable(seen, policy, now)
  return { kind: "update", incident: withReminders(seen, says, policy, now), why: says ?? "still bad", says }
}

/** The incident with a bad look counted: how bad it is follows what is seen, worse only what is certain. */
export function withLook(incident: Incident, subject: Subject, surroundings: Surroundings): Incident {
  const { muted, seen, policy, now } = surroundings
  const { finding, rows } = subject
  const { outcome } = finding
  if (outcome !== "fail" && outcome !== "warn") return incident
  const at = now.toISOString()
  const state = incident.state === "flapping" ? "flapping" : "firing"
  const listed = incident.muted.filter((name) => !seen.has(name)) // what was seen is on the list only if it is now
  const { endedAt: _endedAt, ...unended } = incident
  const counted: Incident = { ...unended, state, lastBadAt: at, lookedAt: at, goodRuns: 0, muted: listed }
  const names = muted.map(({ name }) => name)
  const bad = explaining(counted, names, now)
  const isFail = (one: string) => one === "fail"
  const isChance = incident.outcome === "warn" && outcome === "fail" && !isConfirmed(finding, rows, policy, isFail)
  if (isChance) return bad
  const severity = severityWith(subject, muted, policy)
  const { detail, class: failure, runbook } = finding
  const { class: _class, runbook: _runbook, ...rest } = bad
  const judged: Incident = {
    ...{ ...rest, severity, outcome, detail },
    ...(failure !== undefined && { class: failure }),
    ...(runbook !== undefined && { runbook }),
  }
  if (severity === incident.severity && outcome === incident.outcome) return judged
  const word = isWorseLevel(judged, incident) ? "worse" : "better"
  return note(judged, now, `${word}: ${incident.severity} ${incident.outcome}, now ${severity} ${outcome}`)
}

/** The incident closed without a word; what was still to be said of it is not said any more. */
export function close(incident: Incident, now: Date, why: string): Step {
  const closed: Incident = { ...unsay(incident), state: "closed", closedAt: now.toISOString() }
  return { kind: "close", incident: note(closed, now, `closed: ${why}`), why }
}

/**
 * The incident closed because all is well. Who heard of it hears that; and when nobody could be reached while it lasted, that it was there
 * is news as well.
 */
function recover(incident: Incident, now: Date, why: string): Step {
  const step = close(note(incident, now, "recovered"), now, why)
  return wasHeard(incident) || awaitsOpening(incident) ? { ...step, says: "recovered" } : step
}

/** Who closed it where it is kept, which tells no name. */
export function resolvedByHand(now: Date): NonNullable<Incident["resolved"]> {
  return { by: "a person", at: now.toISOString(), reason: "closed by hand" }
}

/** What no longer comes and goes but stays bad is an incident like others. */
function settleFlapping(incident: Incident, policy: Policy, now: Date): Incident {
  if (incident.state !== "flapping" || !isSteadilyBad(incident, policy, now)) return incident
  return note({ ...incident, state: "firing" }, now, "no longer comes and goes: it stays bad")
}

function sayable(incident: Incident, policy: Policy, now: Date): MessageKind | undefined {
  const isFlapping = incident.state === "flapping"
  if (isUnsaid(incident) && !isAcked(incident, now)) return isFlapping ? "flapping" : "opened"
  if (isUnsaid(incident)) return undefined
  if (awaitsOpening(incident)) return undefined
  if (isWorseThanSaid(incident)) return "worse"
  if (isAcked(incident, now)) return undefined
  if (isFlapping) return isDigestDue(incident, policy, now) ? "digest" : undefined
  if (hasQuietEnded(incident, now)) return "still"
  return remindersDue(incident, policy, now) > incident.reminders ? "still" : undefined
}

function withDigest(step: Step, policy: Policy, now: Date): Step {
  const { incident } = step
  const isWanted = !isUnsaid(incident) && !awaitsOpening(incident) && !isQuiet(incident, now)
  return isWanted && isDigestDue(incident, policy, now) ? { ...step, says: "digest" } : step
}

/** Whatever is said stands for the reminders that were due by then; so does what is still to be sent, which tells how it is then. */
function withReminders(incident: Incident, says: MessageKind | undefined, policy: Policy, now: Date): Incident {
  const isPending = awaitsOpening(incident)
  if (!says && !isPending) return incident
  const { severity, outcome } = incident
  const reminders = Math.max(incident.reminders, remindersDue(incident, policy, now))
  return { ...incident, reminders, ...(isPending && { said: { severity, outcome } }) }
}

function remindersDue({ openedAt }: Incident, { remindersMs }: Policy, now: Date): number {
  const openMs = now.getTime() - Date.parse(openedAt)
  return remindersMs.filter((gapMs) => openMs >= gapMs).length
}
