import { ConfigError } from "../core/config-error.ts"
import { directoryLedger } from "./directory.ts"
import { gitLedger } from "./git.ts"
import type { Ledger, LedgerOptions } from "./ledger.ts"

/** The ledger at a URL. Throws `ConfigError` when no ledger can be there; touches nothing. */
export function openLedger(url: string, options: LedgerOptions = {}): Ledger {
  const { protocol } = URL.parse(url) ?? {}
  if (protocol === "file:") return directoryLedger(url, options)
  if (protocol?.startsWith("git+")) return gitLedger(url, options)
  const found = protocol ? `an address that begins with ${protocol}` : "no URL"
  const forms = "a directory, file:///absolute/path, or a branch, git+https://github.com/owner/repository.git#ops-data"
  throw new ConfigError(`LEDGER is ${found}: set it to ${forms}`)
}
