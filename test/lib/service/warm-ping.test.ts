import { describe, expect, it } from "vitest"
import type { PostgresAddress } from "../../../lib/postgres/address.ts"
import { recognizeGateway } from "../../../lib/service/gateway-page.ts"
import { judgeAnswer, ping } from "../../../lib/service/ping.ts"
import type { HttpProbe, Service } from "../../../lib/service/service.ts"
import type { WarmTarget } from "../../../lib/service/warmth.ts"
import { withDatabase } from "../../support/postgres.ts"
import { settings } from "../../support/warm.ts"
import { startWebServer } from "../../support/web-server.ts"

const now = new Date("2026-03-10T12:00:00Z")
const around = { now, signal: new AbortController().signal, pauseMs: 20 }

describe("a ping that does not count", () => {
  it("is one that nobody answered: there is no status that could be taken for success", async () => {
    const server = await startWebServer()
    await server.close()
    const result = await ping(web(server.url), around)
    expect(result).toMatchObject({ outcome: "unknown", class: "refused" })
    expect(result).not.toHaveProperty("status")
    expect(result.detail).toMatch(/^no answer from 127\.0\.0\.1:\d+: /)
  })

  it("is one that took longer than waking up may", async () => {
    await using server = await startWebServer()
    server.setRoute("/", { delayMs: 60_000, body: "late" })
    const result = await ping(web(server.url, { wakeMs: 150 }), around)
    expect(result).toMatchObject({ outcome: "unknown", class: "timeout" })
    expect(result.detail).toMatch(/gave no whole answer within 150 ms/)
  })

  it("is one with a page of 200 that lacks the app's marker", async () => {
    await using server = await startWebServer()
    server.setRoute("/", { body: "<h1>Sign in to the network</h1>" })
    const result = await ping(web(server.url, { marker: "PrepPilot" }), around)
    expect(result).toMatchObject({ outcome: "warn", class: "assertion", status: 200 })
    expect(result.detail).toContain('"PrepPilot" is not in what it answered: the app itself did not')
  })

  it("is one for which the certificates that are trusted cannot be read, and the others are pinged all the same", async () => {
    const target = web("https://127.0.0.1:1/")
    const { probe } = target.service
    const broken = {
      ...target,
      service: { ...target.service, probe: { ...probe, caFile: "/nowhere/ca.pem" } as HttpProbe },
    }
    const result = await ping(broken, around)
    expect(result).toMatchObject({ outcome: "unknown", detail: expect.stringContaining("caFile cannot be read") })
  })

  it("waits for a host that wakes the app up for as long as that may take", async () => {
    await using server = await startWebServer()
    let asked = 0
    server.setRoute(
      "/",
      (_, response) => void response.writeHead(++asked > 20 ? 200 : 502).end(asked > 20 ? "app" : ""),
    )
    expect(await ping(web(server.url), { ...around, pauseMs: 5 })).toMatchObject({
      outcome: "ok",
      isCold: true,
      tries: 21,
    })
  })

  it("ends with the run, with its reason", async () => {
    await using server = await startWebServer()
    server.setRoute("/", { delayMs: 60_000 })
    const stop = new AbortController()
    const pinging = ping(web(server.url), { ...around, signal: stop.signal })
    setTimeout(() => stop.abort(new Error("received SIGTERM")), 50)
    await expect(pinging).rejects.toThrow("received SIGTERM")
  })

  const supabase = { "sb-gateway-version": "1" }
  it.each([
    [
      "Supabase",
      540,
      {},
      "",
      "paused",
      "Supabase answered, not the app: the project is paused (540): restore it in the dashboard",
    ],
    [
      "Supabase",
      402,
      supabase,
      "{}",
      "over-quota",
      "Supabase answered, not the app: the project is over its quota (402)",
    ],
    [
      "Supabase",
      401,
      supabase,
      "{}",
      "auth",
      "the gateway refused the key (401), which proves nothing about the database",
    ],
    ["anyone", 401, {}, "no", "auth", "it answered 401, which proves nothing about what is behind"],
    ["anyone", 402, {}, "", "over-quota", "it answered 402, over its quota"],
    ["anyone", 404, {}, "not found", "status", "it answered 404: name a path that answers 2xx in keepWarm.url"],
    [
      "Render",
      200,
      { "rndr-id": "1" },
      "<title>SERVICE WAKING UP</title>",
      "status",
      "Render answered, not the app: its page says that the service is waking up",
    ],
    ["Render", 503, { "x-render-routing": "hibernate-wake-error" }, "", "status", "Render answered, not the app"],
    [
      "Render",
      404,
      { "x-render-routing": "no-server" },
      "Not Found",
      "status",
      "its router found no running instance (no-server)",
    ],
    ["Render", 503, { "rndr-id": "1" }, "This service has been suspended.", "over-quota", "the service is suspended"],
    [
      "Vercel",
      404,
      { "x-vercel-error": "DEPLOYMENT_NOT_FOUND" },
      "x",
      "status",
      "Vercel answered, not the app: it answered 404 DEPLOYMENT_NOT_FOUND",
    ],
    ["Vercel", 401, {}, "<title>Vercel Authentication</title>", "auth", "Deployment Protection asks for a login"],
    [
      "Cloudflare",
      522,
      { server: "cloudflare" },
      "error code: 522",
      "status",
      "Cloudflare answered, not the app: it could not reach the app (522)",
    ],
    ["Cloudflare", 403, { "cf-mitigated": "challenge" }, "", "status", "it asks for proof of a human"],
    [
      "Heroku",
      503,
      {},
      '<iframe src="//www.herokucdn.com/error-pages/application-error.html">',
      "status",
      "Heroku answered, not the app",
    ],
    [
      "Fly",
      502,
      { server: "Fly/8f4ba2e (2026-01-01)" },
      "",
      "status",
      "Fly answered, not the app: its proxy got no answer",
    ],
    ["Railway", 404, { "x-railway-fallback": "true" }, "{}", "status", "Railway answered, not the app"],
    ["nginx", 502, {}, "<h1>502 Bad Gateway</h1>", "status", "a gateway answered, not the app"],
  ])("is the answer of a gateway: %s %i %o", (_name, status, headers, body, failureClass, words) => {
    const verdict = judgeAnswer({ status, headers, body }, undefined)
    expect(verdict).toMatchObject({ isCounted: false, class: failureClass, problem: expect.stringContaining(words) })
  })

  it("is a gateway's page also where the marker happens to be in it", () => {
    const answer = {
      status: 503,
      headers: { "x-render-routing": "hibernate-wake-error" },
      body: "PrepPilot is waking up",
    }
    expect(judgeAnswer(answer, "PrepPilot").isCounted).toBe(false)
  })
})

