import type { z } from "zod"
import type { Environment } from "../config/environment.ts"
import type { OpsConfig } from "../config/schema.ts"
import type { Finding } from "../core/finding.ts"
import type { Log } from "../core/log.ts"
import type { Observation } from "../core/observation.ts"
import type { About } from "../incident/incident.ts"
import type { Ledger, LedgerRecord } from "../ledger/ledger.ts"

export type Trigger = "schedule" | "dispatch" | "hand"

/** What a run may know of the world outside its configuration. It never reads the environment or the clock itself. */
export type Context<C, O = unknown> = {
  config: C
  /** Options of the command line, as the job's own schema parsed them. */
  options: O
  /** When this run began. The same value for the whole run. */
  now: Date
  /** The scheduled UTC time that this run covers; `now` when nothing was scheduled. */
  slot: Date
  trigger: Trigger
  dryRun: boolean
  /** What earlier runs recorded, for reading alone: a job returns what it has to record. */
  ledger: Pick<Ledger, "name" | "read" | "streams">
  log: Log
  /** Fires when the run must end: the job cleans up and rejects. */
  signal: AbortSignal
  /** Identifies this run in the ledger and in everything it stores. */
  run: { id: string; commit: string | undefined }
}

export type JobResult = {
  /** What was done, in one or two sentences. */
  summary: string
  findings: Finding[]
  /** What was seen of services, one a service: the raw rows behind every uptime number. */
  observations?: Observation[]
  /** Rows for the ledger beside the run line: backups, metrics, audit. */
  records?: LedgerRecord[]
  /** Markdown for the step summary, below the findings. */
  page?: string
  /** Turns the run red, or leaves it green, whatever its findings say: for a job that sees more than its findings tell. */
  isRed?: boolean
  /** It did all of its work although options were given: an incident of the job itself is over. */
  isWhole?: boolean
  /** Opens an exercise that rings everybody. */
  drill?: boolean
  /** What messages say of a subject besides its finding; all of it may be shown to everyone. */
  about?: Record<string, About>
  /** Plain text for who runs it by hand, such as a table: all that is printed on stdout; the last lines then go to stderr. */
  output?: string
}

export type Job<C = unknown, O = unknown> = {
  name: string
  /** One line for the list of jobs. */
  about: string
  /** What it means for the team while the job fails, for the message that wakes people: true of every failure that it can have. */
  impact?: string
  /** Bad findings of an observer are about others and leave the run green; all other jobs turn red on any `fail`. */
  observer?: boolean
  /** No workflow runs it: people do. */
  byHand?: boolean
  /** Schema of the job's own command line options; field descriptions become its help. */
  options?: z.ZodType<O>
  /** Picks what the job needs. Touches nothing: what it asks of `env` is also how the workflow's environment is known. */
  config(ops: OpsConfig, env: Environment): C
  run(context: Context<C, O>): Promise<JobResult>
  /** When the job last did its work, read from the store, for the message when it fails now. */
  lastSuccess?(config: C): Promise<Date | undefined>
}

/** Names a job. Only there for inference and for the reader. */
export function defineJob<C, O = Record<string, never>>(job: Job<C, O>): Job<C, O> {
  return job
}
