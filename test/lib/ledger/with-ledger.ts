import { errorText } from "../../../lib/core/error-text.ts"
import type { Ledger, LedgerOptions } from "../../../lib/ledger/ledger.ts"
import { openLedger } from "../../../lib/ledger/open.ts"

/** Opens a ledger for `fn` and closes it in every case. */
export async function withLedger(
  url: string,
  fn: (ledger: Ledger) => Promise<unknown>,
  options: LedgerOptions = {},
): Promise<void> {
  const ledger = openLedger(url, options)
  await fn(ledger).finally(() => ledger.close())
}

/** The words of the failure that is expected. */
export async function textOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "it did not fail",
    (error: unknown) => errorText(error),
  )
}
