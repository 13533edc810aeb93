import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { look, type ProbeChange } from "../../support/http-probe.ts"
import { addTroubles, spaPage } from "../../support/web-routes.ts"
import { startWebServer, type WebAnswer, type WebServer } from "../../support/web-server.ts"

let web: WebServer
beforeAll(async () => {
  web = await startWebServer()
  addTroubles(web)
})
afterAll(() => web.close())

/** Looks at a path that answers so. */
async function answered(answer: WebAnswer, change: ProbeChange = {}, path = "/here") {
  web.setRoute(path, answer)
  return look(`${web.url}${path}`, change)
}
const status = (path: string, is: "=" | "exists" = "exists", value?: string) => ({ json: [{ path, is, value }] })

describe("a status that is not right", () => {
  it("has the class of what it means, and the remedy", async () => {
    expect(await look(`${web.url}/paused`)).toMatchObject({ status: 540, failure: { class: "paused" } })
    expect(await look(`${web.url}/over-quota`)).toMatchObject({ status: 402, failure: { class: "over-quota" } })
    expect(await look(`${web.url}/denied`)).toMatchObject({ status: 401, failure: { class: "auth" } })
    const gone = await look(`${web.url}/gone?token=s3cr3t`)
    expect(gone).toMatchObject({ outcome: "fail", status: 404, failure: { class: "status" } })
    expect(gone.detail).toBe(`${web.url}/gone answered 404: expected 2xx`)
  })

  it("is paused too when the host's page says so", async () => {
    const page = "<html><body><h1>This project has been paused</h1></body></html>"
    expect(await answered({ status: 503, body: page })).toMatchObject({ failure: { class: "paused" } })
    expect(await answered({ body: page }, { expect: { format: "json" } })).toMatchObject({
      failure: { class: "paused" },
    })
    expect(await answered({ body: page })).toMatchObject({ outcome: "ok" })
  })

  it("is down too when the host answers 200 in the app's place, unless the app's own text is there", async () => {
    const waking = { body: "<h1>Service waking up</h1>", headers: { "x-render-routing": "hibernate-wake" } }
    const asleep = await answered(waking)
    expect(asleep).toMatchObject({ outcome: "fail", status: 200, failure: { class: "status" } })
    expect(asleep.detail).toContain("Render: its page says that the service is waking up")
    expect(await answered(waking, { expect: { text: "waking" } })).toMatchObject({ outcome: "ok" })
  })

  it("asks to wait in seconds or until a date, an hour at most", async () => {
    expect(await look(`${web.url}/busy`)).toMatchObject({ failure: { class: "status" }, retryAfterMs: 7000 })
    const now = new Date("2026-03-01T10:00:00Z")
    const after = async (value: string) => {
      web.setRoute("/wait", { status: 503, headers: { "retry-after": value } })
      return (await look(`${web.url}/wait`, {}, { now })).retryAfterMs
    }
    expect(await after("Sun, 01 Mar 2026 10:00:30 GMT")).toBe(30_000)
    expect(await after("Sun, 01 Mar 2026 09:00:00 GMT")).toBe(0)
    expect(await after("999999999")).toBe(3_600_000)
    expect(await after("soon")).toBeUndefined()
  })

  it("is right when it was asked for", async () => {
    expect(await look(`${web.url}/denied`, { expect: { status: [200, 401] } })).toMatchObject({ outcome: "ok" })
    expect(await answered({ status: 503, body: { status: "down" } }, { expect: { status: [503] } })).toMatchObject({
      outcome: "ok",
    })
    expect(await look(`${web.url}/ok`, { expect: { status: [204] } })).toMatchObject({ failure: { class: "status" } })
  })
})

