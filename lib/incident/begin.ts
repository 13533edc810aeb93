import { isQuiet, isSilenced } from "./ack.ts"
import { firstBadAt } from "./confirm.ts"
import { isFlapping } from "./flapping.ts"
import type { Incident } from "./incident.ts"
import { type Step, type Surroundings, withLook } from "./judge.ts"
import { explaining, isCertain, type Subject, severityWith } from "./looks.ts"
import { closedWhileBad, isResting } from "./rest.ts"
import { note } from "./timeline.ts"

/** What a bad look at a subject without an open incident begins: a new incident, the one a person closed too early, or nothing. */
export function begin(subject: Subject, surroundings: Surroundings): Step | undefined {
  const { policy, now, isMuted, muted } = surroundings
  const isSure = isCertain(subject, policy) || muted.some((child) => isCertain(child, policy))
  if (isMuted || !isSure || isResting(subject, policy, now)) return undefined
  const closed = closedWhileBad(subject, policy)
  return closed?.reopened === 0 ? reopen(closed, subject, surroundings) : open(subject, surroundings)
}

/** The incident of a subject that a person closed though it is bad: open again, once. */
export function reopen(incident: Incident, subject: Subject, surroundings: Surroundings): Step {
  const { closedAt: _closed, resolved: _resolved, ...rest } = incident
  const again: Incident = { ...rest, state: rest.state === "flapping" ? "flapping" : "firing", reopened: 1 }
  const noted = note(again, surroundings.now, "reopened: a person closed it, and it is still bad")
  return {
    kind: "reopen",
    incident: withLook(noted, subject, surroundings),
    why: "a person closed it, and it is still bad",
    ...(!isQuiet(noted, surroundings.now) && { says: "reopened" as const }),
  }
}

function open(subject: Subject, surroundings: Surroundings): Step | undefined {
  const { policy, now, muted } = surroundings
  const { outcome, detail, class: failure, runbook } = subject.finding
  if (outcome !== "fail" && outcome !== "warn") return undefined
  const at = now.toISOString()
  const detectedAt = firstBadAt(subject.rows, policy, now)
  const comesAndGoes = isFlapping(subject.past, policy, now)
  const silence = subject.past.findLast((incident) => isSilenced(incident, now))?.silence
  const incident: Incident = {
    schema: 1,
    subject: subject.name,
    key: keyOf(subject, now),
    severity: severityWith(subject, muted, policy),
    outcome,
    ...(failure !== undefined && { class: failure }),
    detail,
    ...(runbook !== undefined && { runbook }),
    detectedAt: detectedAt.toISOString(),
    openedAt: at,
    lastBadAt: at,
    lookedAt: at,
    state: comesAndGoes ? "flapping" : "firing",
    goodRuns: 0,
    reminders: 0,
    ...(silence && { silence }),
    muted: [],
    outbox: [],
    timeline: [],
    reopened: 0,
  }
  const names = muted.map(({ name }) => name)
  const blamed = explaining(incident, names, now)
  const noted = note(note(blamed, detectedAt, "detected"), now, comesAndGoes ? "opened: it comes and goes" : "opened")
  const says = comesAndGoes ? "flapping" : "opened"
  return { kind: "open", incident: noted, why: outcome, ...(!silence && { says }) }
}

/** Two incidents of a subject within one minute need two names. */
function keyOf({ name, past }: Subject, now: Date): string {
  const key = `${name}@${now.toISOString().slice(0, 16)}Z`
  const taken = past.filter((incident) => incident.key.startsWith(key)).length
  return taken === 0 ? key : `${key}.${taken + 1}`
}
