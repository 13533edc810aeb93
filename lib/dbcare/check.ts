import type { Client } from "pg"
import type { CareConfig } from "../config/care-schema.ts"
import type { Severity } from "../core/severity.ts"
import type { Capabilities } from "./capabilities.ts"

/** What somebody should do about it: words, and statements that do it and take it back. */
export type Remedy = { advice: string; run?: string[]; undo?: string[] }

/** One thing that a check found. */
export type CareItem = {
  /** What it is about, the same in every run, such as `public.events_kind`: `ignore` names it, and last week is compared by it. */
  item: string
  outcome: "warn" | "fail"
  /** One sentence with the numbers, for a person. Never a value of the team's rows, never the text of a query. */
  detail: string
  evidence: Record<string, string | number>
  /** Where it is not that of the check. */
  severity?: Severity
  remedy?: Remedy
}

/** What became of a check. One that may not look says so; it never passes for having found nothing. */
export type CheckResult =
  | {
      status: "done"
      /** How many things were looked at, such as indexes. */
      looked: number
      items: CareItem[]
      /** Numbers for the daily sample, by name, such as `connections.used`. */
      numbers?: Record<string, number>
      /** What limits the result, such as statistics that were reset yesterday. */
      notes?: string[]
    }
  | { status: "skipped"; reason: string }

/** A day's numbers of one database, as the ledger keeps them. */
export type CareSample = { at: Date; numbers: Record<string, number> }

export type Threshold = { warn?: number | undefined; fail?: number | undefined }

/** What a check may use. The client is in a read-only session with a statement timeout; a failed statement fails that check alone. */
export type CareContext = {
  client: Client
  /** Such as 150014. */
  versionNumber: number
  may: Capabilities
  settings: CareConfig
  now: Date
  /** Earlier samples, oldest first, at most 40 days back. */
  earlier: readonly CareSample[]
}

/** One question to the database. `docs/runbooks/database-<name>.md` says what to do about what it finds. */
export type CareCheck = {
  /** Small letters and hyphens, such as `unused-indexes`. */
  name: string
  /** What it looks for, in one line. */
  about: string
  /** What the role needs for it, in words. */
  needs: string
  /** What `warn` and `fail` count, such as "percent of max_connections"; absent where there is nothing to tune. */
  unit?: string
  threshold: Threshold
  severity: Severity
  run(context: CareContext, threshold: Threshold): Promise<CheckResult>
}
