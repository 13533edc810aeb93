import type { Log } from "../core/log.ts"

/** What one line holds: an object, or the cells of a positional row whose columns a header names. */
export type LedgerRow = Record<string, unknown> | readonly unknown[]

/** One line of the ledger. `stream` is its file below the ledger's root, such as `backups/main.jsonl`. */
export type LedgerRecord = {
  stream: string
  row: LedgerRow
  /**
   * Lines that a reader of this row needs above it: column names, dictionary entries. Each is written once a file, before the first
   * row that needs it, and comes back from `read` like any other row. Two writers may both write it: it must mean the same twice.
   */
  headers?: readonly Record<string, unknown>[]
}

/** Append-only JSON lines. Rows come back in the order in which they were written. */
export type Ledger = {
  /** The ledger's URL without credentials, for people. */
  readonly name: string
  /** Adds all records or rejects; with the signal's reason when that fires. Durable when it resolves. */
  append(records: readonly LedgerRecord[], signal?: AbortSignal): Promise<void>
  /** All rows of a stream, headers among them; empty when it does not exist. A line that is no JSON object or array is skipped with a warning. */
  read(stream: string): Promise<unknown[]>
  /** Streams below a folder, in order. */
  streams(folder: string): Promise<string[]>
  /** Removes what the ledger keeps on this machine for the time of a run. Nothing may be asked of it afterwards. */
  close(): Promise<void>
}

export type LedgerOptions = {
  /** Hears of lines that are skipped, and of old files that could not be rolled up. */
  log?: Pick<Log, "warn">
  /** What the host of a branch wants to see. It reaches git through its environment alone. */
  token?: string
  /** Files of days that are past are compressed, tallied and thinned with the rows that are added. Left alone when absent. */
  now?: Date
  /** Fires when the run must end: what is being fetched then is given up, and what is asked for later gets a second. */
  ending?: AbortSignal
}
