import type { Outcome } from "./outcome.ts"

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
}

/** All findings in one line. */
export function summarizeFindings(findings: readonly Finding[]): string {
  return findings.map(({ subject, outcome, detail }) => `${subject} ${outcome}: ${detail}`).join("; ")
}
