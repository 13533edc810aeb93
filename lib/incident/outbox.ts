import { isQuiet } from "./ack.ts"
import type { Incident, OutboxItem } from "./incident.ts"
import { giveUp } from "./say.ts"
import { note } from "./timeline.ts"

const hourMs = 3_600_000
/** Another run that marked an item so lately is still at it. */
const busyMs = 3 * 60_000
/** How long it is tried to say that something is bad, and anything else. */
const openingMs = 7 * 24 * hourMs
const otherMs = 24 * hourMs
const openings = new Set(["opened", "reopened", "flapping", "digest", "worse"])

/** A message that this run sends, and whether an earlier try of it may have arrived. */
export type Due = { item: OutboxItem; mayBeRepeat: boolean }

/**
 * The incident as it is written before its messages are sent: what is due is `sending`, what came too late to be said is `given up`.
 * The same object when nothing is due. With `isAnybodyThere` false nobody can be told, so nothing is left for later either.
 */
export function prepare(incident: Incident, now: Date, isAnybodyThere: boolean): { incident: Incident; due: Due[] } {
  const due: Due[] = []
  const outbox = incident.outbox.map((item) => {
    if (item.state === "sent" || item.state === "given up" || isBusy(item, now)) return item
    if (!isAnybodyThere || isStale(item, incident, now)) return giveUp(item)
    const { answeredAt: _answeredAt, ...rest } = item
    const mayBeRepeat = item.state === "sending" || item.mayBeRepeat === true
    const mark = { ...rest, ...(mayBeRepeat && { mayBeRepeat }) }
    const marked = { ...mark, state: "sending" as const, tries: item.tries + 1, triedAt: now.toISOString() }
    due.push({ item: marked, mayBeRepeat })
    return marked
  })
  const isSame = outbox.every((item, at) => item === incident.outbox[at])
  return isSame ? { incident, due } : { incident: { ...incident, outbox }, due }
}

/**
 * How a try ended: `sent`; `refused` when it surely did not arrive, so that the next run says it as if for the first time; `lost`
 * when nobody knows.
 */
export type Ending = "sent" | "refused" | "lost"

/** The incident after its messages of the given ids were tried. */
export function settle(incident: Incident, ids: readonly string[], ending: Ending, now: Date): Incident {
  const at = now.toISOString()
  const outbox = incident.outbox.map((item) => {
    if (!ids.includes(item.id) || item.state !== "sending") return item
    if (ending === "sent") return { ...item, state: "sent" as const, sentAt: at }
    return { ...item, state: ending === "refused" ? ("pending" as const) : ("sending" as const), answeredAt: at }
  })
  const kinds = outbox.flatMap(({ id, kind }) => (ids.includes(id) ? [kind] : []))
  const settled = { ...incident, outbox }
  return ending === "sent" ? note({ ...settled, toldAt: at }, now, `told: ${kinds.join(", ")}`) : settled
}

function isBusy({ state, triedAt, answeredAt }: OutboxItem, now: Date): boolean {
  if (state !== "sending" || triedAt === undefined || answeredAt !== undefined) return false
  return Math.abs(now.getTime() - Date.parse(triedAt)) < busyMs
}

/** Not worth saying any more: of what is over, that it is still open; of what somebody is at, a reminder; of two reminders, the first. */
function isStale({ id, kind, at }: OutboxItem, incident: Incident, now: Date): boolean {
  const ageMs = now.getTime() - Date.parse(at)
  if (ageMs > (openings.has(kind) ? openingMs : otherMs)) return true
  const isClosed = incident.state === "closed"
  if (kind === "worse" || kind === "flapping") return isClosed
  if (kind !== "still") return false
  const later = incident.outbox.findLast((other) => other.kind === "still")
  return isClosed || isQuiet(incident, now) || later?.id !== id
}
