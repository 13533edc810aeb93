import { z } from "zod"
import { errorText } from "../core/error-text.ts"
import { startTimer } from "../system/clock.ts"
import { HttpFailed, type HttpResponse, httpRequest } from "../system/http.ts"
import type { CheckResult, Surroundings } from "./check.ts"
import { daysUntil, judgeExpiry, tellExpiry } from "./expiry.ts"
import type { DomainProbe } from "./service.ts"

const maxRedirects = 5
const redirectStatuses = [301, 302, 303, 307, 308]

/** What is read of an answer (RFC 9083). */
const registration = z.object({
  events: z.array(z.object({ eventAction: z.string(), eventDate: z.string().optional() })).default([]),
  status: z.array(z.string()).default([]),
})

/** What a registry says of a domain that is on its way out, or switched off (RFC 8056). */
const deadStatuses = ["redemption period", "pending delete", "server hold", "client hold"]

/**
 * How many days the registration of a domain has left, as its registry says over RDAP; `rdapUrl` is where the registries are known.
 * A registry that does not answer or does not tell gives `unknown`: that is nothing bad about the domain.
 */
export async function checkDomain(
  { domain }: DomainProbe,
  around: Surroundings,
  rdapUrl = "https://rdap.org",
): Promise<CheckResult> {
  const elapsed = startTimer()
  const finish = (verdict: Verdict): CheckResult => ({ ...verdict, timings: { totalMs: elapsed() } })
  try {
    const { response, isRegistry } = await follow(`${rdapUrl}/domain/${encodeURIComponent(domain)}`, around, elapsed)
    if (response.status === 404 && isRegistry) return finish(unregistered(domain))
    if (response.status === 404) return finish(unknown(`no registry that answers RDAP is known for ${domain}`))
    if (response.status !== 200) return finish(unknown(`RDAP answered ${response.status} for ${domain}`))
    return finish(judgeRegistration(domain, response.body, around.now))
  } catch (error) {
    around.signal.throwIfAborted()
    if (!(error instanceof HttpFailed)) throw error
    return finish(unknown(`the registration of ${domain} could not be asked for: ${errorText(error)}`))
  }
}

type Verdict = Omit<CheckResult, "timings">

/** Follows from the list of registries to the one of the domain, and on to where that one moved. */
async function follow(
  from: string,
  { timeoutMs, signal }: Surroundings,
  elapsed: () => number,
): Promise<{ response: HttpResponse; isRegistry: boolean }> {
  let url = from
  for (let hop = 0; ; hop++) {
    const leftMs = Math.max(1, Math.ceil(timeoutMs - elapsed()))
    const response = await httpRequest({ url, headers: { accept: "application/rdap+json" }, timeoutMs: leftMs, signal })
    const next = redirectStatuses.includes(response.status) ? nextUrl(url, response) : undefined
    if (next === undefined || hop === maxRedirects) return { response, isRegistry: hop > 0 }
    url = next
  }
}

function nextUrl(url: string, { headers }: HttpResponse): string | undefined {
  const next = headers.location === undefined ? null : URL.parse(headers.location, url)
  return next !== null && /^https?:$/.test(next.protocol) ? next.href : undefined
}

function judgeRegistration(domain: string, body: string, now: Date): Verdict {
  const parsed = registration.safeParse(parseJson(body))
  if (!parsed.success) return unknown(`the registry of ${domain} gave no RDAP answer`)
  const { events, status } = parsed.data
  const end = new Date(events.find(({ eventAction }) => eventAction === "expiration")?.eventDate ?? "")
  const dead = status.map((text) => text.toLowerCase()).filter((text) => deadStatuses.includes(text))
  const tellsEnd = !Number.isNaN(end.getTime())
  if (dead.length > 0) return failed(`the domain ${domain} is in ${dead.join(", ")}: ask its registrar at once`)
  if (!tellsEnd) return unknown(`the registry of ${domain} does not tell when the registration runs out`)
  const daysLeft = daysUntil(end, now)
  const outcome = judgeExpiry(daysLeft)
  const detail = `the registration of ${domain} ${tellExpiry(end, daysLeft)}`
  return { outcome, detail, ...(outcome !== "ok" && { failure: { class: "domain" } }), numbers: { daysLeft } }
}

function unregistered(domain: string): Verdict {
  return failed(`the registry knows no domain ${domain}: its registration ran out, or it is a name below a domain`)
}

function failed(detail: string): Verdict {
  return { outcome: "fail", detail, failure: { class: "domain" } }
}

function unknown(detail: string): Verdict {
  return { outcome: "unknown", detail }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // the schema takes nothing that is no JSON
  }
}
