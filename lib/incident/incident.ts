import { z } from "zod"

/*
 * The only memory of what was said. Kept as JSON in the machine block of an issue, or in a file. Formats only grow: a reader takes the
 * old ones, and unknown fields stay.
 */

/** What is said when something happens to an incident; each has its words in messages.ts. */
export const messageKinds = [
  "opened",
  "worse",
  "still",
  "recovered",
  "flapping",
  "digest",
  "reopened",
  "drill",
] as const
export type MessageKind = (typeof messageKinds)[number]

const time = z.iso.datetime()
const severity = z.enum(["P0", "P1", "P2", "P3"])

/** A message that must be said: written before it is sent, marked after. `sending` without an answer may have arrived. */
const outboxItem = z.looseObject({
  /** Unique within the incident, the same at every try: `<kind>-<number>`. */
  id: z.string(),
  kind: z.enum(messageKinds),
  at: time,
  state: z.enum(["pending", "sending", "sent", "given up"]),
  tries: z.int().default(0),
  /** When it was last tried: a run may be at it at this moment. */
  triedAt: time.optional(),
  /** When that try was over, unless it arrived. */
  answeredAt: time.optional(),
  /** When it arrived. */
  sentAt: time.optional(),
  /** A run that could not write may have said it already. */
  mayBeRepeat: z.boolean().optional(),
  /** Items of several incidents with the same group are one message. */
  group: z.string().optional(),
  channel: z.string().default("slack"),
})

const event = z.looseObject({ at: time, what: z.string(), by: z.string().optional() })

/** What a run knows about an incident beyond its finding. */
const about = z.looseObject({
  /** What it means for the team as long as nothing is done. */
  impact: z.string().optional(),
  firstAction: z.string().optional(),
  /** When it was last seen to be good, `never`, or nothing when there is no history to read. */
  lastGood: z.union([time, z.literal("never")]).optional(),
  commit: z.string().optional(),
  runUrl: z.string().optional(),
  /** The scheduled time that the run covered. */
  slot: time.optional(),
})

export const incidentSchema = z.looseObject({
  schema: z.literal(1),
  subject: z.string(),
  /** Names this incident for ever, such as `service/api@2026-03-01T03:17Z`. */
  key: z.string(),
  severity,
  outcome: z.enum(["fail", "warn"]),
  class: z.string().optional(),
  detail: z.string(),
  runbook: z.string().optional(),
  /** The first bad look, when it opened, when it was last bad, when it closed. */
  detectedAt: time,
  openedAt: time,
  lastBadAt: time,
  closedAt: time.optional(),
  state: z.enum(["firing", "recovering", "flapping", "closed"]),
  /** The last look that counted: the same one, or an older one, changes nothing any more. */
  lookedAt: time.optional(),
  /** When it was last seen to be good. */
  lastGoodAt: time.optional(),
  /** How bad people were told that it is, the last time that something was to be said. */
  said: z.looseObject({ severity, outcome: z.enum(["fail", "warn"]) }).optional(),
  /** Other names under which runs told of it that could not write it down. */
  aliases: z.array(z.string()).optional(),
  /** The latest of what such runs left that is in here. */
  unkeptAt: time.optional(),
  /** When it was first seen well again, where that was seen long before it could be written down. */
  endedAt: time.optional(),
  /** Good runs in a row since it was last bad. */
  goodRuns: z.int().default(0),
  /** How many reminders were said. */
  reminders: z.int().default(0),
  /** When people last heard something of it. */
  toldAt: time.optional(),
  ack: z.looseObject({ by: z.string(), at: time, until: time }).optional(),
  silence: z.looseObject({ by: z.string(), at: time, until: time, reason: z.string() }).optional(),
  /** A person closed it by a command. */
  resolved: z.looseObject({ by: z.string(), at: time, reason: z.string() }).optional(),
  /** What its messages say besides, from the run that opened it; every field may be shown to everyone. */
  about: about.optional(),
  /** What fails because of this one. */
  muted: z.array(z.string()).default([]),
  /** When it last was to blame for each subject that ever failed because of it. */
  explained: z.record(z.string(), time).optional(),
  outbox: z.array(outboxItem).default([]),
  timeline: z.array(event).default([]),
  /** The last comment that was read for commands. */
  readComment: z.union([z.string(), z.number()]).optional(),
  /** How often a person closed it while it was bad. */
  reopened: z.int().default(0),
})

export type Incident = z.output<typeof incidentSchema>
export type OutboxItem = Incident["outbox"][number]
export type About = z.output<typeof about>
export type TimelineEvent = Incident["timeline"][number]

/** Where incidents are kept: GitHub issues or a directory. One conformance suite for both. */
export type IncidentMemory = {
  /** For people, without credentials. */
  readonly name: string
  /** All open incidents, and those closed since. What it did not make it does not see. */
  list(closedSince: Date): Promise<StoredIncident[]>
  /** Makes one; rejects when the subject has an open one already (then list again). */
  open(incident: Incident, text: IncidentText): Promise<StoredIncident>
  /** Replaces the machine block and the human text; comments where `comment` is given; opens or closes where the state says so. */
  update(stored: StoredIncident, incident: Incident, text: IncidentText, comment?: string): Promise<StoredIncident>
  /** Commands that people with write access wrote since `incident.readComment`, oldest first; others' are not in it. */
  commands(stored: StoredIncident): Promise<IncidentComment[]>
  comment(stored: StoredIncident, text: string): Promise<void>
}

export type StoredIncident = {
  incident: Incident
  /** The number of the issue, or the name of the file. */
  id: string
  /** Where a person reads it. */
  url?: string
  /** A person closed it while the machine block says that it is open. */
  isClosedByPerson: boolean
}

/** Title and human part of the body, in Markdown; the adapter adds the machine block. */
export type IncidentText = { title: string; body: string }

export type IncidentComment = {
  id: string
  by: string
  at: Date
  text: string /** May the author write to the repository. */
  mayCommand: boolean
}
