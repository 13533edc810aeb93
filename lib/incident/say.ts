import { isWorse, type Severity } from "../core/severity.ts"
import type { Incident, MessageKind, OutboxItem } from "./incident.ts"

const keptItems = 20
const openings: ReadonlySet<MessageKind> = new Set(["opened", "flapping", "reopened"])

type Level = { severity: Severity; outcome: "fail" | "warn" }

/** True when people may have heard of it: a message was sent, or it is not known whether one arrived. */
export function wasHeard(incident: Incident): boolean {
  return heardBefore(incident) !== "no"
}

/**
 * Whether a message of it arrived before the one that is being sent; `perhaps` when only the answer to one was lost, or a run that
 * could not write may have said it.
 */
export function heardBefore({ toldAt, outbox }: Incident, isThis: (item: OutboxItem) => boolean = () => false) {
  const others = outbox.filter((item) => !isThis(item))
  if (toldAt !== undefined || others.some(({ state }) => state === "sent")) return "yes"
  return others.some((item) => item.state === "sending" || mayHaveArrived(item)) ? "perhaps" : "no"
}

/** Its opening is still to be said. When that is done it tells how things are then: nothing need be said before. */
export function awaitsOpening({ outbox }: Incident): boolean {
  return outbox.some(({ kind, state }) => openings.has(kind) && state === "pending")
}

/** Nothing was ever to be said of it, as of what began while it was silenced. */
export function isUnsaid({ outbox, toldAt }: Incident): boolean {
  return outbox.length === 0 && toldAt === undefined
}

/** The incident with one more message to be sent, which takes the place of others that were not. */
export function say(incident: Incident, kind: MessageKind, at: Date, group?: string): Incident {
  const numbers = incident.outbox.map(({ id }) => Number(id.slice(id.lastIndexOf("-") + 1)) || 0)
  const item = {
    id: `${kind}-${Math.max(0, ...numbers) + 1}`,
    kind,
    at: at.toISOString(),
    state: "pending" as const,
    tries: 0,
    channel: "slack",
    ...(group !== undefined && { group }),
  }
  const { severity, outcome } = incident
  const outbox = [...incident.outbox.map((old) => (old.state === "pending" ? giveUp(old) : old)), item]
  return { ...incident, said: { severity, outcome }, outbox: pruned(outbox) }
}

/** The incident with nothing left to be sent. */
export function unsay(incident: Incident): Incident {
  const isOpen = ({ state }: Incident["outbox"][number]) => state === "pending" || state === "sending"
  return { ...incident, outbox: incident.outbox.map((item) => (isOpen(item) ? giveUp(item) : item)) }
}

/** True when it is worse than people were told. */
export function isWorseThanSaid({ severity, outcome, said }: Incident): boolean {
  return said !== undefined && isWorseLevel({ severity, outcome }, said)
}

export function isWorseLevel(a: Level, b: Level): boolean {
  return isWorse(a.severity, b.severity) || (a.severity === b.severity && a.outcome === "fail" && b.outcome === "warn")
}

/** A message that is not said any more. That it may have been said all the same stays known. */
export function giveUp(item: OutboxItem): OutboxItem {
  return { ...item, state: "given up", ...(item.state === "sending" && { mayBeRepeat: true }) }
}

function mayHaveArrived({ state, mayBeRepeat }: OutboxItem): boolean {
  return mayBeRepeat === true && (state === "given up" || state === "pending")
}

/** Without the oldest that need no more care: an issue has a size limit. */
function pruned(outbox: Incident["outbox"]): Incident["outbox"] {
  const last = outbox.length - keptItems
  return outbox.filter(({ state }, at) => at >= last || state === "sending")
}
