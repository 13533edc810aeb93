import { errorText } from "../core/error-text.ts"
import type { Log } from "../core/log.ts"
import type { LedgerRecord } from "../ledger/ledger.ts"
import { bounded, type Curfew } from "./curfew.ts"
import type { Run, TellerName, Told } from "./run.ts"

/** What there is to tell about a run. All of it has passed the redaction. */
export type Telling = { run: Run; records: readonly LedgerRecord[]; page: string | undefined }

/** One place where results are told. Resolves with `done` or why there was nothing to do, rejects when it did not work. */
export type Teller = {
  name: TellerName
  timeoutMs: number
  tell(telling: Telling, signal: AbortSignal): Promise<Told>
}

/** Tells in one place, within its time. Never rejects: the answer says how it went. */
export async function tell(
  teller: Teller,
  telling: Telling,
  context: { log: Log; curfew: Curfew; reserveMs: number },
): Promise<Told> {
  const { log, curfew, reserveMs } = context
  try {
    const work = (signal: AbortSignal) => teller.tell(telling, signal)
    return await bounded(work, { what: `telling the ${teller.name}`, timeoutMs: teller.timeoutMs, curfew, reserveMs })
  } catch (error) {
    log.error(`the ${teller.name} could not be told: ${errorText(error)}`)
    return `failed (${errorText(error)})`
  }
}
