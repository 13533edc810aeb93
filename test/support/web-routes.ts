import type { IncomingMessage, ServerResponse } from "node:http"
import { Socket } from "node:net"
import { TLSSocket } from "node:tls"
import { brotliCompressSync, constants, createGzip, deflateSync, gzipSync, zstdCompressSync } from "node:zlib"
import { send, type WebAnswer, type WebHandler, type WebServer } from "./web-server.ts"

/** The page that a single-page application answers for every path. */
export const spaPage =
  '<!doctype html>\n<html lang="en"><head><title>PrepPilot</title></head><body><div id="root"></div><script src="/main.js"></script></body></html>\n'

/** Everything that goes wrong with web servers, each under a path of its own. */
export const troubles: Record<string, WebHandler | WebAnswer> = {
  "/ok": { body: "all is well" },
  "/slow-headers": { delayMs: 60_000, body: "late" },
  "/slow-body": trickle(200),
  "/endless": endless,
  "/gzip-bomb": bomb,
  "/wrong-length": raw("HTTP/1.1 200 OK\r\ncontent-length: 100\r\ncontent-type: text/plain\r\n\r\nshort"),
  "/not-http": raw("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"),
  "/no-answer": raw(""),
  "/reset": reset,
  "/reset-in-body": resetInBody,
  "/loop": { status: 302, headers: { location: "/loop-back" } },
  "/loop-back": { status: 302, headers: { location: "/loop" } },
  "/deeper": (request, response) => {
    const depth = Number(new URL(request.url ?? "", "http://x").searchParams.get("n") ?? 0)
    send(response, { status: 302, headers: { location: `/deeper?n=${depth + 1}` } })
  },
  "/to-ok": { status: 301, headers: { location: "/ok" } },
  "/to-nowhere": { status: 302 },
  "/paused": { status: 540, body: "Project paused" },
  "/over-quota": { status: 402, body: { message: "exceeded egress quota" } },
  "/busy": { status: 503, headers: { "retry-after": "7" }, body: "busy" },
  "/denied": { status: 401, body: { message: "No API key found in request" } },
  "/latin1": { headers: { "content-type": "text/plain; charset=iso-8859-1" }, body: Buffer.from("grün", "latin1") },
  "/utf16": {
    headers: { "content-type": "text/plain" },
    body: Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from("grün", "utf16le")]),
  },
  "/gzip": packed("gzip", gzipSync),
  "/deflate": packed("deflate", deflateSync),
  "/br": packed("br", brotliCompressSync),
  "/zstd": packed("zstd", zstdCompressSync),
  "/zeros": { body: Buffer.alloc(5000) },
  "/spa/health": { headers: { "content-type": "text/html; charset=utf-8" }, body: spaPage },
}

/** Adds all of these to a server. */
export function addTroubles(server: WebServer): void {
  for (const [path, answer] of Object.entries(troubles)) server.setRoute(path, answer)
}

function packed(encoding: string, compress: (bytes: Buffer) => Buffer): WebAnswer {
  return {
    headers: { "content-encoding": encoding, "content-type": "application/json" },
    body: compress(Buffer.from('{"status":"ok","words":"grün"}')),
  }
}

/** A byte now and then, without an end in sight. */
function trickle(everyMs: number): WebHandler {
  return (_, response) => {
    response.writeHead(200, { "content-type": "text/plain" })
    response.write(".")
    const timer = setInterval(() => response.write("."), everyMs)
    response.once("close", () => clearInterval(timer))
  }
}

function endless(_: IncomingMessage, response: ServerResponse): void {
  const chunk = Buffer.alloc(64 * 1024, "x")
  response.writeHead(200, { "content-type": "text/plain" })
  const pump = () => {
    while (!response.destroyed && response.write(chunk)) {
      // until the client reads no more
    }
  }
  response.on("drain", pump)
  pump()
}

/** A gigabyte of zeros in a megabyte of gzip. */
function bomb(_: IncomingMessage, response: ServerResponse): void {
  response.writeHead(200, { "content-type": "application/json", "content-encoding": "gzip" })
  const gzip = createGzip({ level: constants.Z_BEST_COMPRESSION })
  const chunk = Buffer.alloc(1024 * 1024)
  let left = 1024
  const pump = () => {
    while (left > 0 && !response.destroyed) {
      left--
      if (!gzip.write(chunk)) return
    }
    gzip.end()
  }
  gzip.on("drain", pump).pipe(response)
  response.once("close", () => gzip.destroy())
  pump()
}

/** Bytes as they are, over HTTP/1.1. */
function raw(bytes: string): WebHandler {
  return (request) => void request.socket.end(bytes)
}

function resetInBody(request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(200, { "content-type": "text/plain", "content-length": "1000" })
  response.write("a part", () => reset(request))
}

/** Over TLS and HTTP/2 the connection is only closed. */
function reset(request: IncomingMessage): void {
  const { socket } = request
  if (!(socket instanceof Socket) || socket instanceof TLSSocket) socket.destroy()
  else socket.resetAndDestroy()
}
