import { Resolver } from "node:dns/promises"
import { SocketAddress } from "node:net"
import { formatDuration } from "../core/duration.ts"
import { errorText } from "../core/error-text.ts"
import { startTimer } from "../system/clock.ts"
import type { CheckResult, Surroundings } from "./check.ts"
import type { DnsProbe } from "./service.ts"
import { codeOf, timedOut } from "./socket-failure.ts"

const maxListed = 5

/** Whether a name resolves, and to the values that are wanted. Asks the network each time: neither a cache nor /etc/hosts. */
export async function checkDns(probe: DnsProbe, { timeoutMs, signal }: Surroundings): Promise<CheckResult> {
  signal.throwIfAborted()
  const elapsed = startTimer()
  // A packet may be lost: a second try gets twice the time of the first, together what there is.
  const resolver = new Resolver({ timeout: Math.max(1, Math.floor(timeoutMs / 3)), tries: 2 })
  if (probe.server !== undefined) resolver.setServers([probe.server])
  const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
  const cancel = () => resolver.cancel()
  limit.addEventListener("abort", cancel, { once: true })
  try {
    return judgeAnswers(probe, await ask(resolver, probe), timingsAt(elapsed()))
  } catch (error) {
    signal.throwIfAborted()
    return explain(probe, error, timeoutMs, timingsAt(elapsed()))
  } finally {
    limit.removeEventListener("abort", cancel)
  }
}

function timingsAt(ms: number): CheckResult["timings"] {
  return { dnsMs: ms, totalMs: ms }
}

async function ask(resolver: Resolver, { name, type }: DnsProbe): Promise<string[]> {
  switch (type) {
    case "A":
      return resolver.resolve4(name)
    case "AAAA":
      return resolver.resolve6(name)
    case "CNAME":
      return resolver.resolveCname(name)
    case "NS":
      return resolver.resolveNs(name)
    case "MX":
      return (await resolver.resolveMx(name)).map(({ priority, exchange }) => `${priority} ${exchange}`)
    case "TXT":
      return (await resolver.resolveTxt(name)).map((parts) => parts.join("")) // long texts come in parts of 255 bytes
  }
}

function judgeAnswers(probe: DnsProbe, answers: string[], timings: CheckResult["timings"]): CheckResult {
  const given = new Set(answers.flatMap((answer) => formsOf(probe.type, answer)))
  const missing = probe.values.filter((value) => !given.has(normal(probe.type, value)))
  const rest = answers.length > maxListed ? ` and ${answers.length - maxListed} more` : ""
  const listed = `${answers.slice(0, maxListed).join(", ")}${rest}`
  const numbers = { answers: answers.length }
  if (missing.length === 0) return { outcome: "ok", detail: `${describe(probe)} is ${listed}`, timings, numbers }
  const detail = `${describe(probe)} has no ${missing.join(", ")}: the answer is ${listed || "empty"}`
  return { outcome: "fail", detail, failure: { class: "assertion" }, timings, numbers }
}

/** An answer as it may be named in the configuration: an MX also without its priority. */
function formsOf(type: DnsProbe["type"], answer: string): string[] {
  const whole = normal(type, answer)
  return type === "MX" ? [whole, whole.replace(/^\d+ /, "")] : [whole]
}

/** The same value in one way of writing. */
function normal(type: DnsProbe["type"], value: string): string {
  if (type === "TXT") return value
  const plain = value.trim().toLowerCase().replace(/\s+/g, " ").replace(/\.$/, "")
  return type === "AAAA" ? (SocketAddress.parse(`[${plain}]:0`)?.address ?? plain) : plain
}

function explain(probe: DnsProbe, error: unknown, timeoutMs: number, timings: CheckResult["timings"]): CheckResult {
  const code = codeOf(error)
  const server = probe.server ?? "the server"
  if (code === "ETIMEOUT" || code === "ECANCELLED") {
    return timedOut(`${describe(probe)}: ${server}`, "dns", timeoutMs, timings)
  }
  const words = problems[code]
  if (!words) return failed(`${describe(probe)} cannot be looked up: ${errorText(error)}`, timings)
  return failed(
    `${describe(probe)} cannot be looked up: ${words(server, probe)} (${code}), after ${formatDuration(timings.totalMs)}`,
    timings,
  )
}

function failed(detail: string, timings: CheckResult["timings"]): CheckResult {
  return { outcome: "fail", detail, failure: { class: "dns", phase: "dns" }, timings }
}

function describe({ name, type }: DnsProbe): string {
  return `${name} ${type}`
}

const problems: Record<string, (server: string, probe: DnsProbe) => string> = {
  ENOTFOUND: () => "there is no such name",
  ENODATA: (_server, { type }) => `the name has no ${type} record`,
  ESERVFAIL: (server) => `${server} could not find out: see the name servers of the domain, and DNSSEC`,
  EREFUSED: (server) => `${server} refuses to answer`,
  ECONNREFUSED: (server) => `${server} does not listen`,
  EFORMERR: (server) => `${server} did not understand the question`,
  ENOTIMP: (server) => `${server} does not know such questions`,
  EBADRESP: (server) => `the answer of ${server} makes no sense`,
  EBADNAME: () => "it is no good name",
}
