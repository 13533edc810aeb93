import { formatDuration } from "../core/duration.ts"
import { errorText } from "../core/error-text.ts"
import type { Finding } from "../core/finding.ts"
import { formatCounted } from "../core/size.ts"
import type { LedgerRecord } from "../ledger/ledger.ts"
import type { ActionKind, ActionOutcome } from "./actions.ts"
import type { Maintenance } from "./maintain.ts"
import { rightsRemedy } from "./plan-maintenance.ts"

const runbook = "maintenance"

/** So many things are named in one sentence. */
const shown = 8

/** What a run of the maintenance means for people: one finding a kind of action, one for rights, one for the run. Pure. */
export function judgeMaintenance(database: string, maintenance: Maintenance, kinds: readonly ActionKind[]): Finding[] {
  return [
    judgeRun(database, maintenance),
    judgeRights(database, maintenance),
    ...kinds.map((kind) => judgeKind(database, maintenance, kind)),
  ]
}

/** What a run would do. Pure. */
export function judgeRehearsal(database: string, maintenance: Maintenance, kinds: readonly ActionKind[]): Finding[] {
  const { plan } = maintenance
  const planned = kinds.map((kind): Finding => {
    const actions = plan.actions.filter(({ action }) => action === kind)
    const detail =
      actions.length === 0
        ? "dry run: nothing is due"
        : `dry run: would run ${listed(actions.map(({ statement }) => statement))}`
    return withObstacles(
      { subject: `database/${database}/maintenance/${kind}`, outcome: "ok", detail, runbook },
      maintenance,
      kind,
    )
  })
  return [judgeRights(database, maintenance), ...planned]
}

/** No maintenance: why it was refused, or what kept it from beginning. */
export function judgeNoMaintenance(database: string, error: unknown): Finding {
  const detail = `nothing was done: ${typeof error === "string" ? error : errorText(error)}`
  return { subject: `database/${database}/maintenance`, outcome: "fail", detail, runbook }
}

function judgeRun(database: string, { outcomes, left, error }: Maintenance): Finding {
  const subject = `database/${database}/maintenance`
  const done = outcomes.filter(({ end }) => end === "done").length
  const facts = { done, notDone: outcomes.length - done, left: left.length }
  const said = `${formatCounted(done, "action")} done, ${facts.notDone} not`
  if (error !== undefined) {
    const detail = `ended early, ${said}, ${left.length} not begun: ${errorText(error)}`
    return { subject, outcome: "fail", detail, facts, runbook }
  }
  if (left.length === 0)
    return { subject, outcome: "ok", detail: outcomes.length === 0 ? "nothing was due" : said, facts, runbook }
  const next = listed(left.map(({ action, target }) => `${action} ${target}`))
  const detail = `${said}; left for the next run: ${next}: raise --time-limit (or --limit) if it is too much every week`
  return { subject, outcome: "warn", detail, facts, runbook }
}

function judgeRights(database: string, { server, plan, outcomes }: Maintenance): Finding {
  const subject = `database/${database}/maintenance/rights`
  const refused = outcomes.filter(({ end }) => end === "refused")
  const missing = [
    ...plan.notDone.filter(({ isRight }) => isRight),
    ...refused.map(({ action, detail }) => ({
      action: action.action,
      target: action.target,
      reason: detail,
      isRight: true,
    })),
  ]
  const remedy = rightsRemedy(server, missing)
  if (!remedy) return { subject, outcome: "ok", detail: `${server.role} may do all that was due`, runbook }
  const what = listed(missing.map(({ action, target, reason }) => `${action} ${target}: ${reason}`))
  return {
    subject,
    outcome: "warn",
    detail: `${server.role} may not do ${formatCounted(missing.length, "thing")} that ${missing.length === 1 ? "is" : "are"} due (${what}): ${remedy}`,
    facts: { missing: missing.length },
    runbook,
  }
}

function judgeKind(database: string, maintenance: Maintenance, kind: ActionKind): Finding {
  const subject = `database/${database}/maintenance/${kind}`
  const outcomes = maintenance.outcomes.filter(({ action, end }) => action.action === kind && end !== "refused")
  const done = outcomes.filter(({ end }) => end === "done" || end === "gone")
  const bad = outcomes.filter((outcome) => !done.includes(outcome))
  const outcome = bad.some(({ end }) => end === "failed") ? "fail" : bad.length > 0 ? "warn" : "ok"
  const detail = [
    done.length > 0 ? listed(done.map(describe)) : bad.length > 0 ? "" : nothingDone(maintenance, kind),
    bad.length > 0 ? `not done: ${listed(bad.map(describe))}` : "",
  ]
  const finding: Finding = {
    subject,
    outcome,
    detail: detail.filter(Boolean).join("; "),
    facts: factsOf(outcomes),
    runbook,
  }
  return withObstacles(finding, maintenance, kind)
}

function nothingDone({ left }: Maintenance, kind: ActionKind): string {
  return left.some(({ action }) => action === kind) ? "not begun" : "nothing was due that this role may do"
}

/** What is due and something stands in the way of, as a warning. */
function withObstacles(finding: Finding, { plan }: Maintenance, kind: ActionKind): Finding {
  const obstacles = plan.notDone.filter(({ action, isRight }) => action === kind && !isRight)
  const notes = kind === "reindex" ? plan.notes : []
  const detail = [
    finding.detail,
    obstacles.length > 0 ? `in the way: ${listed(obstacles.map(({ target, reason }) => `${target}: ${reason}`))}` : "",
    ...notes,
  ]
  const isWorse = obstacles.length > 0 && finding.outcome === "ok"
  return { ...finding, outcome: isWorse ? "warn" : finding.outcome, detail: detail.filter(Boolean).join("; ") }
}

function describe({ action, detail, durationMs }: ActionOutcome): string {
  return `${action.target} ${detail} (${formatDuration(durationMs)})`
}

function factsOf(outcomes: readonly ActionOutcome[]): Record<string, number> {
  const freed = outcomes.reduce((sum, { beforeBytes = 0, afterBytes = 0 }) => sum + beforeBytes - afterBytes, 0)
  const tookMs = outcomes.reduce((sum, { durationMs }) => sum + durationMs, 0)
  return { done: outcomes.filter(({ end }) => end === "done").length, freedBytes: freed, tookMs: Math.round(tookMs) }
}

function listed(texts: readonly string[]): string {
  const rest = texts.length - shown
  return [...texts.slice(0, shown), ...(rest > 0 ? [`and ${rest} more`] : [])].join("; ")
}

/** The ledger's rows: one an action. */
export function maintenanceRecords(
  database: string,
  { outcomes }: Maintenance,
  { now, run }: { now: Date; run: string },
): LedgerRecord[] {
  return outcomes.map(({ action, end, durationMs, beforeBytes, afterBytes }) => ({
    stream: `maintenance/${database}.jsonl`,
    row: {
      ...{ type: "maintenance", at: now.toISOString(), action: action.action, target: action.target, end },
      ...{ durationMs: Math.round(durationMs), run },
      ...(beforeBytes !== undefined && { beforeBytes, afterBytes }),
    },
  }))
}
