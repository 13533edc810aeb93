import type { Log } from "../core/log.ts"
import type { Issue } from "../github/issues.ts"
import type { Writers } from "../github/writers.ts"
import type { Incident } from "./incident.ts"
import { hasTraceOfBlock, parseBody } from "./machine-block.ts"

/** What a stored incident was when it was read. */
export type Seen = { base: Incident; comments: number }

export type ReadIncident = {
  issue: Issue
  incident: Incident
  /** Its machine block says so, and nobody closed the issue. */
  isOpen: boolean
  isClosedByPerson: boolean
  /** When it, or its issue, was closed. */
  closedAt: Date
}

/** The incidents among issues, oldest first, one that is open for each subject; `duplicates` are open issues that should not be. */
export async function readIncidents(
  issues: readonly Issue[],
  writers: Writers,
  log: Log,
): Promise<{ incidents: ReadIncident[]; duplicates: Map<string, Issue[]> }> {
  const known = new Set<number>()
  const taken = new Set<string>()
  const incidents: ReadIncident[] = []
  const duplicates = new Map<string, Issue[]>()
  for (const issue of [...issues].sort(byClaim)) {
    if (known.has(issue.number)) continue // it was closed between the two lists
    known.add(issue.number)
    const read = (await isTrusted(issue, writers)) ? readIncident(issue, log) : undefined
    if (!read || read.incident.duplicateOf !== undefined) continue
    const { subject } = read.incident
    const isSecond = (read.isOpen || read.isClosedByPerson) && taken.has(subject)
    if (read.isOpen || read.isClosedByPerson) taken.add(subject)
    if (!isSecond) incidents.push(read)
    else if (read.isOpen) duplicates.set(subject, [...(duplicates.get(subject) ?? []), issue])
  }
  return { incidents: incidents.sort((left, right) => left.issue.number - right.issue.number), duplicates }
}

/** Of several for one subject the oldest open issue counts; without one, the latest that a person closed. */
function byClaim(left: Issue, right: Issue): number {
  if (left.state !== right.state) return left.state === "open" ? -1 : 1
  return left.state === "open" ? left.number - right.number : right.number - left.number
}
/** Anyone can write a machine block into an issue of a public repository, and a label is set by mistake soon. */
async function isTrusted({ user, body }: Issue, writers: Writers): Promise<boolean> {
  if (!hasTraceOfBlock(body ?? "") || user === null) return false
  return user.type === "Bot" || writers.mayWrite(user.login)
}

function readIncident(issue: Issue, log: Log): ReadIncident | undefined {
  const incident = parseBody(issue.body ?? "")?.block.incident
  if (!incident) {
    log.warn(`issue ${issue.number} is left out: its machine block is damaged; close it by hand, a new one is opened`)
    return undefined
  }
  const isOver = incident.state === "closed"
  const closedAt = new Date((isOver ? incident.closedAt : undefined) ?? issue.closed_at ?? issue.updated_at)
  const isOpen = !isOver && issue.state === "open"
  return { issue, incident, isOpen, isClosedByPerson: !isOver && !isOpen, closedAt }
}
