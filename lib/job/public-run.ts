import type { Log } from "../core/log.ts"
import type { Verdict } from "./perform.ts"
import type { Prepared } from "./prepare.ts"
import type { Run } from "./run.ts"

const notShown = "the details are not shown in a public repository"
const whereThen = "Slack has those of failures, a run by hand on your machine has all"

/**
 * Whether everyone may read no more than the outcome. What is wrong with settings is shown: their names, and `ops.config.ts`, are as
 * public as the repository.
 */
export function hidesDetails({ origin, problems }: Prepared, { kind }: Verdict): boolean {
  return origin.isPublic && problems.length === 0 && kind !== "slot done"
}

/**
 * What everyone may read of a run: which subjects it looked at and how they are. What was seen, such as names of tables, numbers and
 * the server's own words, is left out.
 */
export function publicRun(run: Run): Run {
  const findings = run.findings.map(({ subject, outcome, runbook }) => {
    return { subject, outcome, detail: outcome === "ok" ? "as it should be" : notShown, ...(runbook && { runbook }) }
  })
  return { ...run, summary: `${run.outcome}: ${notShown}: ${whereThen}`, findings }
}

/** A log that says nothing: a job speaks of what it sees, and everyone can read the log of a public repository. */
export const mutedLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  progress: () => ({ at() {}, done() {} }),
}
