import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { readHealthBody } from "../../../lib/service/health-body.ts"
import { spaPage } from "../../support/web-routes.ts"

const json = (value: unknown) => readHealthBody(JSON.stringify(value), "application/json")

describe("an answer that says something is wrong", () => {
  it("of Spring Actuator names the component, the innermost of a composite, and its error", () => {
    expect(
      json({
        status: "DOWN",
        components: {
          diskSpace: { status: "UP", details: { total: 100, free: 40 } },
          db: {
            status: "DOWN",
            components: {
              primary: { status: "UP" },
              replica: { status: "DOWN", details: { error: "org.postgresql.util.PSQLException: refused" } },
            },
          },
        },
      }),
    ).toMatchObject({
      verdict: "failing",
      component: "db.replica",
      words: "org.postgresql.util.PSQLException: refused",
      numbers: { "components.diskSpace.details.free": 40 },
    })
    expect(json({ status: "OUT_OF_SERVICE" })).toMatchObject({ verdict: "failing" })
    expect(json({ status: "UNKNOWN" })).toMatchObject({ verdict: "unknown" })
  })

  it("of application/health+json names the measurement", () => {
    const body = {
      status: "warn",
      version: "1",
      releaseId: "1.2.2",
      checks: {
        "cassandra:responseTime": [{ componentId: "dfd6", observedValue: 250, observedUnit: "ms", status: "pass" }],
        "cpu:utilization": [{ componentId: "6fd4", observedValue: 95, status: "warn", output: "hot" }],
      },
    }
    expect(readHealthBody(JSON.stringify(body), "application/health+json")).toMatchObject({
      verdict: "degraded",
      component: "cpu:utilization",
      words: "hot",
      version: "1",
      numbers: { "checks.cpu:utilization.0.observedValue": 95 },
    })
    expect(json({ status: "fail", checks: {} })).toMatchObject({ verdict: "failing" })
  })

  it("of Terminus names what is under error, and an empty error means nothing", () => {
    const up = { database: { status: "up" } }
    const down = { redis: { status: "down", message: "connect ECONNREFUSED" } }
    expect(json({ status: "error", info: up, error: down, details: { ...up, ...down } })).toMatchObject({
      verdict: "failing",
      component: "redis",
      words: "connect ECONNREFUSED",
    })
    expect(json({ status: "ok", info: up, error: {}, details: up })).toMatchObject({ verdict: "ok" })
  })

  it("of ASP.NET is a word, or entries", () => {
    expect(readHealthBody("Unhealthy", "text/plain")).toMatchObject({ verdict: "failing" })
    expect(readHealthBody("Degraded", "text/plain")).toMatchObject({ verdict: "degraded" })
    expect(readHealthBody("Healthy", "text/plain")).toMatchObject({ verdict: "ok" })
    expect(readHealthBody('"Healthy"', "application/json")).toMatchObject({ verdict: "ok" })
    const entries = { sql: { status: "Unhealthy", description: "login failed", data: {} }, bus: { status: "Degraded" } }
    expect(json({ status: "Unhealthy", totalDuration: "00:00:01", entries })).toMatchObject({
      component: "sql",
      words: "login failed",
    })
  })

  it("of Kubernetes names the check with a minus", () => {
    const list = "[+]ping ok\n[+]log ok\n[-]etcd failed: reason withheld\n[+]poststarthook/x ok\nreadyz check failed\n"
    expect(readHealthBody(list, "text/plain")).toMatchObject({
      verdict: "failing",
      component: "etcd",
      words: "failed: reason withheld",
    })
    expect(readHealthBody("[+]ping ok\nhealthz check passed\n", "text/plain")).toMatchObject({ verdict: "ok" })
  })

  it("of Rails is a page that is red", () => {
    const page = (colour: string) => `<!DOCTYPE html><html><body style="background-color: ${colour}"></body></html>`
    expect(readHealthBody(page("red"), "text/html")).toMatchObject({ verdict: "failing" })
    expect(readHealthBody(page("green"), "text/html")).toMatchObject({ verdict: "ok" })
    expect(readHealthBody(spaPage, "text/html")).toBeUndefined()
  })

  it("of Statuspage is its indicator, with the words beside it", () => {
    const page = (indicator: string, description: string, state: string) =>
      json({ page: { id: "x" }, components: [{ name: "API", status: state }], status: { indicator, description } })
    expect(page("none", "All Systems Operational", "operational")).toMatchObject({ verdict: "ok" })
    expect(page("minor", "Minor Service Outage", "partial_outage")).toMatchObject({
      verdict: "degraded",
      component: "API",
      words: "Minor Service Outage",
    })
    expect(page("major", "Major", "major_outage")).toMatchObject({ verdict: "failing" })
    expect(page("critical", "Critical", "major_outage")).toMatchObject({ verdict: "failing", component: "API" })
  })

  it("of Elasticsearch is a colour", () => {
    const cluster = (status: string) => json({ cluster_name: "c", status, number_of_nodes: 3, timed_out: false })
    expect(cluster("green")).toMatchObject({ verdict: "ok", numbers: { number_of_nodes: 3 } })
    expect(cluster("yellow")).toMatchObject({ verdict: "degraded" })
    expect(cluster("red")).toMatchObject({ verdict: "failing" })
  })

  it("of Zammad is healthy: false with its message", () => {
    expect(json({ healthy: false, message: "scheduler not running", issues: ["scheduler not running"] })).toMatchObject(
      {
        verdict: "failing",
        words: "scheduler not running",
      },
    )
    expect(json({ healthy: true, message: "success" })).toMatchObject({ verdict: "ok" })
  })

  it("of PostgREST means its database, and an error of the request means nothing", () => {
    const message = "Could not query the database for the schema cache. Retrying."
    expect(json({ code: "PGRST002", details: null, hint: null, message })).toMatchObject({
      verdict: "failing",
      component: "database",
      words: `PGRST002: ${message}`,
    })
    expect(json({ code: "57P03", message: "the database system is starting up" })).toMatchObject({ verdict: "failing" })
    expect(json({ code: "42501", message: "permission denied" })).toMatchObject({ verdict: "unknown" })
  })
})

