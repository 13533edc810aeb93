import type { Log } from "../core/log.ts"
import type { LedgerRecord } from "../ledger/ledger.ts"
import { observationRecords } from "../ledger/observations.ts"
import type { JobResult } from "./job.ts"
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
 * the server's own words, is left out, and so is the runbook, which names the class of a failure.
 */
export function publicRun(run: Run): Run {
  const findings = run.findings.map(({ subject, outcome }) => {
    return { subject, outcome, detail: outcome === "ok" ? "as it should be" : notShown }
  })
  return { ...run, summary: `${run.outcome}: ${notShown}: ${whereThen}`, findings }
}

/** Rows for the ledger: what was seen of services, and what the job recorded. */
export function recordsOf({
  observations = [],
  records = [],
}: Pick<JobResult, "observations" | "records">): LedgerRecord[] {
  return [...observationRecords(observations), ...records]
}

/** Fields of records that say which and how it ended, and nothing of what is in it. */
const publicFields = ["type", "set", "snapshotAt", "manifestSha256", "testedAt", "verdict", "rule", "run"]

/**
 * The same rows where everyone can read the ledger: outcomes and times, and nothing of why; the version of what tells it to everyone who
 * asks, since a deploy that fails must name the last good one.
 */
export function publicRecords(result: Pick<JobResult, "observations" | "records">): LedgerRecord[] {
  const observations = result.observations?.map(
    ({ version, numbers, class: _class, status, tries, cause, ...outcomeAndTimes }) => ({
      ...outcomeAndTimes,
      ...(outcomeAndTimes.isOpen && version !== undefined && { version }),
    }),
  )
  const records = result.records?.map((record) => ({
    ...record,
    row: Object.fromEntries(Object.entries(record.row).filter(([field]) => publicFields.includes(field))),
  }))
  return recordsOf({ ...(observations && { observations }), ...(records && { records }) })
}

/** A log that says nothing: a job speaks of what it sees, and everyone can read the log of a public repository. */
export const mutedLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  progress: () => ({ at() {}, done() {} }),
}
