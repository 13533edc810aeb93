import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { type SecretSink, tokenMissing } from "../config/environment.ts"
import { ConfigError } from "../core/config-error.ts"
import type { Log } from "../core/log.ts"
import { basicCredentials } from "../ledger/git-command.ts"
import type { Ledger } from "../ledger/ledger.ts"
import { openLedger } from "../ledger/open.ts"
import type { Variables } from "./origin.ts"

export type RunLedgerInput = {
  env: Variables
  root: string
  inActions: boolean
  log: Log
  redactor: SecretSink
  /** What today is for the roll-up. */
  now: Date
  /** Fires when the run must end. */
  ending: AbortSignal
}

/**
 * The ledger at `LEDGER`; else, in Actions, the branch `ops-data` of this repository, and elsewhere a directory of the checkout. The
 * token is shown to the host of this repository alone. Throws `ConfigError`.
 */
export function openRunLedger({ env, root, inActions, log, redactor, now, ending }: RunLedgerInput): Ledger {
  const server = env.GITHUB_SERVER_URL?.trim() || "https://github.com"
  const token = env.GITHUB_TOKEN?.trim()
  if (token) for (const secret of [token, basicCredentials(token)]) redactor.add(secret)
  const given = env.LEDGER?.trim()
  if (!given && inActions && !token) throw new ConfigError(tokenMissing)
  const branch = `git+${server}/${env.GITHUB_REPOSITORY}.git#ops-data`
  const directory = pathToFileURL(join(root, ".ops", "ledger")).href
  const url = given || (inActions ? branch : directory)
  const isOurHost = URL.parse(url.replace(/^git\+/, ""))?.origin === URL.parse(server)?.origin
  return openLedger(url, { log, now, ending, ...(token && isOurHost && { token }) })
}
