import type { HttpAnswer, HttpMessage } from "./http-exchange.ts"
import type { HttpProbe } from "./service.ts"

/** The next request of a redirect, or why there is none, or `undefined` when the answer is to be judged as it is. */
export type Step = { next: HttpMessage } | { isLoop: boolean; problem: string } | undefined

const redirectStatus: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

/** Whether an answer is one that is followed: not when its status was asked for, and not without a place to go. */
export function isFollowed({ redirects, expect }: HttpProbe, status: number, headers: Record<string, string>): boolean {
  return (
    redirects > 0 && redirectStatus.has(status) && !expect.status?.includes(status) && (headers.location ?? "") !== ""
  )
}

/**
 * Where a redirect leads. Another origin gets neither the headers of the configuration nor a body: both may be secret.
 * `seen` are the addresses so far.
 */
export function follow(message: HttpMessage, answer: HttpAnswer, probe: HttpProbe, seen: readonly string[]): Step {
  if (!isFollowed(probe, answer.status, answer.headers)) return undefined
  const url = URL.parse(answer.headers.location ?? "", message.url.href)
  if (!url || !/^https?:$/.test(url.protocol)) return { isLoop: false, problem: "redirects to what is no http address" }
  url.username = ""
  url.password = ""
  url.hash = ""
  if (seen.includes(url.href))
    return { isLoop: true, problem: `redirects in a circle (back to ${url.host} after ${seen.length})` }
  if (seen.length > probe.redirects) {
    return { isLoop: true, problem: `redirects more than ${probe.redirects} times (redirects), at last to ${url.host}` }
  }
  const isSame = url.origin === message.url.origin
  const keeps = answer.status === 307 || answer.status === 308 || message.method === "GET" || message.method === "HEAD"
  if (keeps && !isSame && message.body !== undefined) {
    return {
      isLoop: false,
      problem: `redirects to ${url.host}, which gets no body from here: set url to the address at the end`,
    }
  }
  const kept = isSame ? message.headers : harmless(message.headers)
  return {
    next: {
      url,
      method: keeps ? message.method : "GET",
      headers: keeps ? kept : withoutBody(kept),
      ...(keeps && { body: message.body }),
    },
  }
}

function harmless(headers: Record<string, string>): Record<string, string> {
  return pick(headers, (name) => /^(accept|accept-encoding|user-agent)$/i.test(name))
}

function withoutBody(headers: Record<string, string>): Record<string, string> {
  return pick(headers, (name) => !/^content-/i.test(name))
}

function pick(headers: Record<string, string>, isKept: (name: string) => boolean): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => isKept(name)))
}
