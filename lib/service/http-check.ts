import type { SecureContext } from "node:tls"
import { errorText } from "../core/error-text.ts"
import { startTimer } from "../system/clock.ts"
import type { CheckResult, PhaseTimings, Surroundings } from "./check.ts"
import { explainBroken } from "./failure.ts"
import { acceptedCodings } from "./http-body.ts"
import { type Exchange, exchange, type HttpAnswer, type HttpMessage, loadUndici } from "./http-exchange.ts"
import { retryAfterMs } from "./http-gateway.ts"
import { judgeAnswer } from "./http-judge.ts"
import { follow, isFollowed } from "./http-redirect.ts"
import type { HttpProbe } from "./service.ts"
import { codeOf, timedOut } from "./socket-failure.ts"
import { trustFor } from "./trust.ts"

/**
 * Asks a service over HTTP and judges the answer, but for how fast it came and for numbers. Timings of several requests (redirects) are
 * added up; the first byte is that of the last one, from the very beginning. A request that cannot be made (a CA file that cannot be
 * read, a header that is none) gives `unknown`. Rejects only with the signal's reason.
 */
export async function checkHttp(probe: HttpProbe, around: Surroundings): Promise<CheckResult> {
  around.signal.throwIfAborted()
  const trust = await trustFor(probe.caFile)
  if (trust instanceof Error) return { outcome: "unknown", detail: trust.message, timings: { totalMs: 0 } }
  loadUndici() // what that takes is not the service's time
  const elapsed = startTimer()
  const limit = withDeadline(around)
  try {
    const result = await askAll(probe, around, { trust, deadline: limit.signal, elapsed })
    around.signal.throwIfAborted()
    return result
  } finally {
    limit.release()
  }
}

type Means = { trust: SecureContext; deadline: AbortSignal; elapsed: () => number }

async function askAll(
  probe: HttpProbe,
  around: Surroundings,
  { trust, deadline, elapsed }: Means,
): Promise<CheckResult> {
  const reach = {
    trust,
    deadline,
    maxBytes: probe.maxBytes,
    isBodyWanted: (status: number, headers: Record<string, string>) => !isFollowed(probe, status, headers),
  }
  const timings: Omit<PhaseTimings, "totalMs"> = {}
  const seen: string[] = []
  for (let message = firstMessage(probe); ; ) {
    seen.push(message.url.href)
    const beganMs = elapsed()
    const reached = await exchange(message, reach)
    addTimings(timings, reached.progress.timings, beganMs)
    const whole = () => ({ ...timings, totalMs: elapsed() })
    if (!("answer" in reached)) return broken(reached, message, around, whole())
    const step = follow(message, reached.answer, probe, seen)
    if (step === undefined) return judged(reached.answer, message, seen, probe, around, whole())
    if (!("next" in step)) {
      const failure = { class: step.isLoop ? "redirect-loop" : "status" } as const
      return {
        outcome: "fail",
        detail: `${placeOf(message.url)} ${step.problem}`,
        failure,
        timings: whole(),
        status: reached.answer.status,
      }
    }
    message = step.next
  }
}

function firstMessage(probe: HttpProbe): HttpMessage {
  const url = new URL(probe.url)
  const authorization = basicAuthorization(url)
  if (url.username !== "") url.username = "" // each makes it anew, whether it changes or not
  if (url.password !== "") url.password = ""
  if (url.href.includes("#")) url.hash = ""
  const isJson = probe.expect.format === "json" || probe.expect.json.length > 0
  const usual = {
    accept: isJson ? "application/json, */*;q=0.5" : "*/*",
    "accept-encoding": acceptedCodings,
    "user-agent": "nightshift",
    ...authorization,
  }
  const own = Object.fromEntries(Object.entries(probe.headers).map(([name, value]) => [name.toLowerCase(), value]))
  return { url, method: probe.method, headers: { ...usual, ...own }, body: probe.body }
}

function basicAuthorization({ username, password }: URL): Record<string, string> {
  if (username === "" && password === "") return {}
  const pair = `${decoded(username)}:${decoded(password)}`
  return { authorization: `Basic ${Buffer.from(pair).toString("base64")}` }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text // a percent sign that stands for itself
  }
}

function broken(
  reached: Extract<Exchange, { error: unknown }>,
  { url }: HttpMessage,
  { timeoutMs, now, signal }: Surroundings,
  timings: PhaseTimings,
): CheckResult {
  signal.throwIfAborted()
  const { error, progress } = reached
  if (error === timeUp) return timedOut(placeOf(url), progress.phase, timeoutMs, timings)
  if (codeOf(error) === "UND_ERR_INVALID_ARG") {
    return { outcome: "unknown", detail: `${placeOf(url)} cannot be asked: ${errorText(error)}`, timings }
  }
  const { problem, ...failure } = explainBroken(reached, url.hostname, now)
  return { outcome: "fail", detail: `${placeOf(url)}: ${problem}`, failure, timings }
}

async function judged(
  answer: HttpAnswer,
  { url }: HttpMessage,
  seen: readonly string[],
  probe: HttpProbe,
  { now }: Surroundings,
  timings: PhaseTimings,
): Promise<CheckResult> {
  const { words, ...judgement } = await judgeAnswer(answer, probe, url.pathname)
  const first = seen.length > 1 && seen[0] !== undefined ? new URL(seen[0]) : url
  const isElsewhere = first.origin !== url.origin
  const hint =
    isElsewhere && judgement.failure?.class === "auth"
      ? `; ${first.host} redirected there, and headers are not sent to another origin`
      : ""
  const waitMs = retryAfterMs(answer, now)
  return {
    ...judgement,
    detail: `${placeOf(isElsewhere ? url : first)} ${words}${hint}`,
    timings,
    status: answer.status,
    ...(waitMs !== undefined && judgement.outcome !== "ok" && { retryAfterMs: waitMs }),
  }
}

function placeOf({ origin, pathname }: URL): string {
  return pathname === "/" ? origin : `${origin}${pathname}`
}

function addTimings(
  sum: Omit<PhaseTimings, "totalMs">,
  { firstByteMs, ...parts }: Omit<PhaseTimings, "totalMs">,
  beganMs: number,
): void {
  for (const key of ["dnsMs", "connectMs", "tlsMs"] as const) {
    const ms = parts[key]
    if (ms !== undefined) sum[key] = (sum[key] ?? 0) + ms
  }
  if (firstByteMs !== undefined) sum.firstByteMs = beganMs + firstByteMs
}

const timeUp = new Error("the time for one try is over")

/** Fires with the signal's reason, or with `timeUp`. Leaves no listener behind, since the signal lives as long as the run. */
function withDeadline({ timeoutMs, signal }: Surroundings): { signal: AbortSignal; release: () => void } {
  const controller = new AbortController()
  const stop = () => controller.abort(signal.reason)
  signal.addEventListener("abort", stop, { once: true })
  const timer = setTimeout(() => controller.abort(timeUp), timeoutMs)
  return {
    signal: controller.signal,
    release: () => {
      clearTimeout(timer)
      signal.removeEventListener("abort", stop)
    },
  }
}
