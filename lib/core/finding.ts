import type { Outcome } from "./outcome.ts"
import type { Severity } from "./severity.ts"

/**
 * What a job saw about one subject, such as `database/main/backup`.
 * `detail` is one or a few sentences for a person; `facts` are the numbers behind it;
 * `runbook` is the page under docs/runbooks, without its ending.
 */
export type Finding = {
  subject: string
  outcome: Outcome
  detail: string
  facts?: Record<string, string | number>
  runbook?: string
  severity?: Severity
  /** Class of the failure, such as `timeout`. */
  class?: string
  /** It was looked at again several times within the same run, and was bad each time: no second run need confirm it. */
  isConfirmed?: boolean
  /** The subject or provider at fault when that is another one: people hear of that one, and this is listed under it. */
  cause?: string
  /** Within a maintenance window: nobody is told. */
  inMaintenance?: boolean
}

/** All findings in one line. */
export function summarizeFindings(findings: readonly Finding[]): string {
  return findings.map(({ subject, outcome, detail }) => `${subject} ${outcome}: ${detail}`).join("; ")
}
