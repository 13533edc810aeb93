import { formatDuration } from "../core/duration.ts"
import type { Incident } from "./incident.ts"
import { note } from "./timeline.ts"

const waitMs = 24 * 3_600_000

/** Whether it is an exercise. Such an incident is none of reconcile's: nothing is broken. */
export function isDrill({ subject }: Pick<Incident, "subject">): boolean {
  return subject.startsWith("drill/")
}

/** The incident of an exercise, with the message that is to be said. */
export function drillIncident(now: Date): Incident {
  const at = now.toISOString()
  const subject = `drill/${at.slice(0, 10)}`
  return {
    schema: 1,
    subject,
    key: `${subject}@${at.slice(0, 16)}Z`,
    severity: "P3",
    outcome: "warn",
    detail: "a drill: nothing is broken",
    runbook: "incident",
    ...{ detectedAt: at, openedAt: at, lastBadAt: at },
    state: "firing",
    ...{ goodRuns: 0, reminders: 0, reopened: 0, muted: [] },
    outbox: [{ id: "drill-1", kind: "drill", at, state: "pending", tries: 0, channel: "slack" }],
    timeline: [{ at, what: "drill started" }],
  }
}

/** Who answered a drill, and how long after it was opened. */
export type DrillRecord = {
  subject: string
  openedAt: string
  acknowledged?: { by: string; at: string; afterMs: number }
}

export function drillRecord({ subject, openedAt, ack, resolved }: Incident): DrillRecord {
  const answer = ack ?? resolved
  if (!answer) return { subject, openedAt }
  const afterMs = Math.max(0, new Date(answer.at).getTime() - new Date(openedAt).getTime())
  return { subject, openedAt, acknowledged: { by: answer.by, at: answer.at, afterMs } }
}

/** The drill, closed with its record as a comment: once somebody answered, or after 24 h; `undefined` as long as it waits. */
export function endDrill(incident: Incident, now: Date): { incident: Incident; comment: string } | undefined {
  const { acknowledged } = drillRecord(incident)
  if (!acknowledged && now.getTime() - new Date(incident.openedAt).getTime() < waitMs) return undefined
  const what = acknowledged
    ? `answered by ${acknowledged.by} after ${formatDuration(acknowledged.afterMs)}`
    : "nobody answered within 24 h"
  const closed = { ...note(incident, now, what), state: "closed" as const, closedAt: now.toISOString() }
  return { incident: closed, comment: `The drill is over: ${what}.` }
}
