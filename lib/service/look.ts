import { errorText } from "../core/error-text.ts"
import type { CheckResult } from "./check.ts"
import { checkService } from "./check-service.ts"
import { timeoutFor } from "./judge.ts"
import type { MaintenanceNow } from "./maintenance.ts"
import { type Patience, retryWaitMs } from "./retry.ts"
import type { Service } from "./service.ts"
import type { Watch } from "./watch.ts"

/** What one round saw of one service, all tries together. */
export type Look = {
  service: Service
  /** When the first try began. */
  at: Date
  /** What counts: the good try when there was one, else the last. */
  result: CheckResult
  tries: number
  /** How it failed before it answered. */
  firstFailure?: CheckResult
  /** Failed at every re-probe as well. */
  isConfirmed: boolean
  /** Our own code broke while it looked. */
  isDefect?: boolean
  /** The subject at fault when that is another one. */
  cause?: string
  maintenance?: MaintenanceNow
}

export function isFailure({ result }: Look): boolean {
  return result.outcome === "fail"
}

/** Looks once. What ran out of the round's time is `unknown`, and so is what our own code could not look at. */
export async function lookOnce(service: Service, watch: Watch): Promise<CheckResult & { isDefect?: boolean }> {
  return watch.limited(async () => {
    const around = { now: watch.time(), timeoutMs: timeoutFor(service), signal: watch.signal }
    try {
      const result = await watch.within(() => checkService(service, around))
      return result ?? nobodyKnows("not looked at: the time of the round was over")
    } catch (error) {
      watch.isOver() // throws when it is the run that ended
      watch.log.error(`looking at ${service.name} broke: ${errorText(error)}`, errorMetadata(error))
      return { ...nobodyKnows(`could not be looked at, by a defect here: ${errorText(error)}`), isDefect: true }
    }
  })
}

/** Looks, and at a failure that may pass looks again after a while, a few times. */
export async function lookWithRetries(service: Service, watch: Watch, patience: Patience, seed: string): Promise<Look> {
  const at = watch.time()
  const { isDefect, ...first } = await lookOnce(service, watch)
  let last: CheckResult = first
  let tries = 1
  for (;;) {
    const waitMs = retryWaitMs(last, tries - 1, `${seed} ${service.name}`, patience)
    if (waitMs === undefined || !(await watch.pause(waitMs))) break
    const again = await lookOnce(service, watch)
    if (again.outcome === "unknown") break // nothing new: what failed has failed
    last = again
    tries++
  }
  const look: Look = { service, at, result: last, tries, isConfirmed: false, ...(isDefect && { isDefect }) }
  return first.outcome === "fail" && last.outcome !== "fail" ? { ...look, firstFailure: first } : look
}

function nobodyKnows(detail: string): CheckResult {
  return { outcome: "unknown", detail, timings: { totalMs: 0 } }
}

function errorMetadata(error: unknown): Record<string, unknown> {
  return error instanceof Error ? { stack: error.stack } : {}
}
