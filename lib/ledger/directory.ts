import { fileURLToPath } from "node:url"
import { ConfigError } from "../core/config-error.ts"
import { appendRows } from "./append-rows.ts"
import type { Ledger, LedgerOptions } from "./ledger.ts"
import { listStreams, readRows } from "./read-rows.ts"
import { rollUpIfDue } from "./roll-up.ts"

/**
 * A ledger in a directory, `file:///absolute/path`, made with the first record. Several processes may append at once:
 * the rows of one call reach each file in a single write at its end, and are on disk when the call resolves.
 */
export function directoryLedger(url: string, { now, log }: LedgerOptions = {}): Ledger {
  const root = rootOf(url)
  const name = `file://${root}`
  const place = { root, name, warn: (message: string) => log?.warn(message) }
  return {
    name,
    async append(records) {
      await appendRows(place, records)
      if (records.length > 0) await rollUpIfDue(place, now)
    },
    read: (stream) => readRows(place, stream),
    streams: (folder) => listStreams(place, folder),
    async close() {},
  }
}

function rootOf(url: string): string {
  const parsed = URL.parse(url)
  if (parsed?.protocol !== "file:" || parsed.host !== "" || parsed.search !== "" || parsed.hash !== "") {
    throw new ConfigError(
      "LEDGER is not the URL of a directory: set it to file:///absolute/path, with ? and # written as %3F and %23",
    )
  }
  return fileURLToPath(parsed).replace(/(?<=.)\/+$/, "")
}
