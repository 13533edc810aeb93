import { describe, expect, it } from "vitest"
import { readHealthBody } from "../../../lib/service/health-body.ts"

const json = (value: unknown) => readHealthBody(JSON.stringify(value), "application/json")

describe("the contract with services, memory and disk", () => {
  const body = (status: string, change: object = {}) => ({
    status,
    timestamp: "2026-11-20T10:00:00Z",
    services: {
      database: { status: "healthy", responseTime: 12 },
      external_apis: [
        { name: "stripe", status: "healthy", responseTime: 80 },
        { name: "openai", status: "healthy", responseTime: 300 },
      ],
      memory: { status: "healthy", percent: 61.5 },
      disk: { status: "healthy", used: 0.4 },
      ...change,
    },
    version: "1.4.0",
    environment: "production",
  })

  it("names the failing part, and an outside service by its name", () => {
    const apis = [
      { name: "stripe", status: "healthy" },
      { name: "openai", status: "unhealthy", error: "429 too many requests" },
    ]
    expect(json(body("degraded", { external_apis: apis }))).toMatchObject({
      verdict: "degraded",
      component: "external_apis.openai",
      words: "429 too many requests",
    })
    expect(json(body("unhealthy", { database: "unhealthy" }))).toMatchObject({
      verdict: "failing",
      component: "database",
    })
  })

  it("gives version and numbers by path, those of a list by name", () => {
    expect(json(body("healthy"))).toMatchObject({
      verdict: "ok",
      version: "1.4.0",
      numbers: { "services.external_apis.openai.responseTime": 300, "services.memory.percent": 61.5 },
    })
  })

  it("in its deep form is read by its checks", () => {
    const deep = {
      status: "unhealthy",
      checks: {
        query: { status: "healthy", durationMs: 20 },
        dependencies: { redis: { status: "unhealthy", error: "no answer" } },
        function: { status: "healthy" },
      },
    }
    expect(json(deep)).toMatchObject({ verdict: "failing", component: "dependencies.redis", words: "no answer" })
  })
})

describe("the contract of readiness with words", () => {
  it("names the check that is not ok", () => {
    expect(json({ status: "error", checks: { database: "ok", redis: "error: connection refused" } })).toMatchObject({
      verdict: "failing",
      component: "redis",
      words: "connection refused",
    })
    expect(json({ checks: { database: "ok", redis: "ok" } })).toMatchObject({ verdict: "ok" })
    expect(json({ checks: { database: true, redis: false } })).toMatchObject({ verdict: "failing", component: "redis" })
  })
})
