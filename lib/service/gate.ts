import { formatDuration } from "../core/duration.ts"
import type { Finding } from "../core/finding.ts"
import type { Log } from "../core/log.ts"
import type { Observation } from "../core/observation.ts"
import { startTimer } from "../system/clock.ts"
import { excuseRunnerFaults } from "./canaries.ts"
import { isFailure, type Look, lookOnce } from "./look.ts"
import { usualPace } from "./round.ts"
import type { Service } from "./service.ts"
import { startWatch, type Watch } from "./watch.ts"

export type GateOrder = {
  now: Date
  signal: AbortSignal
  log: Log
  /** How long the services have, in milliseconds; they are looked at once in any case. */
  waitMs: number
  /** The version or commit that must be live. */
  version?: string
  /** Addresses that always answer: when none does, what failed says nothing about the deploy. */
  canaries?: readonly string[]
  /** From the end of one look to the next. */
  everyMs?: number
  limit?: number
}

const canaryMs = 5000

/** How a deploy went. `looks` are the last ones; what is in the way is in `problems`, so that none means that the gate is open. */
export type Gate = { looks: Look[]; problems: string[]; tookMs: number }

/** Looks at the services again and again until all are as a deploy should leave them, or the time is over. */
export async function passGate(services: readonly Service[], order: GateOrder): Promise<Gate> {
  const { waitMs, version, canaries = [], everyMs = 5000, limit = usualPace.limit, log } = order
  const elapsedMs = startTimer()
  const patienceMs = Math.max(0, ...services.map((service) => service.timeoutMs + (service.coldStartMs ?? 0)))
  const watch = startWatch({ ...order, limit, deadlineMs: waitMs + patienceMs })
  for (let tries = 1; ; tries++) {
    const looks = await Promise.all(services.map((service) => look(service, watch, tries)))
    const isLast = elapsedMs() + everyMs > waitMs
    const problems = gateProblems(looks, version, isLast)
    if (problems.length === 0) return { looks, problems, tookMs: Math.round(elapsedMs()) }
    if (isLast) {
      const trusted = await excuseRunnerFaults(looks, { urls: canaries, timeoutMs: canaryMs }, watch)
      const left = [...gateProblems(trusted.looks, version, true), ...trusted.notes]
      return { looks: trusted.looks, problems: left, tookMs: Math.round(elapsedMs()) }
    }
    log.info(`not yet after ${formatDuration(elapsedMs())}: ${problems.join("; ")}`)
    if (!(await watch.pause(everyMs))) return { looks, problems, tookMs: Math.round(elapsedMs()) }
  }
}

async function look(service: Service, watch: Watch, tries: number): Promise<Look> {
  return { service, ...(await lookOnce(service, watch)), tries, isConfirmed: false }
}

/**
 * What is in the way of a deploy. Degraded is waited for, but when the time is over it stops no deploy; that a certificate or a domain
 * runs out some day is not waited for. Each service that tells its version must tell the right one, and one of them must.
 */
export function gateProblems(looks: readonly Look[], version: string | undefined, isLast: boolean): string[] {
  const bad = looks.filter(({ result }) => !passes(result, isLast))
  const wrong = looks.flatMap(({ service, result }) =>
    version !== undefined && result.version !== undefined && !isSameVersion(result.version, version)
      ? [`${service.name} tells the version ${result.version}`]
      : [],
  )
  const isTold = version === undefined || looks.some(({ result }) => result.version !== undefined)
  return [
    ...bad.map(({ service, result }) => `${service.name} is ${result.outcome}: ${result.detail}`),
    ...wrong,
    ...(isTold ? [] : ["no service tells its version: have a health answer name it as version or commit"]),
  ]
}

function passes({ outcome, failure }: Look["result"], isLast: boolean): boolean {
  if (outcome !== "warn") return outcome === "ok"
  return isLast || failure?.class === "certificate" || failure?.class === "domain"
}

/** Seven characters or more, and a letter among them: 2026.11.1 and 20261101 are no beginnings of other versions. */
const commit = /^(?=.*[a-f])[0-9a-f]{7,64}$/

/** The same, with or without a `v` before it, or two commits of which one is written short. */
export function isSameVersion(a: string, b: string): boolean {
  const plain = [a, b].map((text) =>
    text
      .trim()
      .toLowerCase()
      .replace(/^v(?=\d)/, ""),
  )
  const [short = "", long = ""] = plain.sort((x, y) => x.length - y.length)
  return short === long || (commit.test(long) && /^[0-9a-f]{7,}$/.test(short) && long.startsWith(short))
}

/** The version with which each service was last seen to be as it should be, by service: newest first, without the one that was to come. */
export function lastGoodVersions(
  observations: readonly Observation[],
  services: readonly string[],
  version: string | undefined,
): Map<string, { version: string; at: Date }> {
  const good = new Map<string, { version: string; at: Date }>()
  for (const seen of observations) {
    if (seen.outcome !== "ok" || seen.version === undefined || !services.includes(seen.service)) continue
    if (version !== undefined && isSameVersion(seen.version, version)) continue
    good.set(seen.service, { version: seen.version, at: seen.at })
  }
  return good
}

/** A deploy as one finding, beside those of its services. */
export function gateFinding(
  { problems, looks, tookMs }: Gate,
  { subject, version, good }: { subject: string; version?: string; good: ReturnType<typeof lastGoodVersions> },
): Finding {
  const what = version === undefined ? "the deploy" : `the deploy of ${version}`
  const took = formatDuration(tookMs)
  const facts = { tookMs, services: looks.length, ...(version !== undefined && { version }) }
  if (problems.length === 0) {
    const degraded = looks.flatMap(({ service, result }) => (result.outcome === "warn" ? [service.name] : []))
    const but = degraded.length > 0 ? `, degraded: ${degraded.join(", ")}` : ""
    const detail = `${what} is live after ${took}${but}`
    return { subject, outcome: "ok", detail, facts, isConfirmed: true } // nobody looks a second time: it closes what was open
  }
  const before = [...good].map(([name, last]) => `${name} ${last.version} (${last.at.toISOString()})`).join(", ")
  const lastGood = before ? `last good version: ${before}` : "no earlier good version is in the ledger"
  const detail = `${what} is not live after ${took}: ${problems.join("; ")}; ${lastGood}`
  const isBlind = looks.some(({ result }) => result.outcome === "unknown") && !looks.some(isFailure)
  if (isBlind) return { subject, outcome: "unknown", detail, facts, runbook: "health" }
  return { subject, outcome: "fail", detail, facts, runbook: "health", isConfirmed: true }
}