describe("what the body says of itself", () => {
  const sick = {
    status: "unhealthy",
    services: { database: { status: "unhealthy", error: "too many connections" } },
    version: "1.4.0",
  }
  it("counts more than the status", async () => {
    const result = await answered({ body: sick })
    expect(result).toMatchObject({
      outcome: "fail",
      failure: { class: "body", component: "database" },
      version: "1.4.0",
    })
    expect(result.detail).toBe(
      `${web.url}/here answered 200, but it says that database is failing (too many connections)`,
    )
    expect(await answered({ status: 503, body: sick })).toMatchObject({
      failure: { class: "body", component: "database" },
    })
    expect(await answered({ status: 503, body: { status: "ok" } })).toMatchObject({ outcome: "ok", status: 503 })
    expect(await answered({ body: { status: "degraded", checks: { redis: "down" } } })).toMatchObject({
      outcome: "warn",
      failure: { class: "body", component: "redis" },
    })
  })

  it("of parts alone makes 202 degraded, and 503 no better", async () => {
    const checks = { database: { status: "ok" }, redis: { status: "down" } }
    expect(await answered({ status: 202, body: { checks } })).toMatchObject({
      outcome: "warn",
      failure: { component: "redis" },
    })
    expect(await answered({ status: 503, body: { checks } })).toMatchObject({
      outcome: "fail",
      failure: { component: "redis" },
    })
    expect(await answered({ status: 503, body: { checks: { database: "ok" } } })).toMatchObject({
      failure: { class: "status" },
    })
    expect(await answered({ status: 202, body: { id: 7 } })).toMatchObject({ outcome: "ok" })
  })

  it("counts less than an assertion on that very word, and not less than one on another", async () => {
    const body = { status: "degraded", checks: { database: "ok", redis: "down" } }
    expect(await answered({ body }, { expect: status("$.status", "=", "degraded") })).toMatchObject({ outcome: "ok" })
    expect(await answered({ body }, { expect: status("$.status") })).toMatchObject({ outcome: "warn" })
    expect(await answered({ body }, { expect: status("/checks/database", "=", "ok") })).toMatchObject({
      outcome: "warn",
    })
    expect(await answered({ body }, { expect: status("$.status", "=", "ok") })).toMatchObject({
      outcome: "fail",
      failure: { class: "assertion", component: "redis" },
    })
  })

  it("gives numbers by their path", async () => {
    const { numbers } = await answered({ body: { status: "ok", memory: { percent: 81 } } })
    expect(numbers).toEqual({ "memory.percent": 81 })
  })
})

describe("a page", () => {
  const page: WebAnswer = { headers: { "content-type": "text/html" }, body: spaPage }
  it("where JSON was expected is told as a page", async () => {
    for (const expectation of [{ format: "json" as const }, status("$.status")]) {
      const result = await answered(page, { expect: expectation })
      expect(result).toMatchObject({ outcome: "fail", failure: { class: "body" } })
      expect(result.detail).toContain("it is a page (HTML) where JSON was expected")
    }
  })

  it("of an app in the browser is no health answer", async () => {
    for (const path of ["/health", "/api/health", "/healthz", "/api/v1/status", "/readiness", "/api/health/deep"]) {
      expect(await answered(page, {}, path)).toMatchObject({ outcome: "fail", failure: { class: "body" } })
    }
    expect(await answered(page, {}, "/")).toMatchObject({ outcome: "ok" })
    expect(await answered(page, { expect: { text: "PrepPilot" } }, "/health")).toMatchObject({ outcome: "ok" })
    const green = '<!DOCTYPE html><html><body style="background-color: green"></body></html>'
    expect(await answered({ ...page, body: green }, {}, "/up")).toMatchObject({ outcome: "ok" })
  })

  it("of a gateway with 502 is its status", async () => {
    const result = await answered({ ...page, status: 502 }, { expect: { format: "json" } })
    expect(result).toMatchObject({ failure: { class: "status" } })
    expect(result.detail).toContain("answered 502: expected 2xx, and it is a page (HTML)")
  })
})

describe("an expectation that is not met", () => {
  it("of text or header is told without what came", async () => {
    const answer: WebAnswer = { headers: { "x-mode": "s3cr3t" }, body: "Application error: boom" }
    const missing = await answered(answer, { expect: { text: "PrepPilot" } })
    expect(missing).toMatchObject({ outcome: "fail", failure: { class: "assertion" } })
    expect(missing.detail).toBe(`${web.url}/here answered 200, but the text "PrepPilot" is missing`)
    expect((await answered(answer, { expect: { noText: "Application error" } })).detail).toContain("is there")
    const header = await answered(answer, { expect: { headers: [{ name: "X-Mode", is: "=", value: "live" }] } })
    expect(header).toMatchObject({ failure: { class: "assertion" } })
    expect(header.detail).not.toContain("s3cr3t")
  })

  it("of JSON is a failure when there is none", async () => {
    expect((await answered({ body: "" }, { expect: status("$.a") })).detail).toContain(
      "it is empty where JSON was expected",
    )
    expect((await answered({ body: "{" }, { expect: status("$.a") })).detail).toContain(
      "it is not the JSON that was expected",
    )
  })
})
