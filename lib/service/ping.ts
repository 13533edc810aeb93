import type { SecureContext } from "node:tls"
import { formatDuration } from "../core/duration.ts"
import type { Outcome } from "../core/outcome.ts"
import { sleep, startTimer } from "../system/clock.ts"
import { decodeBody, printable } from "./body-text.ts"
import { explainBroken } from "./failure.ts"
import { type Answer, recognizeGateway } from "./gateway-page.ts"
import { exchange } from "./http-exchange.ts"
import { trustFor } from "./trust.ts"
import type { WarmTarget } from "./warmth.ts"

/** What a ping came to. It counts when the app itself answered, or the table. */
export type PingResult = {
  /** `ok`: it counts; `warn`: somebody else answered; `unknown`: nobody did, which may be the fault of the network here. */
  outcome: Extract<Outcome, "ok" | "warn" | "unknown">
  detail: string
  class?: string
  status?: number
  /** From the first request to the first byte of the answer that counts. */
  firstByteMs?: number
  totalMs: number
  tries: number
  /** It had to wake up. */
  isCold?: boolean
}

export type PingAround = {
  now: Date
  signal: AbortSignal
  /** Between tries while the host says that the app wakes up. */
  pauseMs?: number
}

/** With the usual pause this is longer than waking up may ever take. */
const maxTries = 150
const defaultPauseMs = 5000
const maxBytes = 1_048_576
const maxRedirects = 5

/** Pings once, with the time that waking up may take. Rejects only with the signal's reason. */
export async function ping(target: WarmTarget, around: PingAround): Promise<PingResult> {
  return target.sql === undefined || target.kind === "web"
    ? pingWeb(target, around)
    : pingTable(target, target.sql, around)
}

/**
 * Asks until the app itself answers. A host that says that it wakes the app up is asked again after a pause; all together takes no
 * longer than waking up may.
 */
async function pingWeb(target: WarmTarget, { now, signal, pauseMs = defaultPauseMs }: PingAround): Promise<PingResult> {
  const { probe } = target.service
  const trust = await trustFor(probe.kind === "http" ? probe.caFile : undefined)
  if (trust instanceof Error) return { outcome: "unknown", detail: trust.message, totalMs: 0, tries: 0 }
  const limitMs = Math.max(target.wakeMs, target.service.timeoutMs)
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(limitMs)])
  const elapsed = startTimer()
  for (let tries = 1; ; tries++) {
    const startedMs = elapsed()
    const seen = await request(target, trust, deadline)
    signal.throwIfAborted()
    const totalMs = elapsed()
    const common = { totalMs, tries }
    const host = new URL(seen.url).host
    if ("error" in seen) return { ...common, ...unanswered(seen, host, deadline.aborted ? limitMs : undefined, now) }
    const { status } = seen.answer
    const verdict = judgeAnswer(seen.answer, target.marker)
    if (verdict.isCounted) {
      const firstByteMs = startedMs + (seen.progress.timings.firstByteMs ?? 0)
      const isCold = tries > 1 || firstByteMs > target.coldMs
      const detail = `${host} answered in ${formatDuration(firstByteMs)}${isCold ? ", a cold start" : ""}`
      return { ...common, outcome: "ok", detail, status, firstByteMs, ...(isCold && { isCold }) }
    }
    if (!verdict.isWaking || tries === maxTries || elapsed() + pauseMs >= limitMs) {
      return { ...common, outcome: "warn", detail: `${host}: ${verdict.problem}`, class: verdict.class, status }
    }
    await sleep(pauseMs, signal)
  }
}

/** Whether the app itself answered: by its marker, else by a status of 2xx that is not of a gateway's page. */
export function judgeAnswer(
  answer: Answer,
  marker: string | undefined,
): { isCounted: true } | { isCounted: false; problem: string; class: string; isWaking: boolean } {
  const gateway = recognizeGateway(answer)
  if (gateway) {
    return {
      isCounted: false,
      problem: `${gateway.name} answered, not the app: ${gateway.problem}`,
      class: gateway.class,
      isWaking: gateway.isWaking,
    }
  }
  const isFine = answer.status >= 200 && answer.status <= 299
  if (marker === undefined ? isFine : answer.body.includes(marker)) return { isCounted: true }
  const told =
    remedies[answer.status] ??
    (isFine ? "" : `: name a path that answers 2xx in keepWarm.url, or a text of the app in keepWarm.marker`)
  const problem =
    marker === undefined || !isFine
      ? `it answered ${answer.status}${told}`
      : `"${printable(marker)}" is not in what it answered: the app itself did not`
  return {
    isCounted: false,
    problem,
    class: classes[answer.status] ?? (isFine ? "assertion" : "status"),
    isWaking: false,
  }
}

