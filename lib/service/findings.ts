import type { Finding } from "../core/finding.ts"
import type { Observation } from "../core/observation.ts"
import type { Outcome } from "../core/outcome.ts"
import type { Severity } from "../core/severity.ts"
import { formatCounted } from "../core/size.ts"
import type { PhaseTimings } from "./check.ts"
import { severityOfExpiry } from "./expiry.ts"
import type { Look } from "./look.ts"
import type { ProviderTrouble } from "./provider-status.ts"
import type { Round } from "./round.ts"

/** What a round comes to: one finding for each service that was looked at, then one for each provider that is at fault. */
export function findingsOf({ looks, providers }: Pick<Round, "looks" | "providers">): Finding[] {
  return [...looks.map(serviceFinding), ...providers.map((trouble) => providerFinding(trouble, looks))]
}

export function serviceFinding(look: Look): Finding {
  const { service, result, cause } = look
  const isBad = result.outcome === "fail" || result.outcome === "warn"
  const failureClass = result.failure?.class
  const severity = severityOf(look)
  return {
    subject: `service/${service.name}`,
    outcome: result.outcome,
    detail: detailOf(look),
    ...(severity && { severity }),
    facts: factsOf(look),
    ...(failureClass && { class: failureClass }),
    ...(isBad && { runbook: service.runbook ?? (failureClass ? `service-${failureClass}` : "health") }),
    ...(result.outcome === "fail" && look.isConfirmed && { isConfirmed: true }),
    ...(cause && { cause }),
    ...(look.maintenance && { inMaintenance: true }),
  }
}

/** What the service says itself, but for what runs out, which is worse on each rung of its ladder. */
function severityOf({ service: { severity }, result: { failure, numbers } }: Look): Severity | undefined {
  const daysLeft = numbers?.daysLeft
  if (daysLeft === undefined || (failure?.class !== "certificate" && failure?.class !== "domain")) return severity
  const onLadder = severityOfExpiry(daysLeft, severity ?? "P1")
  return onLadder === "P1" ? severity : (onLadder ?? severity)
}

/** A service that could not be looked at, since the values behind its settings are not there. */
export function unreadableFinding(name: string, missing: readonly string[]): Finding {
  return { subject: `service/${name}`, outcome: "unknown", detail: `not looked at: ${missing.join("; ")}` }
}

function detailOf({ result, firstFailure, tries, cause, maintenance }: Look): string {
  const times = tries === 2 ? "once" : `${tries - 1} times`
  const before = firstFailure ? `failed ${times} (${firstFailure.detail}), then answered: ` : ""
  const blamed = cause ? `; because of ${cause}` : ""
  const planned = maintenance ? `; ${maintenance.reason} until ${maintenance.endsAt.toISOString()}` : ""
  return `${before}${result.detail}${blamed}${planned}`
}

function factsOf({ result, tries, firstFailure }: Look): Record<string, string | number> {
  const { status, version, isCold, failure } = result
  const latency = latencyMs(result)
  return {
    ...(latency !== undefined && { latencyMs: latency, ...phasesOf(result.timings) }),
    ...(status !== undefined && { status }),
    ...(version !== undefined && { version }),
    ...(tries > 1 && { tries }),
    ...(firstFailure?.failure && { failedFirst: firstFailure.failure.class }),
    ...(isCold && { coldStart: "yes" }),
    ...(failure?.phase && { phase: failure.phase }),
    ...(failure?.component && { component: failure.component }),
    ...result.numbers,
  }
}

/** What was measured of each phase, in whole milliseconds. */
function phasesOf(timings: PhaseTimings): Record<string, number> {
  return Object.fromEntries(Object.entries(timings).map(([phase, ms]) => [phase, Math.round(ms)]))
}

/** Until the first byte, or the end for what has no bytes; `undefined` of what was never asked. */
function latencyMs({ timings }: Look["result"]): number | undefined {
  const ms = timings.firstByteMs ?? timings.totalMs
  return ms > 0 ? Math.round(ms) : undefined
}

