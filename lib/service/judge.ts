import { formatDuration } from "../core/duration.ts"
import type { Outcome } from "../core/outcome.ts"
import type { CheckResult, FailureClass } from "./check.ts"
import type { Service } from "./service.ts"

/** A first byte later than this was a cold start, where the service says nothing of what is slow. */
const coldMs = 3000

/** How long one look may take, in milliseconds: a service that sleeps gets what is left of the time to wake up, `sinceMs` after the first. */
export function timeoutFor(service: Pick<Service, "timeoutMs" | "coldStartMs">, sinceMs = 0): number {
  return Math.max(service.timeoutMs, (service.coldStartMs ?? 0) - sinceMs)
}

type Remark = { outcome: Outcome; class: FailureClass; text: string }

/**
 * Holds a result against the limits of its service: numbers and latency can make it worse, never better. What failed or is unknown
 * stays as it is. A service that sleeps and answers late but within its cold start is `isCold`, and not called slow. A number that
 * has a limit and is not in the answer is a warning: a limit that nothing is held against would be a green lie.
 */
export function judge(service: Service, result: CheckResult): CheckResult {
  if (result.outcome === "fail" || result.outcome === "unknown") return result
  const wakingMs = timeToWake(service, result)
  const remarks = [
    ...numberRemarks(service, result),
    ...(wakingMs === undefined ? latencyRemarks(service, result) : []),
  ]
  const worst = remarks.find(({ outcome }) => outcome === "fail") ?? remarks[0]
  const words = [...(wakingMs === undefined ? [] : [`woke up in ${formatDuration(wakingMs)}`]), result.detail]
  return {
    ...result,
    ...(wakingMs !== undefined && { isCold: true }),
    ...(worst && (worst.outcome === "fail" || result.outcome === "ok") && blame(worst)),
    detail: [...words, ...remarks.map(({ text }) => text)].join("; "),
  }
}

function blame(remark: Remark): Pick<CheckResult, "outcome" | "failure"> {
  return { outcome: remark.outcome, failure: { class: remark.class } }
}

/** How long waking up took; `undefined` when it was awake, never sleeps, or took longer than it may. */
function timeToWake({ coldStartMs, latency }: Service, result: CheckResult): number | undefined {
  if (coldStartMs === undefined) return undefined
  const ms = latencyOf(result)
  return ms > (latency.degradedMs ?? coldMs) && ms <= coldStartMs ? ms : undefined
}

/** Until the first byte; until the end for what has no bytes. */
function latencyOf({ timings }: CheckResult): number {
  return timings.firstByteMs ?? timings.totalMs
}

function latencyRemarks({ latency, coldStartMs }: Service, result: CheckResult): Remark[] {
  const ms = latencyOf(result)
  const { degradedMs = coldStartMs, failMs } = latency
  if (failMs !== undefined && ms > failMs) return [tooSlow("fail", ms, failMs)]
  return degradedMs !== undefined && ms > degradedMs ? [tooSlow("warn", ms, degradedMs)] : []
}

function tooSlow(outcome: Outcome, ms: number, limitMs: number): Remark {
  return { outcome, class: "slow", text: `answered after ${formatDuration(ms)}, limit ${formatDuration(limitMs)}` }
}

function numberRemarks(service: Service, { numbers = {} }: CheckResult): Remark[] {
  return Object.entries(service.numbers).flatMap(([path, { warn, fail }]) => {
    const value = numbers[path]
    if (value === undefined) return remark("warn", `${path} has a limit and is not in the answer`)
    if (fail !== undefined && value > fail) return remark("fail", `${path} is ${value}, limit ${fail}`)
    return warn !== undefined && value > warn ? remark("warn", `${path} is ${value}, limit ${warn}`) : []
  })
}

function remark(outcome: Outcome, text: string): Remark[] {
  return [{ outcome, class: "threshold", text }]
}
