/** One line of the ledger. `stream` is its file below the ledger's root, such as `backups/main.jsonl`. */
export type LedgerRecord = { stream: string; row: Record<string, unknown> }

/** Append-only JSON lines. Rows come back in the order in which they were written. */
export type Ledger = {
  /** The ledger's URL without credentials, for people. */
  readonly name: string
  /** Adds all records or rejects. Durable when it resolves. */
  append(records: readonly LedgerRecord[]): Promise<void>
  /** All rows of a stream; empty when it does not exist. A line that is no JSON object rejects with its number. */
  read(stream: string): Promise<unknown[]>
  /** Streams below a folder, in order. */
  streams(folder: string): Promise<string[]>
}