const remedies: Record<number, string> = {
  401: ", which proves nothing about what is behind: ping an address that needs no key, or send the right one in headers",
  402: ", over its quota: see the host's usage page, or upgrade",
  403: ", which proves nothing about what is behind: see whether a firewall keeps this machine out",
}
const classes: Record<number, string> = { 401: "auth", 402: "over-quota", 403: "auth" }

type Broken = Extract<Awaited<ReturnType<typeof exchange>>, { error: unknown }>

/** No status came: that is never counted as success. */
function unanswered(broken: Broken, host: string, limitMs: number | undefined, now: Date) {
  if (limitMs !== undefined) {
    const detail = `${host} gave no whole answer within ${formatDuration(limitMs)}: it did not wake up in time, or sleeps for good`
    return { outcome: "unknown" as const, detail, class: "timeout" }
  }
  const { class: failureClass, problem } = explainBroken(broken, host, now)
  return { outcome: "unknown" as const, detail: `no answer from ${host}: ${problem}`, class: failureClass }
}

/** One request, redirects followed. The headers of the service, which may hold a key, stay with its own origin. */
async function request({ url = "", service }: WarmTarget, trust: SecureContext, deadline: AbortSignal) {
  const { probe } = service
  const own = probe.kind === "http" ? probe : undefined
  const isBodyWanted = (status: number) => !(status >= 300 && status <= 399)
  const first = new URL(url)
  let at = first
  for (let redirects = 0; ; redirects++) {
    const isHome = own !== undefined && at.origin === first.origin && at.origin === new URL(own.url).origin
    const headers = { ...basics, ...(isHome ? smallNames(own.headers) : {}), ...authorization(at) }
    const seen = await exchange({ url: at, method: "GET", headers }, { trust, maxBytes, deadline, isBodyWanted })
    if ("error" in seen) return { ...seen, url: at.href }
    const { status, bytes, headers: answered } = seen.answer
    const next = isBodyWanted(status) ? null : URL.parse(answered.location ?? "", at.href)
    if (redirects === maxRedirects || !next || !/^https?:$/.test(next.protocol)) {
      const body = decodeBody(bytes, answered["content-type"] ?? "")
      return { url: at.href, progress: seen.progress, answer: { status, headers: answered, body } }
    }
    at = next
  }
}

const basics = { "user-agent": "nightshift-keep-warm", accept: "*/*", "accept-encoding": "gzip, br" }

function smallNames(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}

function authorization({ username, password }: URL): Record<string, string> {
  if (username === "" && password === "") return {}
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  return { authorization: `Basic ${Buffer.from(pair).toString("base64")}` }
}

/** Asks a real table: a connection alone is no use of the database to a host that pauses it. */
async function pingTable(target: WarmTarget, sql: string, { now, signal }: PingAround): Promise<PingResult> {
  const { probe } = target.service
  if (probe.kind !== "postgres") throw new TypeError(`service ${target.name} has a query and no database`)
  const { checkPostgres } = await import("./postgres-check.ts")
  const timeoutMs = Math.max(target.wakeMs, target.service.timeoutMs)
  const queries = { read: sql, degradedMs: timeoutMs, failMs: timeoutMs }
  const { outcome, detail, failure, timings } = await checkPostgres({ ...probe, queries }, { now, timeoutMs, signal })
  const common = { totalMs: timings.totalMs, tries: 1 }
  if (outcome === "ok" || outcome === "warn") {
    const firstByteMs = (timings.connectMs ?? 0) + (timings.firstByteMs ?? 0)
    const isCold = firstByteMs > target.coldMs
    return {
      ...common,
      outcome: "ok",
      detail: `${detail}${isCold ? ", a cold start" : ""}`,
      firstByteMs,
      ...(isCold && { isCold }),
    }
  }
  const isAnswer = failure !== undefined && ["query", "auth", "paused", "over-quota"].includes(failure.class)
  const text = `${detail}${databaseRemedy(probe.address.host, detail, failure?.class)}`
  return { ...common, outcome: isAnswer ? "warn" : "unknown", detail: text, class: failure?.class }
}

/** What the words of a paused project do not say themselves. */
function databaseRemedy(host: string, detail: string, failureClass: string | undefined): string {
  if (failureClass === "query" && /returned no row/.test(detail))
    return ": keepWarm.sql takes a table that is never empty"
  if (!/\.supabase\.(co|com)$/.test(host)) return ""
  const isPaused = failureClass === "dns" || /Tenant or user not found/i.test(detail)
  return isPaused ? "; of a paused project Supabase says the same: see whether the dashboard offers to restore it" : ""
}
