import type { Agent } from "undici"
import { ConfigError } from "../core/config-error.ts"
import { formatDuration } from "../core/duration.ts"
import { formatBytes } from "../core/size.ts"
import { startTimer } from "./clock.ts"

export type HttpRequest = {
  /** `user:password@` in it becomes basic authorization. */
  url: string
  method?: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE"
  headers?: Record<string, string>
  body?: string | Uint8Array
  /** For everything together, from the name lookup to the last byte. */
  timeoutMs: number
  /** For the connection alone, TLS included; the whole time when not given. */
  connectTimeoutMs?: number
  /** Largest body of the answer that is read: 1 MB when not given. */
  maxBytes?: number
  signal?: AbortSignal
}

export type HttpResponse = {
  status: number
  /** Names in lower case; a header that came several times is joined by commas. */
  headers: Record<string, string>
  body: string
  elapsedMs: number
}

/** How far a request came: `connect` (name, network, TLS), `answer` (sent, no headers yet), `body`. */
export type HttpPhase = "connect" | "answer" | "body"

/** A request that got no whole answer. Says how far it came and with which host; never the path or query, which may be secret. */
export class HttpFailed extends Error {
  readonly phase: HttpPhase
  readonly host: string
  readonly timedOut: boolean

  constructor(host: string, phase: HttpPhase, problem: string, timedOut: boolean) {
    super(`${phrases[phase](host)}: ${problem}`)
    this.name = "HttpFailed"
    this.phase = phase
    this.host = host
    this.timedOut = timedOut
  }
}

const phrases: Record<HttpPhase, (host: string) => string> = {
  connect: (host) => `cannot connect to ${host}`,
  answer: (host) => `no answer from ${host}`,
  body: (host) => `the answer of ${host} could not be read`,
}

/**
 * One request on a connection of its own. Resolves with whatever status came and follows no redirect.
 * Rejects with `HttpFailed` when no whole answer came, with the signal's reason when the signal fired.
 */
export async function httpRequest(options: HttpRequest): Promise<HttpResponse> {
  const { timeoutMs, signal, maxBytes = 1_000_000 } = options
  const url = URL.parse(options.url)
  if (!url || !isHttp(url)) throw new TypeError("cannot send a request: its address is not an http or https URL")
  const elapsed = startTimer()
  const timeout = AbortSignal.timeout(timeoutMs)
  let phase: HttpPhase = "connect"
  const undici = await import("undici") // here, since most runs send nothing and loading it takes longer than starting Node
  const agent = agentThatTells(undici, options.connectTimeoutMs ?? timeoutMs, () => {
    phase = "answer"
  })
  try {
    const response = await undici.request(withoutUser(url), {
      method: options.method ?? "GET",
      headers: { ...authorization(url), ...options.headers },
      body: options.body,
      dispatcher: agent,
      headersTimeout: 0,
      bodyTimeout: 0,
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    })
    phase = "body"
    const body = await readBody(response.body, maxBytes)
    return { status: response.statusCode, headers: joined(response.headers), body, elapsedMs: elapsed() }
  } catch (error) {
    signal?.throwIfAborted()
    const timedOut = timeout.aborted || codeOf(error) === "UND_ERR_CONNECT_TIMEOUT"
    const limitMs = timeout.aborted ? timeoutMs : (options.connectTimeoutMs ?? timeoutMs)
    throw new HttpFailed(
      url.host,
      phase,
      timedOut ? `timed out after ${formatDuration(limitMs)}` : explain(error),
      timedOut,
    )
  } finally {
    await agent.destroy()
  }
}

/** The text when it is an http or https URL; a `ConfigError` that names the setting, and never its value, when not. */
export function parseHttpUrl(text: string, name: string, example: string): string {
  const trimmed = text.trim()
  const url = URL.parse(trimmed)
  if (!url || !isHttp(url)) throw new ConfigError(`${name} is not an http or https URL: set it to ${example}`)
  return trimmed
}

function isHttp(url: URL): boolean {
  return (url.protocol === "https:" || url.protocol === "http:") && url.hostname !== ""
}

function agentThatTells(undici: typeof import("undici"), connectTimeoutMs: number, connected: () => void): Agent {
  const connect = undici.buildConnector({ timeout: connectTimeoutMs })
  return new undici.Agent({
    connect: (options, callback) =>
      connect(options, (...result) => {
        if (result[0] === null) connected()
        callback(...result)
      }),
  })
}

async function readBody(body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = []
  let sizeBytes = 0
  for await (const chunk of body) {
    sizeBytes += chunk.byteLength
    if (sizeBytes > maxBytes) throw new Error(`it is larger than ${formatBytes(maxBytes)}`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString("utf8")
}

function withoutUser(url: URL): URL {
  const bare = new URL(url)
  bare.username = ""
  bare.password = ""
  return bare
}

function authorization(url: URL): Record<string, string> {
  if (url.username === "" && url.password === "") return {}
  const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`
  return { authorization: `Basic ${Buffer.from(pair).toString("base64")}` }
}

function joined(headers: Record<string, string | string[] | undefined>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value ?? []].flat().join(", ")]))
}

const remedies: Record<string, string> = {
  ENOTFOUND: "its name is not known (ENOTFOUND): check the spelling and DNS",
  EAI_AGAIN: "its name could not be looked up just now (EAI_AGAIN)",
  ECONNREFUSED: "nothing listens there (ECONNREFUSED)",
  ECONNRESET: "the connection was reset (ECONNRESET)",
  UND_ERR_SOCKET: "the other side closed the connection",
  CERT_HAS_EXPIRED: "its certificate has expired (CERT_HAS_EXPIRED)",
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for another name (ERR_TLS_CERT_ALTNAME_INVALID)",
  DEPTH_ZERO_SELF_SIGNED_CERT: "its certificate is self-signed (DEPTH_ZERO_SELF_SIGNED_CERT)",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    "its certificate is signed by an unknown authority (UNABLE_TO_VERIFY_LEAF_SIGNATURE)",
}

function explain(error: unknown): string {
  const code = codeOf(error)
  return remedies[code] ?? (error instanceof Error && error.message !== "" ? error.message : code || "unknown error")
}

/** Of several addresses that all failed the first one tells. */
function codeOf(error: unknown): string {
  const first = error instanceof AggregateError ? error.errors[0] : error
  return first instanceof Error && "code" in first && typeof first.code === "string" ? first.code : ""
}
