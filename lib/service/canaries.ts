import { HttpFailed, httpRequest } from "../system/http.ts"
import type { Look } from "./look.ts"
import type { Service } from "./service.ts"
import type { Watch } from "./watch.ts"

export type Canaries = { urls: readonly string[]; timeoutMs: number }

/**
 * Looks as they can be trusted: when something was not as it should be and no canary answers, nobody can say how anything is that lies
 * behind the same network: what failed may be as well as ever, and what answered may be no more than what stands in the way. They are
 * asked also when the time of the round is over: a network that swallows everything is what uses it up.
 */
export async function excuseRunnerFaults(
  looks: Look[],
  { urls, timeoutMs }: Canaries,
  watch: Watch,
): Promise<{ looks: Look[]; notes: string[] }> {
  const bad = looks.filter(({ result }) => result.outcome === "fail" || result.outcome === "warn")
  if (!bad.some((look) => isBehind(urls, look.service))) return { looks, notes: [] }
  if (await someCanaryAnswers(urls, { timeoutMs, signal: watch.runSignal })) return { looks, notes: [] }
  const doubtful = new Set(
    looks.filter(({ result, service }) => result.outcome !== "unknown" && isBehind(urls, service)),
  )
  const hosts = urls.map((url) => new URL(url).host).join(", ")
  return {
    looks: looks.map((look) => (doubtful.has(look) ? excused(look) : look)),
    notes: [`the network of this runner is at fault: no canary answers (${hosts})`],
  }
}

function excused(look: Look): Look {
  const { failure: _failure, ...result } = look.result
  const detail = `the network of this runner is at fault, no canary answers either; seen from here: ${result.detail}`
  return { ...look, isConfirmed: false, result: { ...result, outcome: "unknown", detail } }
}

/** Whether any of the addresses answers, whatever it says. No address at all is no reason to doubt the network. */
export async function someCanaryAnswers(
  urls: readonly string[],
  { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal },
): Promise<boolean> {
  if (urls.length === 0) return true
  const enough = new AbortController()
  const stop = AbortSignal.any([signal, enough.signal])
  try {
    await Promise.any(urls.map((url) => ask(url, timeoutMs, stop)))
    return true
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof AggregateError) return false
    throw error
  } finally {
    enough.abort()
  }
}

async function ask(url: string, timeoutMs: number, signal: AbortSignal): Promise<void> {
  try {
    await httpRequest({ url, method: "HEAD", timeoutMs, signal })
  } catch (error) {
    if (!(error instanceof HttpFailed && error.phase === "body")) throw error
  }
}

/**
 * Whether canaries that are silent excuse a service: they vouch for the way out. What runs on this machine is reached without it, unless
 * a canary runs here too.
 */
export function isBehind(canaries: readonly string[], { probe }: Pick<Service, "probe">): boolean {
  return !isLocal(hostOf(probe)) || canaries.some((url) => isLocal(new URL(url).hostname))
}

function hostOf(probe: Service["probe"]): string {
  switch (probe.kind) {
    case "http":
    case "redis":
      return URL.parse(probe.url)?.hostname ?? ""
    case "tcp":
    case "tls":
      return probe.host
    case "dns":
      return probe.server?.replace(/:\d+$/, "") ?? ""
    case "domain":
      return probe.domain
    case "postgres":
      return probe.address.host
  }
}

function isLocal(host: string): boolean {
  return /^(localhost|.*\.localhost|127(\.\d+){3}|\[?::1\]?|\/.*)$/.test(host)
}
