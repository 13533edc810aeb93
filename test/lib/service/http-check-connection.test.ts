import { createServer } from "node:net"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { CertificateKind } from "../../support/certificates.ts"
import { look } from "../../support/http-probe.ts"
import { addTroubles } from "../../support/web-routes.ts"
import { startWebServer, type WebServer } from "../../support/web-server.ts"

let plain: WebServer
let tls: WebServer
let http2: WebServer
beforeAll(async () => {
  plain = await startWebServer()
  tls = await startWebServer({ tls: true })
  http2 = await startWebServer({ http2: true })
  for (const server of [plain, tls, http2]) addTroubles(server)
})
afterAll(async () => {
  for (const server of [plain, tls, http2]) await server.close()
})

const protocols = () => [plain, tls, http2]

describe("a service that cannot be reached", () => {
  it("is refused where nothing listens", async () => {
    const closed = await startWebServer()
    await closed.close()
    expect(await look(`${closed.url}/x?key=s3cr3t`)).toMatchObject({
      outcome: "fail",
      detail: `${closed.url}/x: nothing listens there (ECONNREFUSED)`,
      failure: { class: "refused", phase: "connect" },
    })
  })

  it("is unknown to DNS", async () => {
    const result = await look("https://service.invalid/health")
    expect(result).toMatchObject({ outcome: "fail", failure: { class: "dns", phase: "dns" } })
    expect(result.timings.connectMs).toBeUndefined()
  })

  it("has no route, where it is at an address that is for nobody", async () => {
    const { failure } = await look("http://[100::1]:9/", {}, { timeoutMs: 500 })
    // some networks say so, some say nothing
    expect(["unreachable", "timeout"]).toContain(failure?.class)
    expect(failure?.phase).toBe("connect")
  })

  it("shows no certificate in time", async () => {
    const silent = createServer(() => undefined)
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve))
    const address = silent.address()
    const port = typeof address === "object" ? address?.port : 0
    expect(await look(`https://127.0.0.1:${port}`, {}, { timeoutMs: 300 })).toMatchObject({
      detail: `https://127.0.0.1:${port} gave no answer within 300 ms (tls)`,
      failure: { class: "timeout", phase: "tls" },
    })
    silent.close()
  })

  it("speaks no TLS, or nothing but TLS", async () => {
    expect(await look(plain.url.replace("http:", "https:"))).toMatchObject({ failure: { class: "tls", phase: "tls" } })
    expect(await look(tls.url.replace("https:", "http:"))).toMatchObject({ failure: { class: "reset" } })
  })
})

describe("a certificate that is not good is told, and nothing is sent, when it is", () => {
  const cases: [CertificateKind, boolean, RegExp][] = [
    ["expired", true, /its certificate ran out \d days? ago, on \d{4}-\d\d-\d\d$/],
    ["not-yet", true, /its certificate is valid only from \d{4}-\d\d-\d\d on$/],
    ["wrong-host", true, /its certificate is for other\.example, not for 127\.0\.0\.1; it runs out in \d+ days, on/],
    ["self-signed", false, /its certificate is self-signed \(trust it with caFile\); it runs out in/],
    ["valid", false, /signed by Nightshift test authority, which is not trusted here, .*; it runs out in \d+ days/],
    ["incomplete", true, /signed by Nightshift authority in between, .* the chain that it sends is not complete/],
  ]
  it.each(cases)("%s", async (kind, isTrusted, expected) => {
    await using server = await startWebServer({ tls: kind })
    const result = await look(`${server.url}/`, { caFile: isTrusted ? server.caFile : undefined })
    expect(result.failure).toEqual({ class: "certificate", phase: "tls" })
    expect(result.detail).toMatch(expected)
    expect(server.requests()).toEqual([])
  })

  it("unless it is trusted: a self-signed one by its own file", async () => {
    await using server = await startWebServer({ tls: "self-signed" })
    server.setRoute("/", { body: "hello" })
    expect(await look(server.url, { caFile: server.caFile })).toMatchObject({ outcome: "ok" })
  })

  it("a file of certificates that is not there leaves the service unknown", async () => {
    const result = await look(tls.url, { caFile: "/nowhere/ca.pem" })
    expect(result).toMatchObject({ outcome: "unknown" })
    expect(result.detail).toContain("caFile cannot be read")
  })
})