describe("a ping that counts", () => {
  it("is one that the app itself answered, warm or cold by its first byte", async () => {
    await using server = await startWebServer()
    server.setRoute("/", { body: "PrepPilot" })
    const warm = await ping(web(server.url, { marker: "PrepPilot" }), around)
    expect(warm).toMatchObject({ outcome: "ok", status: 200, tries: 1 })
    expect(warm).not.toHaveProperty("isCold")
    server.setRoute("/", { body: "PrepPilot", delayMs: 120 })
    const cold = await ping(web(server.url, { marker: "PrepPilot", coldMs: 100 }), around)
    expect(cold).toMatchObject({ outcome: "ok", isCold: true })
    expect(cold.firstByteMs).toBeGreaterThanOrEqual(110)
    expect(cold.detail).toMatch(/a cold start$/)
  })

  it("is an error page of the app with its marker: it is awake, and health tells that it is ill", async () => {
    await using server = await startWebServer()
    server.setRoute("/", { status: 500, body: "PrepPilot has a problem" })
    expect(await ping(web(server.url, { marker: "PrepPilot" }), around)).toMatchObject({ outcome: "ok", status: 500 })
    expect(await ping(web(server.url), around)).toMatchObject({ outcome: "warn", status: 500 })
  })

  it("comes after the host's page that it wakes up, and is a cold start", async () => {
    await using server = await startWebServer()
    let asked = 0
    server.setRoute("/", (_request, response) => {
      asked++
      if (asked < 3) response.writeHead(503, { "x-render-routing": "hibernate-wake-error" }).end()
      else response.end("PrepPilot")
    })
    const result = await ping(web(server.url, { marker: "PrepPilot" }), around)
    expect(result).toMatchObject({ outcome: "ok", tries: 3, isCold: true })
    expect(result.firstByteMs).toBeGreaterThanOrEqual(40)
  })

  it("is not waited for longer than waking up may take", async () => {
    await using server = await startWebServer()
    server.setRoute("/", { status: 502 })
    const result = await ping(web(server.url, { wakeMs: 130 }), { ...around, pauseMs: 50 })
    expect(result).toMatchObject({ outcome: "warn", status: 502 })
    expect(result.tries).toBeLessThanOrEqual(3)
    const always = await ping(web(server.url), { ...around, pauseMs: 1 })
    expect(always.tries).toBe(150)
  })

  it("follows redirects, and gives the headers of the service to its own origin alone", async () => {
    await using server = await startWebServer()
    await using other = await startWebServer()
    server.setRoute("/", { status: 302, headers: { location: `${other.url}/home` } })
    other.setRoute("/home", { body: "PrepPilot" })
    const headers = { Authorization: "Bearer s3cret" }
    expect((await ping(web(server.url, { marker: "PrepPilot" }, { headers }), around)).outcome).toBe("ok")
    expect(server.received()[0]?.headers).toMatchObject({ authorization: "Bearer s3cret" })
    expect(other.received()[0]?.headers).not.toHaveProperty("authorization")
    expect(other.received()[0]?.headers["user-agent"]).toBe("nightshift-keep-warm")
    server.setRoute("/", { status: 302, headers: { location: "/" } })
    expect((await ping(web(server.url), around)).outcome).toBe("warn")
  })

  it("tells no gateway from an app that is behind one", () => {
    const app = { "x-render-origin-server": "Express", "rndr-id": "1", server: "cloudflare" }
    expect(recognizeGateway({ status: 200, headers: app, body: "ok" })).toBeUndefined()
    expect(
      recognizeGateway({ status: 503, headers: app, body: '{"status":"unhealthy","database":"down"}' }),
    ).toBeUndefined()
    expect(recognizeGateway({ status: 200, headers: { server: "Fly/1" }, body: "" })).toBeUndefined()
  })
})

