import { writeFile } from "node:fs/promises"
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http"
import { createSecureServer, type Http2SecureServer } from "node:http2"
import { createServer as createTlsServer } from "node:https"
import type { AddressInfo, Socket } from "node:net"
import { join } from "node:path"
import { text } from "node:stream/consumers"
import { makeTempDir, removeTempDir } from "../../lib/system/temp.ts"
import { type Certificate, type CertificateKind, certificateFor } from "./certificates.ts"

export type WebAnswer = {
  status?: number
  headers?: Record<string, string>
  /** An object is sent as JSON; a text as plain text unless the headers tell. */
  body?: string | Uint8Array | object
  /** Waits so long before the first byte. */
  delayMs?: number
}
export type WebHandler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>

/** A request as it came; names of headers in lower case. */
export type WebRequest = { method: string; path: string; headers: Record<string, string>; body: string; http: string }

export type WebServer = AsyncDisposable & {
  /** Origin without a slash at its end. */
  url: string
  port: number
  /** PEM of the authority that signed its certificate, and a file with the same. */
  ca?: string
  caFile?: string
  certificate?: Certificate
  /** How a path (without its query) is answered from now on; 404 for all others. */
  setRoute(path: string, answer: WebHandler | WebAnswer): void
  /** The requests so far, such as `GET /health?a=1`. */
  requests(): string[]
  /** The same with headers and body, where the handler left the body unread. */
  received(): WebRequest[]
  /** How many connections were opened so far. */
  connections(): number
  close(): Promise<void>
}

export type WebServerOptions = {
  /** `true` means a valid certificate. */
  tls?: boolean | CertificateKind
  /** HTTP/2 beside HTTP/1.1, with TLS. */
  http2?: boolean
  /** `127.0.0.1` unless told; `::1` for IPv6 only. */
  host?: string
  /** The name in its address, when it is another one, such as `localhost`. */
  name?: string
}

/** A web server on this machine, on a port of its own. */
export async function startWebServer(options: WebServerOptions = {}): Promise<WebServer> {
  const { http2 = false, tls = http2, host = "127.0.0.1" } = options
  const certificate = tls ? await certificateFor(tls === true ? "valid" : tls) : undefined
  const routes = new Map<string, WebHandler>()
  const received: WebRequest[] = []
  const sockets = new Set<Socket>()
  let connections = 0
  const server = listen(certificate, http2, (request, response) => {
    serve(routes, received, request, response).catch((error: unknown) => response.destroy(error as Error))
  })
  server.on("connection", (socket: Socket) => {
    connections++
    sockets.add(socket)
    socket.once("close", () => sockets.delete(socket)).on("error", () => socket.destroy())
  })
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, host, resolve))
  const { port } = server.address() as AddressInfo
  const dir = certificate ? await makeTempDir("web") : undefined
  if (dir && certificate) await writeFile(join(dir, "ca.pem"), certificate.ca)
  const close = async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
    if (dir) await removeTempDir(dir)
  }
  return {
    url: `${certificate ? "https" : "http"}://${options.name ?? (host.includes(":") ? `[${host}]` : host)}:${port}`,
    port,
    ca: certificate?.ca,
    caFile: dir ? join(dir, "ca.pem") : undefined,
    certificate,
    setRoute: (path, answer) =>
      void routes.set(path, typeof answer === "function" ? answer : (_, response) => send(response, answer)),
    requests: () => received.map(({ method, path }) => `${method} ${path}`),
    received: () => received,
    connections: () => connections,
    close,
    [Symbol.asyncDispose]: close,
  }
}

function listen(
  certificate: Certificate | undefined,
  http2: boolean,
  listener: RequestListener,
): Server | Http2SecureServer {
  if (!certificate) return createServer(listener)
  const { cert, key } = certificate
  const server = http2
    ? createSecureServer({ cert, key, allowHTTP1: true }, listener as never) // its requests and responses behave like those of HTTP/1.1
    : createTlsServer({ cert, key }, listener)
  return server.on("tlsClientError", () => undefined) // the client did not trust it, as tests want
}

async function serve(
  routes: ReadonlyMap<string, WebHandler>,
  received: WebRequest[],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = request.url ?? ""
  const seen: WebRequest = {
    method: request.method ?? "",
    path,
    headers: Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)])),
    body: "",
    http: request.httpVersion,
  }
  received.push(seen)
  if (request.method === "POST" || request.method === "PUT") seen.body = await text(request)
  const handler = routes.get(path.replace(/\?.*/, ""))
  if (handler) return handler(request, response)
  send(response, { status: 404, body: "not found" })
}

/** Sends an answer, after its delay. */
export function send(
  response: ServerResponse,
  { status = 200, headers = {}, body = "", delayMs = 0 }: WebAnswer,
): void {
  const isText = typeof body === "string"
  const isBytes = body instanceof Uint8Array
  const type = isText ? "text/plain" : isBytes ? "application/octet-stream" : "application/json"
  const finish = () => {
    if (response.destroyed) return
    response.writeHead(status, { "content-type": type, ...headers })
    response.end(isText || isBytes ? body : JSON.stringify(body))
  }
  if (delayMs === 0) {
    finish()
    return
  }
  const timer = setTimeout(finish, delayMs)
  response.once("close", () => clearTimeout(timer))
}
