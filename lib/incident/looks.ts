import type { Finding } from "../core/finding.ts"
import { worstOutcome } from "../core/outcome.ts"
import type { Severity } from "../core/severity.ts"
import { isBad, isConfirmed, type Row } from "./confirm.ts"
import type { Incident } from "./incident.ts"
import type { Policy } from "./policy.ts"
import { severityOf, worseSeverity } from "./severity.ts"

/** An incident, and whether a person closed it where it is kept though it says that it is open. */
export type KnownIncident = Incident & { isClosedByPerson?: boolean }

/** Everything that is known of one subject in this run. */
export type Subject = {
  name: string
  finding: Finding
  rows: readonly Row[]
  /** What is open; `twins` are later ones that two runs opened at the same time. */
  open?: KnownIncident
  twins: readonly Incident[]
  /** Closed ones, the newest last. */
  past: readonly Incident[]
}

/** The subjects that this run has findings about, in the order of the findings; several findings of one are its worst. */
export function subjectsOf(
  findings: readonly Finding[],
  recent: ReadonlyMap<string, readonly Row[]>,
  incidents: readonly KnownIncident[],
): Map<string, Subject> {
  const worst = new Map<string, Finding>()
  for (const finding of findings) {
    const other = worst.get(finding.subject)
    if (
      !other ||
      (other.outcome !== finding.outcome && worstOutcome([other.outcome, finding.outcome]) !== other.outcome)
    )
      worst.set(finding.subject, finding)
  }
  return new Map(
    [...worst].map(([name, finding]) => {
      const { open, twins, past } = ownIncidents(name, incidents)
      const rows = unexplained(rowsSinceClosed(recent.get(name) ?? [], past), name, incidents)
      return [name, { name, finding, rows, open, twins, past }]
    }),
  )
}

/** A bad finding that counts: not in a maintenance window. */
export function isBadNow({ finding }: Subject): boolean {
  return isBad(finding.outcome) && !finding.inMaintenance
}

/** A good finding that counts. */
export function isGoodNow({ finding }: Subject): boolean {
  return finding.outcome === "ok" && !finding.inMaintenance
}

/** Bad beyond chance: alone it would open an incident. */
export function isCertain({ finding, rows }: Subject, policy: Policy): boolean {
  return isConfirmed(finding, rows, policy)
}

/** How bad a subject is together with what fails because of it: a small cause of a large failure is no small thing. */
export function severityWith(subject: Subject, muted: readonly Subject[], policy: Policy): Severity {
  const certain = muted.filter((child) => isBadNow(child) && isCertain(child, policy))
  return [subject, ...certain]
    .map(({ finding }) => severityOf(finding, policy.severities))
    .reduce((worst, severity) => worseSeverity(worst, severity))
}

/** True of what a person closed though it was bad when it was last looked at. */
export function isLeftBad({ resolved, goodRuns }: Incident): boolean {
  return resolved !== undefined && goodRuns === 0
}

function ownIncidents(name: string, incidents: readonly KnownIncident[]): Pick<Subject, "open" | "twins" | "past"> {
  const own = incidents.filter(({ subject }) => subject === name).sort((a, b) => compare(a.openedAt, b.openedAt))
  const [open, ...twins] = own.filter(({ state }) => state !== "closed")
  const past = own.flatMap(({ isClosedByPerson: _, ...incident }) => (incident.state === "closed" ? [incident] : []))
  past.sort((a, b) => compare(a.closedAt ?? a.openedAt, b.closedAt ?? b.openedAt))
  return { open, twins, past }
}

/** What was seen before an incident closed belongs to that incident, unless a person closed it while it was bad. */
function rowsSinceClosed(rows: readonly Row[], past: readonly Incident[]): readonly Row[] {
  const last = past.at(-1)
  if (!last?.closedAt || isLeftBad(last)) return rows
  const closedAt = Date.parse(last.closedAt)
  return rows.filter(({ at }) => at.getTime() > closedAt)
}

/** A look is made in the course of a run, so it may be later than the run's own time. */
const runMs = 2 * 60_000

/** What something else was to blame for says nothing about the subject itself. */
function unexplained(rows: readonly Row[], name: string, incidents: readonly Incident[]): readonly Row[] {
  const spans = incidents.flatMap(({ openedAt, explained }) => {
    const last = explained?.[name]
    return last === undefined ? [] : [{ from: Date.parse(openedAt), to: Date.parse(last) + runMs }]
  })
  return rows.filter(({ at }) => !spans.some(({ from, to }) => from <= at.getTime() && at.getTime() < to))
}

/** The incident with what it is to blame for now on its list. */
export function explaining(incident: Incident, names: readonly string[], now: Date): Incident {
  if (names.length === 0) return incident
  const at = now.toISOString()
  return {
    ...incident,
    muted: [...new Set([...incident.muted, ...names])].sort(),
    explained: { ...incident.explained, ...Object.fromEntries(names.map((name) => [name, at])) },
  }
}

function compare(a: string, b: string): number {
  return Date.parse(a) - Date.parse(b)
}