describe("a ping of a database", () => {
  const sql = "create table users (id int); insert into users values (1)"

  it("counts when the table gives a row, and not when it gives none or is not there", async () => {
    await withDatabase(sql, async (database) => {
      const ask = (query: string) => ping(table(database.address, query), around)
      expect(await ask("select id from users limit 1")).toMatchObject({ outcome: "ok", tries: 1 })
      const empty = await ask("select id from users where id = 2")
      expect(empty).toMatchObject({ outcome: "warn", class: "query" })
      expect(empty.detail).toMatch(/returned no row: keepWarm\.sql takes a table that is never empty$/)
      expect(await ask("select id from guests")).toMatchObject({ outcome: "warn", class: "query" })
    })
  })

  it("does not count when nobody answers or lets it in", async () => {
    await withDatabase(sql, async ({ address }) => {
      const gone = await ping(table({ ...address, host: "127.0.0.1", port: 1 }, "select id from users"), around)
      expect(gone.outcome).toBe("unknown")
      const missing = await ping(table({ ...address, database: "no_such" }, "select id from users"), around)
      expect(missing.outcome).not.toBe("ok")
      const paused = { ...address, host: "db.abcdefgh.supabase.co.invalid" }
      expect((await ping(table(paused, "select id from users", { wakeMs: 2000 }), around)).outcome).toBe("unknown")
    })
  })
})

function web(origin: string, changes: Partial<WarmTarget> = {}, probe: Partial<HttpProbe> = {}): WarmTarget {
  const http: HttpProbe = {
    ...{ kind: "http", url: `${origin}/`, method: "GET", headers: {}, redirects: 5, maxBytes: 1_000_000 },
    expect: { json: [], headers: [], format: "any" },
    ...probe,
  }
  return { ...settings({ wakeMs: 5000 }), url: `${origin}/`, ...changes, service: service(http) }
}

function table(address: PostgresAddress, sql: string, changes: Partial<WarmTarget> = {}): WarmTarget {
  return {
    ...settings({ kind: "database", wakeMs: 5000 }),
    sql,
    ...changes,
    service: service({ kind: "postgres", address }),
  }
}

function service(probe: Service["probe"]): Service {
  const rest = { latency: {}, numbers: {}, dependsOn: [], maintenance: [], timezone: "UTC" }
  return { ...rest, name: "api", probe, severity: "P1", timeoutMs: 100 }
}
