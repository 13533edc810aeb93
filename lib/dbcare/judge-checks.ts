import type { CareConfig } from "../config/care-schema.ts"
import { formatDuration } from "../core/duration.ts"
import { errorText } from "../core/error-text.ts"
import type { Finding } from "../core/finding.ts"
import { isWorse, type Severity } from "../core/severity.ts"
import { formatCounted } from "../core/size.ts"
import type { CareCheck, CareItem } from "./check.ts"
import { compareItems, type Since, type SortedItems, sortItems } from "./known-items.ts"
import type { CheckReport } from "./run-checks.ts"

/** One check with all that is to be said of it. */
export type JudgedCheck = {
  report: CheckReport
  sorted: SortedItems
  /** What has become of its items in a week; `undefined` where it did not look then. */
  since: Since | undefined
  finding: Finding
}

const shown = 3

/** What a run of the checks means for people: one finding a check. Pure. */
export function judgeChecks(
  database: string,
  reports: readonly CheckReport[],
  { settings, now, lastWeek }: { settings: CareConfig; now: Date; lastWeek: Record<string, string[]> | undefined },
): JudgedCheck[] {
  return reports.map((report) => {
    const { check, result } = report
    const items = result.status === "done" ? result.items : []
    const sorted = sortItems(check.name, items, result.status === "done" ? settings.ignore : [], now)
    const names = items.map(({ item }) => item)
    const since = result.status === "done" ? compareItems(names, lastWeek?.[check.name]) : undefined
    return { report, sorted, since, finding: findingOf(database, report, sorted, since, settings) }
  })
}

function findingOf(
  database: string,
  { check, result }: CheckReport,
  { counted, ignored, stale }: SortedItems,
  since: Since | undefined,
  settings: CareConfig,
): Finding {
  const common = {
    subject: `database/${database}/care/${check.name}`,
    runbook: runbookOf(check),
    severity: settings.checks[check.name]?.severity ?? worstOf(counted) ?? check.severity,
  }
  if (result.status === "skipped") return { ...common, outcome: "unknown", detail: `not looked at: ${result.reason}` }
  if (result.status === "failed") return { ...common, outcome: "unknown", detail: `the check broke: ${result.reason}` }
  const facts = {
    looked: result.looked,
    found: counted.length,
    ...(ignored.length > 0 && { ignored: ignored.length }),
    ...(since && { new: since.fresh.length, fixed: since.fixed.length, still: since.still.length }),
  }
  const asides = [
    ignored.length > 0 ? `${formatCounted(ignored.length, "known item")} set aside` : "",
    ...stale.map(({ entry, why }) =>
      why === "over"
        ? `care.ignore of ${entry.item} ended on ${entry.until}`
        : `care.ignore names ${entry.item}, which is not found any more: remove it`,
    ),
    ...(result.notes ?? []),
  ].filter(Boolean)
  if (counted.length === 0) {
    const detail = [`${formatCounted(result.looked, "thing")} looked at, nothing found`, ...asides].join("; ")
    return { ...common, outcome: "ok", detail, facts }
  }
  const worst = counted.some(({ outcome }) => outcome === "fail") ? "fail" : "warn"
  const detail = [describeItems(counted), ...(since ? [describeSince(since)] : []), ...asides].join("; ")
  // What the catalogue says of a failure is so: no second run need see it.
  return { ...common, outcome: worst, detail, facts, ...(worst === "fail" && { isConfirmed: true }) }
}

/** The worst severity that items name; `undefined` when one of them leaves it to the check. */
function worstOf(items: readonly CareItem[]): Severity | undefined {
  const named = items.map(({ severity }) => severity)
  const [first, ...rest] = named.filter((severity) => severity !== undefined)
  if (first === undefined || rest.length + 1 < named.length) return undefined
  return rest.reduce((worst, severity) => (isWorse(severity, worst) ? severity : worst), first)
}

/** Each check has a page of its own; a test holds that. */
function runbookOf({ name }: Pick<CareCheck, "name">): string {
  return `database-${name}`
}

function describeItems(items: readonly CareItem[]): string {
  const worstFirst = items.toSorted((a, b) => Number(b.outcome === "fail") - Number(a.outcome === "fail"))
  const first = worstFirst.slice(0, shown).map(({ item, detail }) => `${item}: ${detail}`)
  const rest = items.length - shown
  return [...first, ...(rest > 0 ? [`and ${rest} more`] : [])].join("; ")
}

function describeSince({ fresh, still, fixed }: Since): string {
  return `since last week ${fresh.length} new, ${still.length} still, ${fixed.length} fixed`
}

/** The questions reached the database: ends an incident of one that could not be asked. */
export function judgeReached(database: string, reports: readonly CheckReport[]): Finding {
  const ms = reports.reduce((sum, { durationMs }) => sum + durationMs, 0)
  const asked = reports.filter(({ result }) => result.status === "done").length
  const detail = `${asked} of ${formatCounted(reports.length, "check")} asked in ${formatDuration(ms)}`
  return {
    subject: `database/${database}/care`,
    outcome: "ok",
    detail,
    facts: { asked, ms: Math.round(ms) },
    runbook: "database",
  }
}

/** A database that could not be asked: neither good nor bad is known of it, and that is a failure of its own. */
export function judgeUnreachable(database: string, error: unknown): Finding {
  const detail = `nothing could be asked: ${errorText(error)}`
  return { subject: `database/${database}/care`, outcome: "fail", detail, runbook: "database", isConfirmed: true }
}

/** All checks of a run in one line: how many are how, and the bad ones by name. */
export function summarizeChecks(findings: readonly Finding[]): string {
  const count = (wanted: Finding["outcome"]) => findings.filter(({ outcome }) => outcome === wanted).length
  const counts = (["ok", "warn", "fail", "unknown"] as const).flatMap((outcome) =>
    count(outcome) > 0 ? `${count(outcome)} ${outcome}` : [],
  )
  const bad = findings.filter(({ outcome }) => outcome === "fail" || outcome === "warn")
  const named = bad.map(({ subject, detail }) => `${subject}: ${detail}`)
  return [`${formatCounted(findings.length, "check")}: ${counts.join(", ")}`, ...named].join("; ")
}
