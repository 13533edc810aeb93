/**
 * A proxy that breaks things on purpose, for what stores must survive. It stands between a client and an HTTP server (S3 or another):
 *
 *   const proxy = await startFaultyProxy(s3.endpoint, [{ when: isPart, times: 2, fault: { answer: 503 } }])
 *   const store = openStore(s3UrlFor({ ...s3, endpoint: proxy.url }, bucket, "prefix"), { variable: "BACKUP_STORE", credentials: s3 })
 *
 * The first rule that matches a request and has `times` left decides; a request that no rule wants passes through unchanged. The Host header
 * is passed on as it came, so that a signature made for the proxy's address holds at the server. `requests` tells what passed by:
 * parameters such as `x-amz-storage-class` can be read there. `rules` may be changed while it runs. Faults:
 *
 *   { answer: 503, code?: "SlowDown" }   the proxy answers itself, as S3 would, and the server never hears of it
 *   { resetUploadAfter: bytes }          the connection is reset when so many bytes of the request's body have come
 *   { loseAnswer: true }                 the server does what was asked; the connection is reset instead of the answer
 *   { cutAnswerAfter: bytes }            the answer ends early: so many bytes of its body, then a closed connection
 *   { resetAnswerAfter: bytes }          the same with a reset
 *   { flipByteAt: offset }               one byte of the answer's body is changed, its length is not
 *   { stall: true }                      the request is swallowed and never answered
 *   { stallAnswerAfter: bytes }          the answer stops after so many bytes of its body, the connection stays open
 */
import {
  createServer,
  request as httpRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from "node:http"
import type { AddressInfo } from "node:net"
import { Transform } from "node:stream"
import { pipeline } from "node:stream/promises"

export type Fault =
  | { answer: number; code?: string }
  | { resetUploadAfter: number }
  | { loseAnswer: true }
  | { cutAnswerAfter: number }
  | { resetAnswerAfter: number }
  | { flipByteAt: number }
  | { stall: true }
  | { stallAnswerAfter: number }

export type SeenRequest = { method: string; path: string; query: URLSearchParams; headers: IncomingHttpHeaders }

export type Rule = {
  /** Which requests; all unless told. */
  when?: (request: SeenRequest) => boolean
  /** How many requests it spoils; all unless told. */
  times?: number
  fault: Fault
}

export type FaultyProxy = {
  url: string
  rules: Rule[]
  readonly requests: SeenRequest[]
  /** Closes every connection. */
  stop(): Promise<void>
}

/** Starts a proxy on a free port of loopback in front of `target`, an `http://host:port`. */
export async function startFaultyProxy(target: string, rules: Rule[] = []): Promise<FaultyProxy> {
  const requests: SeenRequest[] = []
  const proxy = { rules, requests }
  const server = createServer({ requestTimeout: 0 }, (incoming, outgoing) => {
    const { pathname, searchParams } = new URL(incoming.url ?? "/", target)
    const seen = { method: incoming.method ?? "GET", path: pathname, query: searchParams, headers: incoming.headers }
    requests.push(seen)
    const fault = takeFault(proxy.rules, seen)
    serve(target, incoming, outgoing, fault).catch(() => incoming.socket.destroy())
  })
  server.on("connection", (socket) => socket.on("error", () => undefined)) // a client that leaves is part of the game
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  return Object.assign(proxy, {
    url: `http://127.0.0.1:${port}`,
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  })
}

/** A part of a multipart upload on its way up. */
export function isPart({ method, query }: SeenRequest): boolean {
  return method === "PUT" && query.has("partNumber")
}

function takeFault(rules: Rule[], seen: SeenRequest): Fault | undefined {
  for (const rule of rules) {
    if (rule.times === 0 || rule.when?.(seen) === false) continue
    if (rule.times !== undefined) rule.times--
    return rule.fault
  }
  return undefined
}

async function serve(
  target: string,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  fault: Fault | undefined,
): Promise<void> {
  if (fault && "stall" in fault) return void incoming.resume()
  if (fault && "answer" in fault) return answer(incoming, outgoing, fault.answer, fault.code)
  if (fault && "resetUploadAfter" in fault) return resetUpload(incoming, fault.resetUploadAfter)
  const reply = await forward(target, incoming)
  if (fault && "loseAnswer" in fault) {
    reply.resume().once("end", () => incoming.socket.resetAndDestroy())
    return
  }
  outgoing.writeHead(reply.statusCode ?? 502, reply.rawHeaders)
  outgoing.flushHeaders()
  await pipeline(reply, spoil(fault, incoming), outgoing)
}

/** Sends the request on. `expect` is dropped: this server has already said that it goes on. */
function forward(target: string, incoming: IncomingMessage): Promise<IncomingMessage> {
  const { hostname, port } = new URL(target)
  const { expect: _, ...headers } = incoming.headers
  return new Promise((resolve, reject) => {
    const request = httpRequest({ hostname, port, method: incoming.method, path: incoming.url, headers, agent: false })
    request.once("response", resolve).once("error", reject)
    incoming.once("close", () => incoming.complete || request.destroy())
    incoming.pipe(request)
  })
}

function answer(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  status: number,
  code = codes[status] ?? "InternalError",
): void {
  incoming.resume()
  const body = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>answered by the test's proxy</Message></Error>`
  outgoing.writeHead(status, { "content-type": "application/xml", "content-length": Buffer.byteLength(body) })
  outgoing.end(incoming.method === "HEAD" ? "" : body)
}

const codes: Record<number, string> = { 403: "AccessDenied", 404: "NoSuchBucket", 503: "ServiceUnavailable" }

function resetUpload(incoming: IncomingMessage, afterBytes: number): void {
  let came = 0
  incoming.on("data", (chunk: Buffer) => {
    came += chunk.length
    if (came >= afterBytes) incoming.socket.resetAndDestroy()
  })
  incoming.once("end", () => incoming.socket.resetAndDestroy())
}

function spoil(fault: Fault | undefined, { socket }: IncomingMessage): Transform {
  let passed = 0
  const limit = answerLimit(fault)
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const rest = Math.max(0, limit - passed)
      if (fault && "flipByteAt" in fault) flip(chunk, fault.flipByteAt - passed)
      passed += chunk.length
      if (chunk.length <= rest) return done(null, chunk)
      this.push(chunk.subarray(0, rest))
      if (fault && "stallAnswerAfter" in fault) return // `done` is never called: nothing more flows
      // The bytes before the end must have left.
      setTimeout(() => (fault && "resetAnswerAfter" in fault ? socket.resetAndDestroy() : socket.destroy()), 20)
    },
  })
}

function answerLimit(fault: Fault | undefined): number {
  if (!fault) return Number.POSITIVE_INFINITY
  if ("cutAnswerAfter" in fault) return fault.cutAnswerAfter
  if ("resetAnswerAfter" in fault) return fault.resetAnswerAfter
  return "stallAnswerAfter" in fault ? fault.stallAnswerAfter : Number.POSITIVE_INFINITY
}

function flip(chunk: Buffer, at: number): void {
  const byte = chunk[at]
  if (byte !== undefined) chunk[at] = byte ^ 1
}