describe("the verdict of the root", () => {
  it("counts more than that of a component", () => {
    const good = json({ status: "ok", checks: { cache: { status: "down" } } })
    expect(good).toMatchObject({ verdict: "ok" })
    expect(good?.component).toBeUndefined()
    expect(json({ status: "degraded", checks: { cache: { status: "down" } } })).toMatchObject({
      verdict: "degraded",
      component: "cache",
    })
  })

  it("is found in an envelope", () => {
    expect(json({ data: { status: "unhealthy", services: { db: "down" } } })).toMatchObject({
      verdict: "failing",
      component: "db",
    })
  })
})

describe("an envelope", () => {
  it.each([
    [{ success: true, data: { status: "unhealthy", message: "no database" } }, "failing", "no database"],
    [{ status: "success", data: { status: "down" } }, "failing", undefined],
    [{ ok: true, result: { checks: { redis: "error: refused" } } }, "failing", "refused"],
    [{ success: true, data: { status: "degraded" } }, "degraded", undefined],
  ])("that was handed over well says nothing of what is in it: %j", (body, verdict, words) => {
    expect(json(body)).toMatchObject({ verdict, ...(words && { words }) })
  })

  it("that failed itself has failed, and one around good news is good", () => {
    expect(json({ success: false, data: { status: "ok" } })).toMatchObject({ verdict: "failing" })
    expect(json({ success: true, data: { status: "ok" } })).toMatchObject({ verdict: "ok" })
    expect(json({ status: "ok", data: { order: { status: "failed" } } })).toMatchObject({ verdict: "ok" })
  })
})

describe("an answer that says nothing of health", () => {
  it("gives its numbers and version", () => {
    expect(
      json({ items: [{ name: "queue", depth: 4 }, { depth: 9 }], git: { commit: { id: "abc1234" } } }),
    ).toMatchObject({
      verdict: "unknown",
      version: "abc1234",
      numbers: { "items.queue.depth": 4, "items.1.depth": 9 },
    })
    expect(json({ status: "shipped", id: 7 })).toMatchObject({ verdict: "unknown" })
    expect(readHealthBody("welcome to our shop, everything is down 20 %", "text/plain")).toBeUndefined()
    expect(readHealthBody("{broken", "application/json")).toBeUndefined()
    expect(readHealthBody("\0\0\0", "application/octet-stream")).toBeUndefined()
  })

  it("gives the commit rather than the version, since it is other at each deploy", () => {
    expect(json({ status: "ok", version: "1.0.0", commit: "9f8e7d6" })).toMatchObject({ version: "9f8e7d6" })
  })
})

it("tells at most 50 numbers, whatever the answer is, and never throws", () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 6 }), fc.constantFrom("application/json", "text/html", ""), (text, type) => {
      const numbers = Object.entries(readHealthBody(text, type)?.numbers ?? {})
      expect(numbers.length).toBeLessThanOrEqual(50)
      expect(numbers.every(([, value]) => Number.isFinite(value))).toBe(true)
    }),
  )
  expect(Object.keys(json(Array.from({ length: 500 }, (_, n) => n))?.numbers ?? {})).toHaveLength(50)
  expect(readHealthBody(`${"[".repeat(100_000)}1${"]".repeat(100_000)}`, "application/json")?.verdict).toBe("unknown")
})

it("gives a number that has a limit also where it comes after many others", () => {
  const body = { list: Array.from({ length: 80 }, (_, n) => n), deep: { memory: { percent: 91 } } }
  const { numbers } = readHealthBody(JSON.stringify(body), "application/json", ["deep.memory.percent"]) ?? {}
  expect(numbers).toMatchObject({ "deep.memory.percent": 91 })
  expect(Object.keys(numbers ?? {})).toHaveLength(51)
})

it("repeats no password and no query of an address, and cuts long words", () => {
  const error = `connect to postgres://app:hunter2@db.internal/app failed, see https://x.example/a?token=abcdef ${"x".repeat(300)}`
  const { words = "" } = json({ status: "down", error }) ?? {}
  expect(words).toContain("db.internal")
  expect(words).not.toMatch(/hunter2|abcdef/)
  expect(words.length).toBeLessThanOrEqual(120)
})
