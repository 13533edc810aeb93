import { formatDuration } from "../core/duration.ts"
import type { Finding } from "../core/finding.ts"
import type { Availability } from "./availability.ts"
import { type ServiceReport, windowDays } from "./report.ts"

/** A share as people read it, rounded down so that nothing below 100 % is ever shown as 100 %. */
export function formatShare(share: number | undefined): string {
  if (share === undefined) return "no data"
  if (share >= 1 - 1e-9) return "100.00 %"
  const digits = share >= 0.9995 ? 3 : 2
  return `${(Math.floor(share * 100 * 10 ** digits + 1e-9) / 10 ** digits).toFixed(digits)} %`
}

/** A plain table for a terminal: availability of each service over each window with its bounds and coverage, and its objective. */
export function renderTable(reports: readonly ServiceReport[]): string {
  const lines = reports.flatMap((report) => [
    `${report.service}  (looked at every ${formatDuration(report.intervalMs)})`,
    "  window   availability  95 % between          seen  unknown  missing  maint.   p50 ms  p95 ms  p99 ms",
    ...windowDays.map((days) => row(days, report.windows[days])),
    `  ${promise(report)}`,
    "",
  ])
  return `${lines.join("\n")}\n`
}

function row(days: number, seen: Availability | undefined): string {
  if (!seen) return ""
  const all = seen.seen + seen.unknown + seen.missing + seen.maintenance
  const { low, high } = seen.bounds
  const bounds = seen.seen === 0 ? "-" : `${formatShare(low)} - ${formatShare(high)}`
  const { latency } = seen
  const times = [latency?.p50, latency?.p95, latency?.p99].map((ms) =>
    ms === undefined ? "-" : String(Math.round(ms)),
  )
  return [
    `  ${`${days === 1 ? "24 h" : `${days} d`}`.padEnd(9)}${formatShare(seen.share).padStart(12)}`,
    bounds.padStart(20),
    ...[seen.seen, seen.unknown, seen.missing, seen.maintenance].map((count) => formatPart(count, all).padStart(7)),
    ...times.map((text) => text.padStart(6)),
  ].join("  ")
}

/** A part of all in whole percents: nothing that is there is shown as none, and no part as all. */
function formatPart(count: number, all: number): string {
  if (all === 0) return "-"
  const percent = (count / all) * 100
  if (count > 0 && percent < 1) return "< 1 %"
  return `${count < all ? Math.min(99, Math.round(percent)) : 100} %`
}

/** How the objective stands, in words. */
export function promise({ objective, intervalMs }: ServiceReport): string {
  if (!objective) return "no objective"
  const what = `objective ${formatShare(objective.availability)} over ${objective.days} d`
  const budget = `${Math.round(objective.leftMinutes)} of ${Math.round(objective.budgetMinutes)} min of error budget left`
  if (objective.state === "not measurable") {
    const needed = Math.max(1, Math.floor(objective.neededIntervalMinutes ?? 0))
    return `${what}: cannot be measured at an interval of ${formatDuration(intervalMs)} (needs <= ${needed} min)`
  }
  if (objective.state === "no data") return `${what}: nothing seen yet`
  if (objective.state === "uncertain") return `${what}: uncertain, too little was seen; ${budget}, as far as seen`
  return `${what}: ${objective.state}; ${budget}`
}

/** One finding a service: for `--json` and for whoever reads the run. A missed objective is a warning: it is a fact, and wakes nobody. */
export function objectiveFindings(reports: readonly ServiceReport[]): Finding[] {
  return reports.map((report) => {
    const { service, objective, windows } = report
    const seen = windows[objective && windows[objective.days] ? objective.days : 30]
    const isFine = objective ? objective.state === "met" : seen?.share !== undefined
    const outcome = isFine ? "ok" : objective?.state === "missed" ? "warn" : "unknown"
    const facts = {
      ...(seen?.share !== undefined && { availability: seen.share, low: seen.bounds.low, high: seen.bounds.high }),
      ...(seen && { coverage: seen.coverage, downMinutes: seen.downMinutes, unseenMinutes: seen.unseenMinutes }),
      ...(seen?.latency && { p50Ms: seen.latency.p50, p95Ms: seen.latency.p95, p99Ms: seen.latency.p99 }),
      ...(objective && {
        state: objective.state,
        budgetMinutes: objective.budgetMinutes,
        leftMinutes: objective.leftMinutes,
      }),
    }
    const detail = `${formatShare(seen?.share)}, ${formatShare(seen?.coverage)} seen; ${promise(report)}`
    return { subject: `service/${service}/objective`, outcome, detail, facts, runbook: "error-budget" }
  })
}
