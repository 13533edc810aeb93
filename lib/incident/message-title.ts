import { formatDuration } from "../core/duration.ts"
import type { Incident, MessageKind } from "./incident.ts"

/** What is to be said, about one incident or about several. */
export type Notice = {
  kind: MessageKind
  about: readonly Told[]
  /** When it was to be said; long before `now` when Slack did not take it. */
  at: Date
  /** An earlier try may have arrived. */
  mayBeRepeat: boolean
  /** Why the incidents could not be kept, when this is all there is of them. */
  notKept?: string
}

/** An incident and where a person reads it. */
export type Told = { incident: Incident; url?: string }

/** What is said first, and alone where there is room for no more. Pure. */
export function titleOf(notice: Notice, now: Date): string {
  const [first] = notice.about
  if (!first) throw new Error(`a message of kind ${notice.kind} is about no incident: this is a defect`)
  return notice.about.length > 1 ? listTitle(notice) : singleTitle(notice.kind, first.incident, now)
}

/** What is wrong with it, as a clause: `service/api is down`. */
export function clause({ subject, outcome }: Pick<Incident, "subject" | "outcome">): string {
  const [kind, name = subject] = subject.split("/")
  if (kind === "drill") return `drill of ${name}, nothing is broken`
  if (kind === "service") return `${subject} is ${outcome === "fail" ? "down" : "degraded"}`
  if (kind === "job") return outcome === "fail" ? `${name} did not do its work` : `${name} ended with a warning`
  return outcome === "fail" ? `${subject} failed` : `${subject} gives a warning`
}

/** How long it was, or is, bad. */
export function badForMs({ detectedAt, closedAt, endedAt }: Incident, now: Date): number {
  const end = closedAt ? new Date(endedAt ?? closedAt) : now
  return Math.max(0, end.getTime() - new Date(detectedAt).getTime())
}

/** The one that a list is named after. */
export function mostSevere(about: readonly Told[]): Told {
  return about.reduce((worst, told) => (told.incident.severity < worst.incident.severity ? told : worst))
}

function singleTitle(kind: MessageKind, incident: Incident, now: Date): string {
  const { severity, subject, resolved } = incident
  const lasted = formatDuration(badForMs(incident, now))
  if (kind === "drill") return "DRILL: nothing is broken, please answer"
  if (kind === "recovered")
    return resolved ? `closed by ${resolved.by} after ${lasted}: ${subject}` : `recovered after ${lasted}: ${subject}`
  if (kind === "worse") return `${severity}, worse: ${clause(incident)}`
  // A digest that was to be said while it came and went, of what now stays bad.
  const isStill = kind === "still" || (kind === "digest" && incident.state !== "flapping")
  if (isStill) return `${severity}, still after ${lasted}: ${clause(incident)}`
  if (kind === "flapping") return `${severity}: ${subject} comes and goes`
  if (kind === "reopened") return `${severity}, open again: ${clause(incident)}`
  if (kind === "digest") return `${severity}: ${subject} still comes and goes`
  return `${severity}: ${clause(incident)}`
}

function listTitle({ kind, about }: Notice): string {
  const worst = mostSevere(about).incident.severity
  const what: Partial<Record<MessageKind, string>> = {
    recovered: "recovered",
    still: "still open",
    reopened: "open again",
    worse: "worse",
    flapping: "come and go",
  }
  const isFlapping = about.every(({ incident }) => incident.state === "flapping")
  const verb = what[kind] ?? (isFlapping ? "still come and go" : "opened")
  return kind === "recovered" ? `${about.length} incidents recovered` : `${worst}: ${about.length} incidents ${verb}`
}
