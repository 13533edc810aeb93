import { createServer, type RequestListener } from "node:http"
import { type AddressInfo, createServer as createTcpServer } from "node:net"
import { describe, expect, it } from "vitest"
import { ConfigError } from "../../../lib/core/config-error.ts"
import { HttpFailed, httpRequest, parseHttpUrl } from "../../../lib/system/http.ts"

async function serving(listener: RequestListener, fn: (url: string) => Promise<void>): Promise<void> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  try {
    await fn(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  } finally {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
}

async function failureOf(promise: Promise<unknown>): Promise<HttpFailed> {
  const error = await promise.then(
    () => undefined,
    (error: unknown) => error,
  )
  expect(error).toBeInstanceOf(HttpFailed)
  return error as HttpFailed
}

const secretPath = "/services/very-secret?token=also-secret"

describe("a request that gets no answer", () => {
  it("says so when nothing listens", async () => {
    const server = createTcpServer()
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    const { port } = server.address() as AddressInfo
    await new Promise((resolve) => server.close(resolve))
    const error = await failureOf(
      httpRequest({ url: `http://u:pw-secret@127.0.0.1:${port}${secretPath}`, timeoutMs: 2000 }),
    )
    expect(error.phase).toBe("connect")
    expect(error.message).toBe(`cannot connect to 127.0.0.1:${port}: nothing listens there (ECONNREFUSED)`)
  })

  it("says so when the name is unknown", async () => {
    const error = await failureOf(httpRequest({ url: `https://nightshift.invalid${secretPath}`, timeoutMs: 5000 }))
    expect(error.phase).toBe("connect")
    expect(error.message).toContain("cannot connect to nightshift.invalid: ")
    expect(error.message).not.toContain("secret")
  })

  it("ends at the total time when the server hangs before the headers or inside the body", async () => {
    await serving(
      (request, response) => {
        if (request.url === "/body") response.write("half")
      },
      async (url) => {
        const silent = await failureOf(httpRequest({ url: `${url}${secretPath}`, timeoutMs: 150 }))
        expect(silent).toMatchObject({ phase: "answer", timedOut: true })
        expect(silent.message).toBe(`no answer from ${new URL(url).host}: timed out after 150 ms`)
        expect(await failureOf(httpRequest({ url: `${url}/body`, timeoutMs: 150 }))).toMatchObject({
          phase: "body",
          timedOut: true,
        })
      },
    )
  })

  it("ends at the time for connecting when TLS is never spoken", async () => {
    const sockets: { destroy(): void }[] = []
    const server = createTcpServer((socket) => sockets.push(socket))
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
    const error = await failureOf(httpRequest({ url, timeoutMs: 400 }))
    expect(error).toMatchObject({ phase: "connect", timedOut: true })
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })

  it("says so when the connection breaks, before or inside the answer", async () => {
    await serving(
      (request, response) => {
        if (request.url === "/body") response.writeHead(200, { "content-length": "100" }).write("half")
        setTimeout(() => request.socket.resetAndDestroy(), 20)
      },
      async (url) => {
        expect(await failureOf(httpRequest({ url, timeoutMs: 2000 }))).toMatchObject({
          phase: "answer",
          timedOut: false,
        })
        expect(await failureOf(httpRequest({ url: `${url}/body`, timeoutMs: 2000 }))).toMatchObject({ phase: "body" })
      },
    )
  })

  it("reads no more than it may", async () => {
    await serving(
      (_request, response) => void response.end("x".repeat(50_000)),
      async (url) => {
        const error = await failureOf(httpRequest({ url, timeoutMs: 2000, maxBytes: 10_000 }))
        expect(error.message).toContain("it is larger than 10.0 kB")
      },
    )
  })

  it("rejects with the reason of the signal", async () => {
    await serving(
      () => {},
      async (url) => {
        const reason = new Error("the run was cancelled")
        const controller = new AbortController()
        setTimeout(() => controller.abort(reason), 50)
        await expect(httpRequest({ url, timeoutMs: 5000, signal: controller.signal })).rejects.toBe(reason)
      },
    )
  })
})

describe("a request that is answered", () => {
  it("gives status, headers, body and time, whatever the status, and follows no redirect", async () => {
    await serving(
      (request, response) => {
        response.setHeader("x-several", ["a", "b"])
        response.writeHead(request.url === "/moved" ? 302 : 503, { location: "/" }).end("ünwell")
      },
      async (url) => {
        const answer = await httpRequest({ url, timeoutMs: 2000 })
        expect(answer).toMatchObject({ status: 503, body: "ünwell" })
        expect(answer.headers["x-several"]).toBe("a, b")
        expect(answer.elapsedMs).toBeGreaterThan(0)
        expect((await httpRequest({ url: `${url}/moved`, timeoutMs: 2000 })).status).toBe(302)
      },
    )
  })

  it("sends method, headers, body and the user of the address", async () => {
    await serving(
      async (request, response) => {
        const chunks = await request.toArray()
        response.end(
          JSON.stringify([request.method, request.headers.authorization, request.headers["x-a"], chunks.join("")]),
        )
      },
      async (url) => {
        const withUser = url.replace("http://", "http://us%40er:p%3Aw@")
        const { body } = await httpRequest({
          url: withUser,
          method: "PUT",
          headers: { "x-a": "1" },
          body: "hello",
          timeoutMs: 2000,
        })
        expect(JSON.parse(body)).toEqual(["PUT", `Basic ${btoa("us@er:p:w")}`, "1", "hello"])
      },
    )
  })
})

it("refuses an address that is none, and names the setting but not the value", () => {
  expect(parseHttpUrl(" https://example.com/x \n", "HEARTBEAT_URL", "…")).toBe("https://example.com/x")
  for (const text of ["", "s3cr3t", "file:///s3cr3t", "hc-ping.com/s3cr3t"]) {
    expect(() => parseHttpUrl(text, "HEARTBEAT_URL", "https://hc-ping.com/…")).toThrow(
      new ConfigError("HEARTBEAT_URL is not an http or https URL: set it to https://hc-ping.com/…"),
    )
  }
})
