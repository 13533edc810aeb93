import { errorText, stackText } from "../core/error-text.ts"
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

/** One try, and when it began. */
export type Try = Pick<Look, "at" | "result" | "isDefect">

/**
 * Looks once. What ran out of the round's time is `unknown`, and so is what our own code could not look at. `knockedAt` is when an
 * earlier try asked for the first time: a service that sleeps wakes up from then on, and has what is left of that.
 */
export async function lookOnce(service: Service, watch: Watch, knockedAt?: Date): Promise<Try> {
  return watch.limited(async () => {
    const at = watch.time()
    const sinceMs = knockedAt ? at.getTime() - knockedAt.getTime() : 0
    const around = { now: at, timeoutMs: timeoutFor(service, sinceMs), signal: watch.signal }
    try {
      const result = await watch.within(() => checkService(service, around))
      return { at, result: result ?? nobodyKnows("not looked at: the time of the round was over") }
    } catch (error) {
      watch.isOver() // throws when it is the run that ended
      watch.log.error(`looking at ${service.name} broke: ${errorText(error)}`, errorMetadata(error))
      const result = nobodyKnows(`could not be looked at, by a defect here: ${errorText(error)}`)
      return { at, result, isDefect: true }
    }
  })
}

/** Looks, and at a failure that may pass looks again after a while, a few times. */
export async function lookWithRetries(service: Service, watch: Watch, patience: Patience, seed: string): Promise<Look> {
  const { at, result: first, ...defect } = await lookOnce(service, watch)
  let last = first
  let tries = 1
  for (;;) {
    const waitMs = retryWaitMs(last, tries - 1, `${seed} ${service.name}`, patience)
    if (waitMs === undefined || !(await watch.pause(waitMs))) break
    const { result: again } = await lookOnce(service, watch, at)
    if (again.outcome === "unknown") break // nothing new: what failed has failed
    last = again
    tries++
  }
  const look: Look = { service, at, result: last, tries, isConfirmed: false, ...defect }
  return first.outcome === "fail" && last.outcome !== "fail" ? { ...look, firstFailure: first } : look
}

function nobodyKnows(detail: string): CheckResult {
  return { outcome: "unknown", detail, timings: { totalMs: 0 } }
}

function errorMetadata(error: unknown): Record<string, unknown> {
  return error instanceof Error ? { stack: stackText(error) } : {}
}
