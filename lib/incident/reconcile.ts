import type { Finding } from "../core/finding.ts"
import { begin, reopen } from "./begin.ts"
import type { Row } from "./confirm.ts"
import type { Incident, MessageKind } from "./incident.ts"
import {
  close,
  judgeBad,
  judgeGood,
  resolvedByHand,
  type Step,
  type Surroundings,
  wasCounted,
  withLook,
} from "./judge.ts"
import { explaining, isBadNow, isGoodNow, type KnownIncident, type Subject, subjectsOf } from "./looks.ts"
import { voicesOf } from "./mute.ts"
import type { Policy } from "./policy.ts"
import { say } from "./say.ts"

export type { KnownIncident } from "./looks.ts"
export type { Policy } from "./policy.ts"

/** The latest outcomes of a subject from the ledger, oldest first, without the present run. */
export type Recent = ReadonlyMap<string, readonly Row[]>

/** What must be done to one incident; `why` is for the log. What is to be said of it is in its outbox already. */
export type Action =
  | { kind: "open"; incident: Incident; why: string }
  | { kind: "update"; incident: Incident; why: string; comment?: string }
  | { kind: "close"; incident: Incident; why: string }
  | { kind: "reopen"; incident: Incident; why: string }

/** What people hear of one run: the kind, the incidents that it is about, the worst first, and what fails because of them. */
export type Saying = { kind: MessageKind; incidents: Incident[]; muted: string[] }

export type Reconciliation = { actions: Action[]; sayings: Saying[] }

/**
 * Compares what a run saw with the incidents that there are. `recent` are earlier looks (`looksWanted` of each subject),
 * `incidents` all open ones and those closed within `rememberMs`. Only what was looked at now changes: `unknown`, and what is
 * within a maintenance window, changes nothing. The same run twice, with what the first gave, gives nothing.
 */
export function reconcile(
  findings: readonly Finding[],
  recent: Recent,
  incidents: readonly KnownIncident[],
  policy: Policy,
  now: Date,
): Reconciliation {
  const subjects = subjectsOf(findings, recent, incidents)
  const { muted, held } = voicesOf(subjects, incidents, policy, now)
  const isSeen = (subject: Subject) => isGoodNow(subject) || isBadNow(subject)
  const looked = [...subjects.values()].filter(isSeen)
  const seen = new Set(looked.map(({ name }) => name))
  const below = Map.groupBy(looked, ({ name }) => muted.get(name))
  const steps = looked.flatMap((subject) => {
    const children = below.get(subject.name) ?? []
    const isMuted = muted.has(subject.name) || held.has(subject.name)
    return stepsOf(subject, { muted: children, isMuted, seen, policy, now })
  })
  return speak([...steps, ...listings(subjects, muted, incidents, steps, now)], now)
}

function stepsOf(subject: Subject, surroundings: Surroundings): Step[] {
  const { now } = surroundings
  const twins = subject.twins.map((twin) => {
    const kept = subject.open?.key ?? "another one"
    return close(twin, now, `the same as ${kept}`)
  })
  const step = stepOf(subject, surroundings)
  return step ? [...twins, step] : twins
}

function stepOf(subject: Subject, surroundings: Surroundings): Step | undefined {
  const { now, isMuted } = surroundings
  const { open, finding } = subject
  const isGood = isGoodNow(subject)
  if (!open) return isGood ? undefined : begin(subject, surroundings)
  if (wasCounted(open, now) && !open.isClosedByPerson) return undefined
  if (isGood) return judgeGood(open, finding, surroundings)
  const { isClosedByPerson, ...incident } = open
  if (!isClosedByPerson) return judgeBad(incident, subject, surroundings)
  if (incident.reopened === 0 && !isMuted) return reopen(incident, subject, surroundings)
  const left: Incident = { ...withLook(incident, subject, surroundings), resolved: resolvedByHand(now) }
  return close(left, now, "a person closed it again, so it stays closed for a day")
}

/** Incidents that explain something in this run without having been seen bad in it: what fails because of them is listed. */
function listings(
  subjects: ReadonlyMap<string, Subject>,
  muted: ReadonlyMap<string, string>,
  incidents: readonly KnownIncident[],
  steps: readonly Step[],
  now: Date,
): Step[] {
  const causes = new Set(muted.values())
  return incidents.flatMap(({ isClosedByPerson, ...incident }): Step[] => {
    if (incident.state === "closed" || isClosedByPerson || !causes.has(incident.subject)) return []
    if (steps.some((step) => step.incident.key === incident.key)) return []
    const names = [...subjects.keys()].filter((name) => muted.get(name) === incident.subject)
    const isNoted = names.every((name) => Date.parse(incident.explained?.[name] ?? "") >= now.getTime())
    return isNoted ? [] : [{ kind: "update", incident: explaining(incident, names, now), why: "explains what is bad" }]
  })
}

const order: readonly MessageKind[] = ["opened", "reopened", "worse", "flapping", "still", "digest", "recovered"]

/** Puts what is to be said into the outboxes. What is of one kind in one run is one message, under one group. */
function speak(steps: readonly Step[], now: Date): Reconciliation {
  const size = (kind: MessageKind | undefined) => steps.filter(({ says }) => says === kind).length
  const actions = steps.map(({ says, kind, incident, why }): Action => {
    if (!says) return { kind, incident, why }
    const group = size(says) > 1 ? `${says}@${now.toISOString()}` : undefined
    return { kind, incident: say(incident, says, now, group), why }
  })
  const sayings = order.flatMap((kind): Saying[] => {
    const incidents = actions.flatMap(({ incident }, at) => (steps[at]?.says === kind ? [incident] : []))
    if (incidents.length === 0) return []
    const muted = [...new Set(incidents.flatMap((incident) => incident.muted))].sort()
    return [{ kind, incidents: incidents.sort((a, b) => compare(rank(a), rank(b))), muted }]
  })
  return { actions, sayings }
}

function rank({ severity, subject }: Incident): string {
  return `${severity} ${subject}`
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
