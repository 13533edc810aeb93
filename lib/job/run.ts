import type { Finding } from "../core/finding.ts"
import type { Outcome } from "../core/outcome.ts"
import type { UnkeptNote } from "../incident/unkept-note.ts"
import type { Trigger } from "./job.ts"

/** 0 done; 1 a `fail`; 2 configuration or usage; 3 the result could not be told (wins over 1). */
export type ExitCode = 0 | 1 | 2 | 3

/** How telling went in one place: `done`, or why not. */
export type Told = "done" | `skipped (${string})` | `failed (${string})`

export type TellerName = "summary" | "incidents" | "ledger"

/** One execution of a job, as `--json` prints it and the ledger keeps it. Times are ISO 8601 in UTC; no text in it is secret. */
export type Run = {
  schema: 1
  id: string
  job: string
  /** The scheduled time that the run covers; when it began, where nothing was scheduled. */
  slot: string
  trigger: Trigger
  dryRun: boolean
  /** The job's own options that were typed: such a run may have done a part of its work only, and its slot is not done by it. */
  options?: string[]
  /** Why a person started it. */
  reason?: string
  /** Who started it, on GitHub. */
  actor?: string
  startedAt: string
  endedAt: string
  outcome: Outcome
  exitCode: ExitCode
  summary: string
  findings: Finding[]
  /** The commit of this repository that ran. */
  commit?: string
  /** The run's page on GitHub. */
  url?: string
  traceId: string
  /** In the ledger's own line: what was told of incidents that could not be written down. */
  unkept?: UnkeptNote[]
  /** In the ledger's own line: the incidents were reached, and hold what earlier runs left there that could not write them down. */
  caughtUp?: "all" | "ledger"
  /** Where the result was told. In the ledger's own line its own entry is missing: the line is there. */
  told: Partial<Record<TellerName, Told>>
}

/** The exit code that a result and its telling come to. */
export function exitCodeOf(result: { kind: string; isRed: boolean }, told: Run["told"]): ExitCode {
  if (result.kind === "misconfigured") return 2
  if (Object.values(told).some((text) => text.startsWith("failed"))) return 3
  return result.isRed ? 1 : 0
}