/** The provider stands for the services that fail under it: as severe as the worst of them, and as sure. */
function providerFinding({ provider, title, indicator, page }: ProviderTrouble, looks: readonly Look[]): Finding {
  const subject = `provider/${provider}`
  const below = looks.filter((look) => look.cause === subject)
  const names = below.map(({ service }) => service.name).join(", ")
  const worst = below.flatMap(({ service }) => service.severity ?? []).toSorted()[0] satisfies Severity | undefined
  return {
    subject,
    outcome: below.some(({ result }) => result.outcome === "fail") ? "fail" : "warn",
    detail: `${provider} says of itself (${indicator}): ${title}${page ? `, see ${page}` : ""}; under it: ${names || "nothing"}`,
    class: "provider",
    facts: { indicator, services: below.length },
    runbook: "service-provider",
    ...(worst && { severity: worst }),
    ...(below.some((look) => look.isConfirmed) && { isConfirmed: true }),
    ...(below.length > 0 && below.every((look) => look.maintenance) && { inMaintenance: true }),
  }
}

/** The row of a look for the ledger. */
export function observationOf({ service, at, result, tries, cause, maintenance }: Look): Observation {
  const latency = latencyMs(result)
  return {
    at,
    service: service.name,
    by: "health",
    outcome: result.outcome,
    ...(result.failure && { class: result.failure.class }),
    ...(latency !== undefined && { latencyMs: latency, totalMs: Math.round(result.timings.totalMs) }),
    ...(result.status !== undefined && { status: result.status }),
    ...(tries > 1 && { tries }),
    ...(result.isCold && { isCold: true }),
    ...(maintenance && { inMaintenance: true }),
    ...(cause && { cause }),
    ...(result.version !== undefined && { version: result.version }),
    ...(result.numbers && { numbers: result.numbers }),
    ...(isOpen(service) && { isOpen: true }),
  }
}

/** Whether everyone who can reach it gets the same answer. */
function isOpen({ probe }: Look["service"]): boolean {
  return probe.kind === "http" && (probe.secrets ?? []).length === 0
}

/** Findings as lines for a terminal, the worst first. */
export function renderFindings(findings: readonly Finding[]): string {
  const width = Math.max(0, ...findings.map(({ subject }) => subject.length))
  const order: readonly Outcome[] = ["fail", "warn", "unknown", "ok"]
  return findings
    .toSorted((a, b) => order.indexOf(a.outcome) - order.indexOf(b.outcome))
    .map(({ subject, outcome, detail }) => `${outcome.padEnd(8)} ${subject.padEnd(width)}  ${detail}\n`)
    .join("")
}

const words: readonly [Outcome, string][] = [
  ["ok", "as it should be"],
  ["fail", "down"],
  ["warn", "degraded"],
  ["unknown", "unknown"],
]

/** A round in one line; what is not as it should be is named. */
export function summarizeRound(
  findings: readonly Finding[],
  { notDue, notes }: Pick<Round, "notDue" | "notes">,
): string {
  const services = findings.filter(({ subject }) => subject.startsWith("service/"))
  const counts = words.flatMap(([outcome, word]) => {
    const some = services.filter((finding) => finding.outcome === outcome)
    if (some.length === 0) return []
    return `${some.length} ${word}${outcome === "ok" ? "" : ` (${listed(some)})`}`
  })
  const later = notDue.length > 0 ? [`${notDue.length} not due yet`] : []
  return [`${formatCounted(services.length, "service")}: ${[...counts, ...later].join(", ")}`, ...notes].join("; ")
}

const maxNamed = 5

function listed(findings: readonly Finding[]): string {
  const names = findings.slice(0, maxNamed).map(({ subject }) => subject.slice("service/".length))
  const more = findings.length - names.length
  return `${names.join(", ")}${more > 0 ? ` and ${more} more` : ""}`
}
