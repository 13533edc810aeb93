import { errorText } from "../core/error-text.ts"
import type { Unkept } from "./deliver.ts"
import type { Incident, IncidentMemory, IncidentText, OutboxItem, StoredIncident } from "./incident.ts"
import type { Due } from "./outbox.ts"
import type { Change } from "./plan-changes.ts"
import { type Policy, rememberMs } from "./policy.ts"

export type Written = {
  /** What is written down, and what may now be said of it. */
  cleared: { stored: StoredIncident; due: Due[] }[]
  unkept: Unkept[]
  opened: Incident[]
  closed: Incident[]
  /** How many incidents were written. */
  count: number
  problems: string[]
}

type Desk = {
  memory: IncidentMemory
  textOf(incident: Incident): IncidentText
  signal: AbortSignal
  policy: Policy
  now: Date
}

type Prepared = Change & { due: Due[] }

/** After so many writes that failed, no other is tried in this run: each takes its time. */
const maxFailures = 2

/** Writes down what changed, each incident on its own, the worst first. Rejects only when the signal fired. */
export async function writeChanges(changes: readonly Prepared[], desk: Desk): Promise<Written> {
  const written: Written = { cleared: [], unkept: [], opened: [], closed: [], count: 0, problems: [] }
  const wanted = changes.filter(({ stored, incident }) => stored?.incident !== incident)
  for (const change of wanted.toSorted((a, b) => a.incident.severity.localeCompare(b.incident.severity))) {
    desk.signal.throwIfAborted()
    if (written.problems.length >= maxFailures) noteFailure(change, "not tried after others failed", desk, written)
    else await write(change, desk, written)
  }
  return written
}

/** What people must hear of even if it cannot be written down. */
export function isDown({ outcome, state }: Incident): boolean {
  return outcome === "fail" && state !== "closed"
}

async function write(change: Prepared, desk: Desk, written: Written): Promise<void> {
  const { stored, incident, due, comment } = change
  const { memory, textOf, signal } = desk
  try {
    const text = textOf(incident)
    const kept = stored ? await memory.update(stored, incident, text, comment) : await make(change, desk)
    if (!kept) return
    written.count++
    const own = due.filter(({ item }) => isMarkedBy(item, kept.incident))
    if (own.length > 0) written.cleared.push({ stored: kept, due: own })
    if (!stored) written.opened.push(incident)
    else if (stored.incident.state !== "closed" && incident.state === "closed") written.closed.push(incident)
  } catch (error) {
    signal.throwIfAborted()
    noteFailure(change, errorText(error), desk, written)
  }
}

/** True when the mark of this run is the one that is kept: another run may have been faster, and says it. */
function isMarkedBy({ id, triedAt }: OutboxItem, { outbox }: Incident): boolean {
  return outbox.some((item) => item.id === id && item.state === "sending" && item.triedAt === triedAt)
}

/**
 * Makes an incident. When that fails it may be there all the same: because the answer was lost, or because another run was faster,
 * which then also tells it (`undefined`).
 */
export async function make(
  { incident }: Pick<Prepared, "incident">,
  { memory, textOf, policy, now }: Omit<Desk, "signal">,
): Promise<StoredIncident | undefined> {
  try {
    return await memory.open(incident, textOf(incident))
  } catch (error) {
    const open = (await memory.list(new Date(now.getTime() - rememberMs(policy)))).find(
      (other) => other.incident.subject === incident.subject && other.incident.state !== "closed",
    )
    if (!open) throw error
    // The first bad look gives the name, so that two runs name it alike: when it was opened tells them apart.
    const isOwn = open.incident.key === incident.key && open.incident.openedAt === incident.openedAt
    return isOwn ? open : undefined
  }
}

/** That something is down, or worse than was said. All else the next run tells. */
const urgent = new Set(["opened", "flapping", "worse"])

/** How bad something is people hear all the same, once in this run; a reminder or an end only when it is written down. */
function noteFailure({ stored, incident, due }: Prepared, why: string, { now }: Desk, written: Written): void {
  written.problems.push(`${incident.key} could not be written down: ${why}`)
  if (!isDown(incident)) return
  const isBadNow = Date.parse(incident.lastBadAt) === now.getTime()
  const told = stored ? due.filter(({ item }) => isBadNow && urgent.has(item.kind)) : due
  if (told.length > 0 || !stored) written.unkept.push({ incident, due: told, why })
}