describe("an answer that does not come, over HTTP/1.1, TLS and HTTP/2,", () => {
  it("times out waiting for the first byte", async () => {
    for (const { url, caFile } of protocols()) {
      const result = await look(`${url}/slow-headers`, { caFile }, { timeoutMs: 300 })
      expect(result.failure).toEqual({ class: "timeout", phase: "first byte" })
      expect(result.detail).toContain("gave no answer within 300 ms (first byte)")
      expect(result.timings.firstByteMs).toBeUndefined()
    }
  })

  it("times out in the body", async () => {
    for (const { url, caFile } of protocols()) {
      const result = await look(`${url}/slow-body`, { caFile }, { timeoutMs: 300 })
      expect(result).toMatchObject({ failure: { class: "timeout", phase: "body" } })
      expect(result.timings.firstByteMs).toBeLessThan(300)
    }
  })

  it("is a reset before the first byte", async () => {
    for (const { url, caFile } of protocols()) {
      expect(await look(`${url}/reset`, { caFile })).toMatchObject({ failure: { class: "reset", phase: "first byte" } })
    }
    expect(await look(`${plain.url}/no-answer`)).toMatchObject({ failure: { class: "reset", phase: "first byte" } })
  })

  it("ends too early", async () => {
    expect(await look(`${plain.url}/reset-in-body`)).toMatchObject({ failure: { class: "reset", phase: "body" } })
    for (const { url, caFile } of [tls, http2]) {
      expect(await look(`${url}/reset-in-body`, { caFile })).toMatchObject({
        failure: { class: "protocol", phase: "body" },
      })
    }
    const short = await look(`${plain.url}/wrong-length`)
    expect(short.failure).toEqual({ class: "protocol", phase: "body" })
    expect(short.detail).toContain("the answer ended after 5 B of 100 B")
  })

  it("is not HTTP", async () => {
    expect(await look(`${plain.url}/not-http`)).toMatchObject({ failure: { class: "protocol", phase: "first byte" } })
  })
})

describe("a good connection", () => {
  it("speaks HTTP/2 where the server can, and has each phase measured", async () => {
    const { outcome, timings } = await look(`${http2.url}/ok`, { caFile: http2.caFile })
    expect(outcome).toBe("ok")
    expect(http2.received().at(-1)?.http).toBe("2.0")
    expect(timings.tlsMs).toBeGreaterThan(0)
    expect((timings.connectMs ?? 0) + (timings.tlsMs ?? 0)).toBeLessThanOrEqual(timings.firstByteMs ?? 0)
    expect(timings.firstByteMs).toBeLessThanOrEqual(timings.totalMs)
  })

  it("over HTTP/2 gives an answer that is judged as any other", async () => {
    const { url, caFile } = http2
    expect(await look(`${url}/gzip`, { caFile, expect: { text: "grün" } })).toMatchObject({ outcome: "ok" })
    expect(await look(`${url}/gzip-bomb`, { caFile, expect: { text: "y" } })).toMatchObject({
      failure: { class: "too-large" },
    })
    expect(await look(`${url}/to-ok`, { caFile, method: "POST", body: "hello" })).toMatchObject({ outcome: "ok" })
    expect(await look(`${url}/paused`, { caFile })).toMatchObject({ failure: { class: "paused" } })
  })

  it("is one of its own each time", async () => {
    const before = plain.connections()
    await Promise.all([look(`${plain.url}/ok`), look(`${plain.url}/ok`), look(`${plain.url}/ok`)])
    expect(plain.connections() - before).toBe(3)
  })

  it("finds a server that is on IPv6 only, with TLS too", async () => {
    await using server = await startWebServer({ host: "::1", tls: true })
    server.setRoute("/ok", { body: "ok" })
    expect(await look(`${server.url}/ok`, { caFile: server.caFile })).toMatchObject({ outcome: "ok", status: 200 })
  })

  it("measures the name lookup where there is a name", async () => {
    const { timings } = await look(`http://localhost:${plain.port}/ok`)
    expect(timings.dnsMs).toBeGreaterThanOrEqual(0)
    expect((await look(`${plain.url}/ok`)).timings.dnsMs).toBeUndefined()
  })
})

it("is unknown when the request itself cannot be made, without the value that is wrong", async () => {
  const result = await look(`${plain.url}/ok`, { headers: { authorization: "Bearer s3cr3t\nx" } })
  expect(result).toMatchObject({ outcome: "unknown" })
  expect(result.detail).toContain("cannot be asked")
  expect(result.detail).not.toContain("s3cr3t")
})

it("stops at once with the signal's reason", async () => {
  const controller = new AbortController()
  const looking = look(`${plain.url}/slow-headers`, {}, { signal: controller.signal, timeoutMs: 60_000 })
  setTimeout(() => controller.abort(new Error("the run is over")), 50)
  await expect(looking).rejects.toThrow("the run is over")
})
