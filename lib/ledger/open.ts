import { ConfigError } from "../core/config-error.ts"
import { directoryLedger } from "./directory.ts"
import type { Ledger } from "./ledger.ts"

/** The ledger at a URL. Throws `ConfigError` when no ledger can be there; touches nothing. */
export function openLedger(url: string): Ledger {
  const { protocol } = URL.parse(url) ?? {}
  if (protocol === "file:") return directoryLedger(url)
  const found = protocol ? `an address that begins with ${protocol}` : "no URL"
  throw new ConfigError(`LEDGER is ${found}: set it to a directory, file:///absolute/path`)
}
