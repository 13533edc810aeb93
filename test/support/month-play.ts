import { expect } from "vitest"
import type { Finding } from "../../lib/core/finding.ts"
import type { Incident } from "../../lib/incident/incident.ts"
import { looksWanted } from "../../lib/incident/policy.ts"
import type { Recent } from "../../lib/incident/reconcile.ts"
import { isDownAt, type Month, type Outage, services, type Tick } from "./month.ts"
import { defaultPolicy } from "./watch.ts"

/** Whoever tells people of a run, and the incidents that it keeps. */
export type Teller = {
  tell(findings: readonly Finding[], recent: Recent, now: Date): Promise<void> | void
  incidents(): readonly Incident[]
  /** What this run saw is seen by no later one: the ledger could not be reached. */
  forgets?(at: Date): boolean
}

/** An outage, the looks that saw it alone, without what it depends on, and the incidents that were open at those looks. */
export type Seen = { outage: Outage; looks: Date[]; keys: Set<string> }

const keptLooks = looksWanted(defaultPolicy)

/** Runs a month through a teller, as the job does: with the last looks of each subject and what is seen now. */
export async function playMonth(month: Month, teller: Teller): Promise<Seen[]> {
  const recent = new Map<string, { at: Date; outcome: Finding["outcome"]; inMaintenance?: boolean }[]>()
  const seen = new Map<Outage, Seen>()
  for (const { at, findings } of month.ticks) {
    const visible = visibleOutages(month, { at, findings, isBlind: false }, teller.incidents())
    await teller.tell(findings, recent, at)
    for (const outage of visible) {
      const found = seen.get(outage) ?? { outage, looks: [], keys: new Set() }
      found.looks.push(at)
      for (const key of openKeys(teller.incidents(), outage)) found.keys.add(key)
      seen.set(outage, found)
    }
    for (const { subject, outcome, inMaintenance } of teller.forgets?.(at) ? [] : findings) {
      const rows = recent.get(subject) ?? []
      recent.set(subject, [...rows.slice(1 - keptLooks), { at, outcome, ...(inMaintenance && { inMaintenance }) }])
    }
  }
  return [...seen.values()]
}

/** What this look certainly shows and nothing else explains. */
function visibleOutages({ outages }: Month, { at, findings }: Tick, incidents: readonly Incident[]): Outage[] {
  const isDbOpen = incidents.some(({ subject, state }) => subject === "service/db" && state !== "closed")
  return services.flatMap((service) => {
    const finding = findings.find(({ subject }) => subject === `service/${service}`)
    const isPlain = finding?.isConfirmed && !finding.inMaintenance && !finding.cause
    if (!isPlain || (service === "api" && isDbOpen)) return []
    const now = at.getTime()
    return outages.filter(({ service: other, from, to }) => other === service && from <= now && now < to)
  })
}

function openKeys(incidents: readonly Incident[], { service }: Outage): string[] {
  return incidents.flatMap(({ subject, state, key }) =>
    subject === `service/${service}` && state !== "closed" ? [key] : [],
  )
}

/** Whoever keeps incidents: each began while the service was really down, and each is over at the end of the month. */
export function expectNoFalseIncident(month: Month, incidents: readonly Incident[]): void {
  for (const { subject, openedAt, state, key } of incidents) {
    expect(isDownAt(month, subject.replace("service/", ""), Date.parse(openedAt)), `${key} is a false alarm`).toBe(true)
    expect(state, key).toBe("closed")
  }
}
