import type { CleanupAction, CleanupConfig } from "../config/cleanup-schema.ts"
import { errorText } from "../core/error-text.ts"
import type { Finding } from "../core/finding.ts"
import { formatCount, formatCounted } from "../core/size.ts"
import { renderTableName } from "../postgres/name.ts"
import { renderShare } from "./cap.ts"
import type { Applied, CleanupPlan } from "./contract.ts"
import { actionOf } from "./rule.ts"

/** How an apply ended: what changed, why rows are left although nothing went wrong, and what went wrong. */
export type Ended = Applied & { stopped?: string; failure?: string }

const done: Record<CleanupAction, string> = {
  delete: "deleted",
  archive: "archived and then deleted",
  drop: "dropped",
  detach: "detached",
  anonymise: "anonymised",
  set: "set",
  report: "found",
}

export function cleanupSubject(database: string, rule?: string): string {
  return rule === undefined ? `database/${database}/cleanup` : `database/${database}/cleanup/${rule}`
}

/** What a rule would do, and whether it may. Pure. */
export function judgePlan(database: string, plan: CleanupPlan): Finding {
  const { refusals, notes } = plan
  const what = describePlan(plan)
  if (refusals.length > 0) {
    const detail = [`refused, nothing was done: ${refusals.join("; ")}`, what, ...notes].join("; ")
    return { ...frame(database, plan), outcome: "fail", detail }
  }
  return {
    ...frame(database, plan),
    outcome: "ok",
    detail: [`would have ${done[plan.action]} ${what}`, ...notes].join("; "),
  }
}

/** What a rule that only reports has found. Pure. */
export function judgeReport(database: string, plan: CleanupPlan, { warnAt }: CleanupConfig): Finding {
  if (plan.refusals.length > 0) return judgePlan(database, plan)
  const detail = [
    plan.count === 0 ? `no row of ${renderTableName(plan.selection.table)}` : describePlan(plan),
    ...plan.notes,
  ]
  return { ...frame(database, plan), outcome: plan.count >= warnAt ? "warn" : "ok", detail: detail.join("; ") }
}

/** What really changed. Rows that are left without a reason turn the run red. Pure. */
export function judgeApplied(database: string, plan: CleanupPlan, ended: Ended, limit: number | undefined): Finding {
  const { removed, left, notes, failure } = ended
  const isLimited = limit !== undefined && removed >= limit
  const what = plan.partitions ? `${formatCounted(ended.batches, "partition")} with ` : ""
  const parts = [
    removed === 0 && plan.count === 0 && !plan.partitions?.length
      ? `nothing to do in ${renderTableName(plan.selection.table)}`
      : `${done[plan.action]} ${what}${formatCounted(removed, "row")} of ${renderTableName(plan.selection.table)}`,
    ...(left > 0
      ? [`${formatCounted(left, "row")} still ${left === 1 ? "matches" : "match"}${whyLeft(ended, isLimited, limit)}`]
      : []),
    ...kept(ended.heldBack, plan.referredTo),
    ...plan.notes,
    ...notes,
  ]
  const outcome =
    failure !== undefined ? "fail" : left === 0 || isLimited ? "ok" : ended.stopped === undefined ? "fail" : "warn"
  const detail = [...(failure === undefined ? [] : [`stopped: ${failure}`]), ...parts].join("; ")
  const facts = { ...frame(database, plan).facts, removed, left, heldBack: ended.heldBack, batches: ended.batches }
  return { ...frame(database, plan), outcome, detail, facts }
}

/** A rule that broke. What it committed until then stays done, and the next run goes on. */
export function judgeBroken(database: string, config: CleanupConfig, error: unknown): Finding {
  const detail = `the rule ended early: ${errorText(error)}; what was committed until then stays done, and the next run goes on from there`
  const facts = { action: actionOf(config), table: config.table }
  return { subject: cleanupSubject(database, config.name), outcome: "fail", detail, facts, runbook: "cleanup" }
}

function whyLeft({ stopped, failure }: Ended, isLimited: boolean, limit: number | undefined): string {
  if (isLimited) return `, since --limit is ${formatCount(limit ?? 0)}`
  if (failure !== undefined) return ""
  return stopped === undefined ? " and should not: run it again, and see the runbook if they stay" : `: ${stopped}`
}

function frame(
  database: string,
  plan: CleanupPlan,
): Pick<Finding, "subject" | "runbook"> & { facts: Record<string, string | number> } {
  const { action, selection, count, share, heldBack, referredTo, cascades } = plan
  const cascaded = cascades.reduce((sum, one) => sum + one.count, 0)
  return {
    subject: cleanupSubject(database, plan.rule),
    runbook: "cleanup",
    facts: {
      ...{ action, table: renderTableName(selection.table), matched: count, share: Number(share.toFixed(2)), heldBack },
      ...(referredTo > 0 && { referredTo }),
      ...(cascaded > 0 && { cascaded }),
    },
  }
}

/** `1,204 rows of public.sessions (12 % of it, 2025-… to 2026-…)` with what goes along and what stays. */
export function describePlan(plan: CleanupPlan): string {
  const { selection, count, share, oldest, newest, cascades, partitions } = plan
  const ages = oldest !== undefined && newest !== undefined ? `, ${oldest} to ${newest}` : ""
  const whole = partitions ? `${formatCounted(partitions.length, "partition")} with ` : ""
  const along = cascades.map(({ effect, count, ...table }) => {
    const rows = `${formatCounted(count, "row")} of ${renderTableName(table)}`
    return effect === "deleted" ? `${rows} with them` : `${rows} with their reference ${effect}`
  })
  const size = count > 0 ? ` (${renderShare(share)} of it${ages})` : ""
  const rows = `${whole}${formatCounted(count, "row")} of ${renderTableName(selection.table)}${size}`
  return [rows, ...along, ...kept(plan.heldBack, plan.referredTo)].join("; ")
}

function kept(heldBack: number, referredTo: number): string[] {
  return [
    ...(heldBack > 0 ? [`${formatCounted(heldBack, "row")} held back by a legal hold`] : []),
    ...(referredTo > 0
      ? [
          `${formatCounted(referredTo, "row")} kept, since other rows still refer to ${referredTo === 1 ? "it" : "them"}`,
        ]
      : []),
  ]
}
