import type { Log } from "../../../lib/core/log.ts"
import type { Incident } from "../../../lib/incident/incident.ts"

/** Before anything that the tests of incidents tell. */
export const longAgo = new Date("2026-01-01T00:00:00Z")
export const text = { title: "web is down", body: "It answers 502." }

export function incidentOf(subject: string, change: Partial<Incident> = {}): Incident {
  return {
    schema: 1,
    subject,
    key: `${subject}@2026-03-01T03:17Z`,
    severity: "P1",
    outcome: "fail",
    detail: "it answers 502",
    detectedAt: "2026-03-01T03:17:00Z",
    openedAt: "2026-03-01T03:17:30Z",
    lastBadAt: "2026-03-01T03:17:30Z",
    state: "firing",
    goodRuns: 0,
    reminders: 0,
    muted: [],
    outbox: [],
    timeline: [{ at: "2026-03-01T03:17:00Z", what: "detected" }],
    reopened: 0,
    ...change,
  }
}

export function outboxItem(
  id: string,
  state: Incident["outbox"][number]["state"] = "pending",
): Incident["outbox"][number] {
  return { id, kind: "opened", at: "2026-03-01T03:17:30Z", state, tries: 0, channel: "slack" }
}

export function logTo(warnings: string[]): Log {
  const warn = (message: string) => void warnings.push(message)
  return { debug() {}, info() {}, warn, error() {}, progress: () => ({ at() {}, done() {} }) }
}
