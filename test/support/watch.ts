import type { Finding } from "../../lib/core/finding.ts"
import type { Outcome } from "../../lib/core/outcome.ts"
import type { Incident, MessageKind } from "../../lib/incident/incident.ts"
import { looksWanted, type Policy, rememberMs } from "../../lib/incident/policy.ts"
import { type KnownIncident, type Reconciliation, reconcile } from "../../lib/incident/reconcile.ts"

export const minuteMs = 60_000
export const hourMs = 60 * minuteMs

export const defaultPolicy: Policy = {
  confirmRuns: 2,
  confirmOf: 3,
  closeRuns: 2,
  remindersMs: [hourMs, 4 * hourMs, 24 * hourMs, 72 * hourMs],
  flapCount: 3,
  flapWindowMs: 6 * hourMs,
  digestEveryMs: 6 * hourMs,
}

/** What people heard, in order: `opened service/api`. */
export type Heard = { at: Date; kind: MessageKind; subject: string; key: string; message: number }

export type WatchOptions = { policy?: Policy; start?: string; isSlackUp?: (now: Date) => boolean }

/**
 * Runs, an incident memory and a channel, all in memory: each run reconciles, keeps what came of it and sends what is pending.
 * Times are minutes since the start.
 */
export function watch({
  policy = defaultPolicy,
  start = "2026-03-01T00:00:00Z",
  isSlackUp = () => true,
}: WatchOptions = {}) {
  const recent = new Map<string, { at: Date; outcome: Outcome; inMaintenance?: boolean }[]>()
  const heard: Heard[] = []
  let incidents: KnownIncident[] = []
  let messages = 0
  const timeOf = (minute: number) => new Date(Date.parse(start) + minute * minuteMs)

  function run(minute: number, findings: readonly Finding[]): Reconciliation {
    const now = timeOf(minute)
    const remembered = incidents.filter(({ closedAt }) => !closedAt || isRemembered(closedAt, now))
    const result = reconcile(findings, recent, remembered, policy, now)
    incidents = keep(incidents, result)
    if (isSlackUp(now)) send(now)
    for (const { subject, outcome, inMaintenance } of findings) {
      const rows = (recent.get(subject) ?? []).slice(1 - looksWanted(policy))
      recent.set(subject, [...rows, { at: now, outcome, ...(inMaintenance && { inMaintenance }) }])
    }
    return result
  }

  function isRemembered(closedAt: string, now: Date): boolean {
    return Date.parse(closedAt) >= now.getTime() - rememberMs(policy)
  }

  function send(now: Date): void {
    const groups = new Map<string, number>()
    incidents = incidents.map((incident) => {
      const outbox = incident.outbox.map((item) => {
        if (item.state !== "pending") return item
        const group = item.group ?? `${incident.key} ${item.id}`
        const message = groups.get(group) ?? ++messages
        groups.set(group, message)
        heard.push({ at: now, kind: item.kind, subject: incident.subject, key: incident.key, message })
        return { ...item, state: "sent" as const }
      })
      return { ...incident, outbox }
    })
  }

  return {
    run,
    timeOf,
    heard,
    recent,
    /** What was heard since the last time that this was asked. */
    news(): string[] {
      return heard.splice(0).map(({ kind, subject }) => `${kind} ${subject}`)
    },
    incidents: (): readonly KnownIncident[] => incidents,
    open: (subject?: string) =>
      incidents.filter((one) => one.state !== "closed" && (subject === undefined || one.subject === subject)),
    newest: (subject: string): Incident => {
      const found = incidents.findLast((one) => one.subject === subject)
      if (!found) throw new Error(`there is no incident of ${subject}`)
      return found
    },
    /** A person, or a command of theirs, changes what is open. */
    change(subject: string, changed: (incident: Incident) => KnownIncident): void {
      incidents = incidents.map((one) => (one.subject === subject && one.state !== "closed" ? changed(one) : one))
    },
  }
}

/** The incidents after a run, as a memory keeps them. */
export function keep(incidents: readonly KnownIncident[], { actions }: Reconciliation): KnownIncident[] {
  const changed = new Map(actions.map(({ incident }) => [incident.key, incident]))
  const known = incidents.map((incident) => changed.get(incident.key) ?? incident)
  const keys = new Set(incidents.map(({ key }) => key))
  return [...known, ...[...changed.values()].filter(({ key }) => !keys.has(key))]
}

/** Findings, as jobs make them. */
export const down = (subject: string, extra: Partial<Finding> = {}): Finding => ({
  ...{ subject, outcome: "fail", detail: `${subject} does not answer`, isConfirmed: true },
  ...extra,
})
export const shaky = (subject: string): Finding => ({ subject, outcome: "fail", detail: "it failed once" })
export const slow = (subject: string): Finding => ({ subject, outcome: "warn", detail: "it is slow" })
export const up = (subject: string, extra: Partial<Finding> = {}): Finding => ({
  ...{ subject, outcome: "ok", detail: "as it should be" },
  ...extra,
})
export const unseen = (subject: string): Finding => ({ subject, outcome: "unknown", detail: "nobody can say" })
