import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"

/** What an app answers while it works, and while its database does not. */
export type ExampleApp = { url: string; breakDatabase(): void; repair(): void }

/** An app of the kind that is watched: a page, and a health endpoint that names its components. Only answers; does nothing. */
export async function withExampleApp<T>(fn: (app: ExampleApp) => Promise<T>): Promise<T> {
  let isBroken = false
  const server = createServer((request, response) => {
    if (request.url === "/api/health") return health(response, isBroken)
    if (request.url === "/") return void response.setHeader("content-type", "text/html").end("<h1>PrepPilot</h1>")
    response.writeHead(404).end("not found")
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo // a listening TCP server has one
  try {
    return await fn({
      url: `http://127.0.0.1:${port}`,
      breakDatabase: () => {
        isBroken = true
      },
      repair: () => {
        isBroken = false
      },
    })
  } finally {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
}

function health(response: ServerResponse, isBroken: boolean): void {
  const body = {
    status: isBroken ? "unhealthy" : "healthy",
    services: {
      database: { status: isBroken ? "unhealthy" : "healthy", ...(isBroken && { error: "too many connections" }) },
      memory: { status: "healthy", usedPercent: 41 },
    },
    version: "4f1c2aa",
    environment: "demo",
  }
  response.writeHead(isBroken ? 503 : 200, { "content-type": "application/json" }).end(JSON.stringify(body))
}
