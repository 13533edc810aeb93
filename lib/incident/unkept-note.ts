import { z } from "zod"
import { type Incident, messageKinds, type OutboxItem } from "./incident.ts"
import type { Ending } from "./outbox.ts"

const time = z.iso.datetime()

/**
 * What a run told people, or tried to, of an incident that it could not write down: left where the next run finds it. Everyone may read
 * all of it but `detail`. Formats only grow.
 */
export const unkeptNoteSchema = z.object({
  subject: z.string(),
  key: z.string(),
  kind: z.enum(messageKinds),
  severity: z.enum(["P0", "P1", "P2", "P3"]),
  outcome: z.enum(["fail", "warn"]),
  /** The first bad look that the run knew of. */
  detectedAt: time,
  /** When the run told it. */
  at: time,
  /** `lost` when nobody knows whether it arrived. */
  ending: z.enum(["sent", "refused", "lost"]),
  /** What was wrong, where whoever reads the note may know it. */
  detail: z.string().optional(),
})

export type UnkeptNote = z.output<typeof unkeptNoteSchema>

export type NotesFrom = "all" | "ledger" | "nowhere"

/** What earlier runs left. */
export type UnkeptNotes = {
  notes: readonly UnkeptNote[]
  /** Where they are from: of two places where some may be, `ledger` is one. */
  from: NotesFrom
  /** Some may be where nobody could look just now: what is said as new may have been said. */
  isDoubtful: boolean
}

/** The note of one message of one incident. */
export function noteOf(incident: Incident, { kind }: OutboxItem, ending: Ending, at: Date): UnkeptNote {
  const { subject, key, severity, outcome, detectedAt } = incident
  return { subject, key, kind, severity, outcome, detectedAt, at: at.toISOString(), ending }
}

/**
 * The incident under the name under which an earlier run that could not write told of it, if the looks reach back so far and none of them
 * since was good.
 */
export function namedAsTold(
  incident: Incident,
  notes: readonly UnkeptNote[],
  rows: readonly { at: Date; outcome: string }[],
): Incident {
  const own = notes.filter(({ subject }) => subject === incident.subject)
  const last = own.reduce<UnkeptNote | undefined>(
    (a, b) => (a && Date.parse(a.at) >= Date.parse(b.at) ? a : b),
    undefined,
  )
  const toldAt = last ? Date.parse(last.at) : Number.NaN
  const isSeenThrough = rows.some(({ at }) => at.getTime() <= toldAt)
  const wasGood = rows.some(({ at, outcome }) => outcome === "ok" && at.getTime() > toldAt)
  return last && isSeenThrough && !wasGood ? { ...incident, key: last.key, detectedAt: last.detectedAt } : incident
}
