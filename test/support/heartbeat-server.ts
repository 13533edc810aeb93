import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { text } from "node:stream/consumers"

export type Ping = { kind: "start" | "success" | "fail"; body: string; query: string }

export type HeartbeatServer = AsyncDisposable & {
  /** The address to ping. */
  url: string
  /** Pings that were noted, in order. */
  pings: Ping[]
  /** What every request gets from now on. */
  answer(status: number, body: string): void
  close(): Promise<void>
}

/** A watcher like Healthchecks on this machine, which knows one check. */
export async function startHeartbeatServer(): Promise<HeartbeatServer> {
  const path = "/ping/5f2c1a1e-0000-4000-8000-000000000001"
  const pings: Ping[] = []
  let planned = { status: 200, body: "OK" }
  const server = createServer(async (request, response) => {
    const body = await text(request)
    const { pathname, search } = new URL(request.url ?? "/", "http://localhost")
    const kind = kinds[pathname.slice(path.length)]
    if (!pathname.startsWith(path) || !kind) return void response.writeHead(404).end("not found")
    if (planned.status === 200 && planned.body === "OK") pings.push({ kind, body, query: search })
    response.writeHead(planned.status).end(planned.body)
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const close = async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`,
    pings,
    answer: (status, body) => {
      planned = { status, body }
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

const kinds: Record<string, Ping["kind"] | undefined> = { "": "success", "/start": "start", "/fail": "fail" }
