import { type FailureNotice, renderFailure } from "../notify/failure-message.ts"
import { sendSlack } from "../notify/slack.ts"
import type { History } from "./past-runs.ts"
import type { Verdict } from "./perform.ts"
import type { Run } from "./run.ts"
import type { Teller } from "./tell.ts"

export type SlackContext = {
  url: string | undefined
  app: { name: string; environment: string }
  /** What it means that the job failed, in its own words. */
  impact: string
  kind: Verdict["kind"]
  /** What is known of earlier runs; `undefined` when there is no history to read. */
  readPast(signal: AbortSignal): Promise<History | undefined>
  /** An address or a path for the name of a runbook. */
  runbookAddress(name: string): string
}

/** Wakes people when something failed. Of a dry run nobody hears. */
export function slackTeller(context: SlackContext): Teller {
  return {
    name: "slack",
    timeoutMs: 60_000,
    async tell({ run }, signal) {
      if (run.dryRun) return "skipped (dry run)"
      if (!run.findings.some((finding) => finding.outcome === "fail")) return "skipped (nothing failed)"
      if (!context.url) return "skipped (no address: set alerts.slack)"
      const notice = failureNotice(run, context, await context.readPast(signal))
      await sendSlack(context.url, renderFailure(notice), { timeoutMs: 10_000, signal })
      return "done"
    },
  }
}

function failureNotice(run: Run, context: SlackContext, past: History | undefined): FailureNotice {
  const bad = run.findings.filter((finding) => finding.outcome === "fail")
  const runbook = bad.find((finding) => finding.runbook)?.runbook
  return {
    ...context.app,
    app: context.app.name,
    job: run.job,
    findings: bad,
    ...(past?.failing && { since: since(past.failing) }),
    impact: context.impact,
    lastSuccess: past?.lastSuccess ? { at: past.lastSuccess } : past ? "never" : "unknown",
    ...(run.commit && { commit: run.commit }),
    ...(run.url && { runUrl: run.url }),
    firstAction: firstAction(run, context),
    ...(runbook && { runbook: context.runbookAddress(runbook) }),
    slot: new Date(run.slot),
    now: new Date(run.endedAt),
  }
}

function since({ since, count }: NonNullable<History["failing"]>): string {
  const time = since.toISOString().slice(0, 16).replace("T", " ")
  return `${time} UTC (${count} ${count === 1 ? "run" : "runs"} before this one)`
}

function firstAction(run: Run, { kind }: SlackContext): string {
  if (kind === "misconfigured")
    return `correct what the error names, then start ${run.job} as a dry run: it lists what is still wrong`
  return `${run.url ? "open the run" : "read the log"}, follow the runbook, then start ${run.job} again: it may run any number of times`
}
