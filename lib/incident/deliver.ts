import { errorText } from "../core/error-text.ts"
import type { SlackMessage } from "../notify/slack-message.ts"
import { isNotTaken } from "../notify/undelivered.ts"
import type { Incident, IncidentMemory, IncidentText, OutboxItem, StoredIncident } from "./incident.ts"
import type { Notice } from "./message-title.ts"
import { renderMessage, type Scene } from "./messages.ts"
import { type Due, type Ending, settle } from "./outbox.ts"
import { noteOf, type UnkeptNote } from "./unkept-note.ts"

/** An incident that is written down with its messages marked: these may now be sent. `shown` is what people read of it. */
export type Cleared = { stored: StoredIncident; shown: Incident; due: Due[] }

/** An incident that could not be written down, with what should have been said of it. */
export type Unkept = { incident: Incident; due: Due[]; why: string }

/** One message, the marks that it settles, and what it says that is written down nowhere. */
type Parcel = { notice: Notice; marks: { cleared: Cleared; id: string }[]; loose: Loose[] }
type Loose = { incident: Incident; item: OutboxItem }

/** Rings people. Rejects when it did not work; with `NotTaken` when the message surely did not arrive. */
export type Send = (message: SlackMessage) => Promise<void>

/** An incident as it is kept, and as it should be: the same unless it could not be written. */
type Latest = { stored: StoredIncident; incident: Incident }

type Post = {
  memory: Pick<IncidentMemory, "update">
  send: Send
  scene: Scene
  textOf(incident: Incident): IncidentText
  /** Hears what is told without being written down, before it is sent and after. */
  leave?(notes: readonly UnkeptNote[]): void
  signal: AbortSignal
}

/** More messages of one kind than this become one. */
const maxOfAKind = 5

/**
 * Sends every message once, each marked with how that ended. After the first that did not work no other is tried in this run.
 * Resolves with how many arrived and with what went wrong; rejects only when the signal fired.
 */
export async function deliver(
  cleared: readonly Cleared[],
  unkept: readonly Unkept[],
  post: Post,
): Promise<{ messages: number; problems: string[] }> {
  const problems: string[] = []
  const latest = new Map<string, Latest>(
    cleared.map(({ stored }) => [stored.id, { stored, incident: stored.incident }]),
  )
  let messages = 0
  let isDown = false
  const parcels = parcelsOf(cleared, unkept)
  const endings = new Map<Parcel, Ending>()
  const leave = () => {
    // Until the answer is there nobody knows whether it arrived, and this run may not live to see it.
    const notes = parcels.flatMap((one) =>
      one.loose.map(({ incident, item }) => noteOf(incident, item, endings.get(one) ?? "lost", post.scene.now)),
    )
    if (notes.length > 0) post.leave?.(notes)
  }
  leave()
  for (const parcel of parcels) {
    const { notice, marks } = parcel
    post.signal.throwIfAborted()
    const ending: Ending = isDown ? "refused" : await trySend(notice, post, problems)
    isDown ||= ending !== "sent"
    if (ending === "sent") messages++
    endings.set(parcel, ending)
    if (parcel.loose.length > 0) leave()
    for (const [id, ids] of idsByIncident(marks)) {
      const known = latest.get(id)
      if (known) latest.set(id, await noteEnding(known, ids, ending, post, problems))
    }
  }
  return { messages, problems }
}

/** What must be said, one message each: openings first and worst first, recoveries last. Pure. */
export function parcelsOf(cleared: readonly Cleared[], unkept: readonly Unkept[]): Parcel[] {
  const groups = new Map<string, Parcel>()
  for (const one of cleared) {
    for (const { item, mayBeRepeat } of one.due) {
      const told = { incident: one.shown, ...(one.stored.url && { url: one.stored.url }) }
      const notice = { kind: item.kind, about: [told], at: new Date(item.at), mayBeRepeat }
      join(groups, item.group ?? `${one.stored.id} ${item.id}`, {
        notice,
        marks: [{ cleared: one, id: item.id }],
        loose: [],
      })
    }
  }
  for (const { incident, due, why } of unkept) {
    for (const { item } of due) {
      // The next run cannot know that this was said: it says it again.
      const notice = { kind: item.kind, about: [{ incident }], at: new Date(item.at), mayBeRepeat: true, notKept: why }
      const isGrouped = item.group !== undefined && groups.has(item.group)
      join(groups, isGrouped ? (item.group ?? "") : "not kept", { notice, marks: [], loose: [{ incident, item }] })
    }
  }
  return fewer([...groups.values()]).sort(byUrgency)
}

function join(groups: Map<string, Parcel>, key: string, parcel: Parcel): void {
  const known = groups.get(key)
  groups.set(key, known ? together(known, parcel) : parcel)
}

function together(a: Parcel, b: Parcel): Parcel {
  const notKept = a.notice.notKept ?? b.notice.notKept
  const kind = a.notice.kind === b.notice.kind ? a.notice.kind : "digest"
  const notice = {
    kind,
    about: [...a.notice.about, ...b.notice.about],
    at: a.notice.at < b.notice.at ? a.notice.at : b.notice.at,
    mayBeRepeat: a.notice.mayBeRepeat || b.notice.mayBeRepeat,
    ...(notKept !== undefined && { notKept }),
  }
  return { notice, marks: [...a.marks, ...b.marks], loose: [...a.loose, ...b.loose] }
}

/** Many messages of one kind, left by earlier runs, are one. */
function fewer(parcels: readonly Parcel[]): Parcel[] {
  const kinds = Map.groupBy(parcels, ({ notice }) => notice.kind)
  return [...kinds.values()].flatMap((same) => {
    if (same.length <= maxOfAKind) return same
    return [same.reduce(together)]
  })
}

function byUrgency(a: Parcel, b: Parcel): number {
  const isOver = (parcel: Parcel) => (parcel.notice.kind === "recovered" ? 1 : 0)
  const severity = (parcel: Parcel) => parcel.notice.about.map(({ incident }) => incident.severity).sort()[0] ?? "P3"
  return (
    isOver(a) - isOver(b) || severity(a).localeCompare(severity(b)) || a.notice.at.getTime() - b.notice.at.getTime()
  )
}

async function trySend(notice: Notice, { send, scene, signal }: Post, problems: string[]): Promise<Ending> {
  try {
    await send(renderMessage(notice, scene))
    return "sent"
  } catch (error) {
    signal.throwIfAborted()
    problems.push(`${notice.about.map(({ incident }) => incident.key).join(", ")} not told: ${errorText(error)}`)
    return isNotTaken(error) ? "refused" : "lost"
  }
}

function idsByIncident(marks: Parcel["marks"]): Map<string, string[]> {
  const byIncident = Map.groupBy(marks, ({ cleared }) => cleared.stored.id)
  return new Map([...byIncident].map(([id, own]) => [id, own.map((mark) => mark.id)]))
}

async function noteEnding(
  { stored, incident: before }: Latest,
  ids: readonly string[],
  ending: Ending,
  { memory, scene, textOf, signal }: Post,
  problems: string[],
): Promise<Latest> {
  const incident = settle(before, ids, ending, scene.now)
  try {
    const written = await memory.update(stored, incident, textOf(incident))
    return { stored: written, incident: written.incident }
  } catch (error) {
    signal.throwIfAborted()
    problems.push(
      `${incident.key} was ${ending === "sent" ? "told" : "not told"}, which could not be noted: ${errorText(error)}`,
    )
    return { stored, incident }
  }
}
