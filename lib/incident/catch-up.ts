import { errorText } from "../core/error-text.ts"
import type { Row } from "./confirm.ts"
import type { Incident, IncidentMemory, IncidentText, OutboxItem, StoredIncident } from "./incident.ts"
import { notShown } from "./plan-changes.ts"
import type { Policy } from "./policy.ts"
import { isWorseLevel } from "./say.ts"
import { note } from "./timeline.ts"
import type { UnkeptNote } from "./unkept-note.ts"
import { make } from "./write-changes.ts"

/** What is known of looks besides. */
type Sight = { policy: Policy; recent: ReadonlyMap<string, readonly Row[]> }

type Desk = Sight & {
  memory: IncidentMemory
  now: Date
  isPublic: boolean
  textOf(incident: Incident): IncidentText
  signal: AbortSignal
}

const maxAliases = 200
const maxEvents = 10
const bad = new Set<OutboxItem["kind"]>(["opened", "reopened", "flapping", "worse"])

/** What some earlier run left and no incident knows of yet. */
export function unknownNotes(notes: readonly UnkeptNote[], listed: readonly StoredIncident[]): UnkeptNote[] {
  return notes
    .filter((left) => !listed.some(({ incident }) => knows(incident, left)))
    .sort((a, b) => Date.parse(a.at) - Date.parse(b.at))
}

/**
 * Writes down what runs told that could not, so that from here on it is an incident like any other: it is not told anew, and its end is
 * told once. All that was told of a subject is one incident, the one that is open or a new one. Rejects only when the signal fired; what
 * did not work is in `problems`, and left for the next run.
 */
export async function catchUp(
  listed: readonly StoredIncident[],
  notes: readonly UnkeptNote[],
  desk: Desk,
): Promise<{ incidents: StoredIncident[]; problems: string[]; isDone: boolean }> {
  const incidents = [...listed]
  const problems: string[] = []
  let isDone = true
  const subjects = Map.groupBy(unknownNotes(notes, listed), ({ subject }) => subject)
  for (const [subject, left] of subjects) {
    desk.signal.throwIfAborted()
    const at = incidents.findIndex(({ incident }) => incident.subject === subject && incident.state !== "closed")
    const open = incidents[at]
    try {
      // What a person closed is judged first: writing to it would open it again.
      const stored = open?.isClosedByPerson ? undefined : await write(open, left, incidents, desk)
      if (!stored) isDone = false
      else if (open) incidents[at] = stored
      else incidents.push(stored)
    } catch (error) {
      desk.signal.throwIfAborted()
      problems.push(`what was told of ${subject} could not be written down after the event: ${errorText(error)}`)
      isDone = false
    }
  }
  return { incidents, problems, isDone }
}

async function write(
  open: StoredIncident | undefined,
  left: readonly UnkeptNote[],
  known: readonly StoredIncident[],
  desk: Desk,
): Promise<StoredIncident | undefined> {
  if (!open) return make({ incident: madeOf(left, known, desk) }, desk)
  const incident = takeIn(open.incident, left, known, desk)
  return desk.memory.update(open, incident, desk.textOf(incident))
}

/** Notes of a subject are taken in together, so that an incident that has a later one has this one as well. */
function knows({ subject, key, aliases = [], state, closedAt, unkeptAt }: Incident, left: UnkeptNote): boolean {
  if (subject !== left.subject) return false
  const at = Date.parse(left.at)
  if (unkeptAt !== undefined && Date.parse(unkeptAt) >= at) return true
  const isNamed = key === left.key || aliases.includes(left.key)
  return isNamed && state === "closed" && closedAt !== undefined && Date.parse(closedAt) >= at
}

/** An open incident with what runs told of it, or of what they took for another one, while it could not be reached. Pure. */
export function takeIn(
  incident: Incident,
  left: readonly UnkeptNote[],
  known: readonly Pick<StoredIncident, "incident">[],
  sight: Sight,
): Incident {
  const taken = badUntil(left.reduce(takeOne, incident), left.at(-1)?.at ?? incident.lastBadAt, sight)
  // A run that knew little may have given it the name of one that was over: that one's end was told.
  const others = new Set([incident.key, ...known.map((one) => one.incident.key)])
  const names = new Set([...(incident.aliases ?? []), ...left.map(({ key }) => key)])
  const aliases = [...names].filter((key) => !others.has(key)).slice(0, maxAliases)
  return { ...withEvents(taken, left), ...(aliases.length > 0 && { aliases }) }
}

