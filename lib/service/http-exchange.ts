import { createRequire } from "node:module"
import type { SecureContext } from "node:tls"
import type { Client, Dispatcher } from "undici"
import { startTimer } from "../system/clock.ts"
import { readBody } from "./http-body.ts"
import { type BadCertificate, measuringConnector, type Progress } from "./http-connect.ts"

/** One request as it is sent. `headers` are complete. */
export type HttpMessage = { url: URL; method: string; headers: Record<string, string>; body?: string }

/** Names of headers in lower case; one that came several times is joined by commas. */
export type HttpAnswer = { status: number; headers: Record<string, string>; bytes: Uint8Array; isCut: boolean }

/** What became of a request: an answer, or how far it came. `bytesRead` counts what came over the line. */
export type Exchange = { progress: Progress } & (
  | { answer: HttpAnswer }
  | { error: unknown; certificate?: BadCertificate; bytesRead: number; lengthBytes?: number }
)

export type Reach = {
  trust: SecureContext
  maxBytes: number
  /** Ends it, whatever phase it is in. */
  deadline: AbortSignal
  /** Redirects are not read to their end. */
  isBodyWanted: (status: number, headers: Record<string, string>) => boolean
}

/**
 * Sends one request on a connection of its own and reads the answer, over HTTP/2 where the server can. Never rejects for what the
 * network does. The time until the first byte is measured from the call.
 */
export async function exchange(message: HttpMessage, reach: Reach): Promise<Exchange> {
  const { Client, request } = loadUndici()
  const { deadline } = reach
  const elapsed = startTimer()
  const progress: Progress = { phase: "connect", timings: {}, addresses: [] }
  const seen: { bytesRead: number; certificate?: BadCertificate; lengthBytes?: number } = { bytesRead: 0 }
  const client = new Client(message.url.origin, {
    connect: measuringConnector(progress, reach.trust, (problem) => {
      seen.certificate = problem
    }),
    allowH2: true,
    headersTimeout: 0,
    bodyTimeout: 0,
  })
  const release = onAbort(deadline, () => end(client, progress, deadline.reason))
  try {
    const response = await request.call(client, requestFor(message))
    response.body.on("error", () => undefined) // it is told where the body is read, and not wanted where it is not
    progress.timings.firstByteMs = elapsed()
    progress.phase = "body"
    const headers = joined(response.headers)
    const status = response.statusCode
    if (!reach.isBodyWanted(status, headers))
      return { progress, answer: { status, headers, bytes: new Uint8Array(), isCut: false } }
    seen.lengthBytes = lengthOf(headers)
    const body = await readBody(response.body, headers["content-encoding"] ?? "", reach.maxBytes, (sizeBytes) => {
      seen.bytesRead += sizeBytes
    })
    return { progress, answer: { status, headers, ...body } }
  } catch (error) {
    return { progress, error: deadline.aborted ? deadline.reason : error, ...seen }
  } finally {
    release()
    end(client, progress, finished)
  }
}

const finished = new Error("the request is over")
const require = createRequire(import.meta.url)
type Undici = { Client: typeof Client; request: typeof Client.prototype.request }

let undici: Undici | undefined

/**
 * What of undici is needed here, when it first is. All of it, most of which is `fetch`, WebSocket and caches, takes longer to load than
 * Node and tsx together; `Client.request` is put together only there.
 */
export function loadUndici(): Undici {
  undici ??= {
    Client: require("undici/lib/dispatcher/client.js"),
    request: require("undici/lib/api/api-request.js"),
  }
  return undici
}

function requestFor({ url, method, headers, body }: HttpMessage): Dispatcher.RequestOptions {
  return { path: url.pathname + url.search, method: method as Dispatcher.HttpMethod, headers, body: body ?? null }
}

/** A socket that is still connecting is not undici's yet. */
function end(client: Client, progress: Progress, reason: Error): void {
  client.destroy(reason).catch(() => undefined) // it only tells again what the request was told
  progress.socket?.destroy()
}

function onAbort(signal: AbortSignal, fn: () => void): () => void {
  if (signal.aborted) fn()
  signal.addEventListener("abort", fn, { once: true })
  return () => signal.removeEventListener("abort", fn)
}

function lengthOf(headers: Record<string, string>): number | undefined {
  const length = headers["content-length"]
  return length !== undefined && /^\d+$/.test(length) ? Number(length) : undefined
}

function joined(headers: Record<string, string | string[] | undefined>): Record<string, string> {
  const pairs = Object.entries(headers).map(([name, value = ""]) => [
    name,
    Array.isArray(value) ? value.join(", ") : value,
  ])
  return Object.fromEntries(pairs)
}
