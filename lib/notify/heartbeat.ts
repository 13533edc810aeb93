import { HttpFailed, httpRequest } from "../system/http.ts"

export type HeartbeatKind = "start" | "success" | "fail"

const maxBodyChars = 10_000

/**
 * Tells a watcher outside that a run began, succeeded or failed, as Healthchecks and its likes understand it
 * (https://healthchecks.io/docs/http_api/). `body` is kept there for people. Resolves when the watcher knew the address.
 */
export async function ping(
  url: string,
  kind: HeartbeatKind,
  options: { timeoutMs?: number; body?: string; signal?: AbortSignal } = {},
): Promise<void> {
  const { timeoutMs = 10_000, signal, body = "" } = options
  const note = body === "" ? {} : { method: "POST" as const, body: body.slice(0, maxBodyChars) }
  const send = () => httpRequest({ url: pingUrl(url, kind), ...note, timeoutMs, signal })
  const { status, body: answer } = await send().catch((error: unknown) => {
    // A ping may arrive twice without harm, so a connection that failed is tried once more.
    if (error instanceof HttpFailed && error.phase === "connect" && !error.timedOut) return send()
    throw error
  })
  const { host } = new URL(url)
  if (status < 200 || status > 299) throw new Error(`the heartbeat at ${host} answered ${status}: check its address`)
  // Older Healthchecks answer 200 to everything and say in the text that nothing was noted.
  if (/\b(?:not found|rate limited)\b/.test(answer))
    throw new Error(`the heartbeat at ${host} took nothing: ${answer.slice(0, 100).trim()}`)
}

/** The address for one kind of ping: `/start` or `/fail` goes to the end of the path, the query stays what it was. */
export function pingUrl(url: string, kind: HeartbeatKind): string {
  const target = new URL(url)
  if (kind === "success") return target.href
  target.pathname = `${target.pathname.replace(/\/+$/, "")}/${kind}`
  return target.href
}