function takeOne(incident: Incident, left: UnkeptNote): Incident {
  const { severity, outcome, at, kind, ending } = left
  const seen: Incident = { ...incident, unkeptAt: at }
  if (ending === "refused") return seen
  const isNews = incident.said !== undefined && isWorseLevel(left, incident.said)
  const said = isNews || incident.said === undefined ? { severity, outcome } : incident.said
  if (ending === "sent") {
    const outbox = incident.outbox.map((item) => (isToldBy(item, left) ? sentAt(item, at) : item))
    const toldAt = incident.toldAt !== undefined && incident.toldAt > at ? incident.toldAt : at
    return { ...seen, said, outbox, toldAt }
  }
  const outbox = incident.outbox.map((item) => {
    return isToldBy(item, left) && item.state === "pending" ? { ...item, mayBeRepeat: true } : item
  })
  const isKept = outbox.some((item) => isToldBy(item, left))
  if (isKept || !isNews || kind !== "worse") return { ...seen, outbox }
  return { ...seen, said, outbox: [...outbox, itemOf("worse", outbox.length + 1, left)] }
}

/** What is still to be said of how bad it is, and was to be said by then. */
function isToldBy({ kind, state, at }: OutboxItem, left: UnkeptNote): boolean {
  return bad.has(kind) && (state === "pending" || state === "sending") && Date.parse(at) <= Date.parse(left.at)
}

function sentAt(item: OutboxItem, at: string): OutboxItem {
  return { ...item, state: "sent", sentAt: at }
}

function itemOf(kind: OutboxItem["kind"], number: number, { at, ending }: UnkeptNote): OutboxItem {
  const state = { sent: "sent", refused: "pending", lost: "sending" } as const
  const tried = { tries: 1, triedAt: at, answeredAt: at, ...(ending === "sent" && { sentAt: at }) }
  return { id: `${kind}-${number}`, kind, at, state: state[ending], ...tried, channel: "slack" }
}

/** The incident as it would be kept had it been written down when it was first told. Pure. */
export function madeOf(
  left: readonly UnkeptNote[],
  known: readonly Pick<StoredIncident, "incident">[],
  desk: Sight & { isPublic: boolean },
): Incident {
  const [first, ...more] = left
  if (!first) throw new Error("an incident is made of no note: this is a defect")
  const { subject, severity, outcome, at: lastBadAt, detail, kind } = more.at(-1) ?? first
  const best =
    left.find(({ ending }) => ending === "sent") ?? left.find(({ ending }) => ending === "lost") ?? left.at(-1) ?? first
  const isTaken = known.some(({ incident }) => incident.key === first.key)
  const heard = left.filter(({ ending }) => ending !== "refused")
  const said = heard.reduce((worst, one) => (isWorseLevel(one, worst) ? one : worst), heard[0] ?? first)
  const told = left.findLast(({ ending }) => ending === "sent")
  const incident: Incident = {
    schema: 1,
    ...{ subject, severity, outcome, lastBadAt },
    key: isTaken ? `${first.key}.${new Date(first.at).toISOString().slice(11, 19).replaceAll(":", "")}` : first.key,
    detail: desk.isPublic ? notShown : (detail ?? unseen),
    detectedAt: first.detectedAt,
    openedAt: first.at,
    state: kind === "flapping" ? "flapping" : "firing",
    said: { severity: said.severity, outcome: said.outcome },
    ...(told && { toldAt: told.at }),
    outbox: [{ ...itemOf("opened", 1, best), at: first.at, kind: kind === "flapping" ? kind : "opened" }],
    timeline: [{ at: first.detectedAt, what: "detected" }],
    ...{ goodRuns: 0, reminders: 0, reopened: 0, muted: [] },
  }
  return takeIn(incident, left, known, desk)
}

const unseen = "seen by a run that could not write it down"

/** The incident as if that bad look had counted, and the good ones since. */
function badUntil(incident: Incident, lastBadAt: string, { policy, recent }: Sight): Incident {
  const { endedAt: _endedAt, ...rest } = incident
  if (incident.lastGoodAt !== undefined && Date.parse(incident.lastGoodAt) > Date.parse(lastBadAt)) return incident
  const good = goodSince(recent.get(incident.subject) ?? [], new Date(lastBadAt))
  const [first, last] = [good[0]?.at, good.at(-1)?.at]
  const state = incident.state === "flapping" ? "flapping" : first ? "recovering" : "firing"
  return {
    ...{ ...rest, state, lastBadAt },
    // The look of this run is still to be counted.
    goodRuns: Math.min(good.length, Math.max(0, policy.closeRuns - 1)),
    ...(first && last && { endedAt: first.toISOString(), lastGoodAt: last.toISOString() }),
  }
}

/** The good looks in a row that came after the last bad one. */
function goodSince(rows: readonly Row[], since: Date): Row[] {
  const counted = rows.filter(({ at, outcome, inMaintenance }) => at > since && outcome !== "unknown" && !inMaintenance)
  return counted.slice(counted.findLastIndex(({ outcome }) => outcome !== "ok") + 1)
}

function withEvents(incident: Incident, left: readonly UnkeptNote[]): Incident {
  const shown = left.length <= maxEvents ? left : [...left.slice(0, 1), ...left.slice(1 - maxEvents)]
  const words = { sent: "told", refused: "not told", lost: "perhaps told" }
  return shown.reduce((noted, { at, kind, ending, key }) => {
    return note(noted, new Date(at), `${words[ending]} without being written down: ${kind}, as ${key}`)
  }, incident)
}
