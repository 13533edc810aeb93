import { resolve } from "node:path"
import { describe, expect, it } from "vitest"
import { liveEnvironment, recordingEnvironment } from "../../../lib/config/environment.ts"
import { opsConfigSchema } from "../../../lib/config/schema.ts"
import { secret } from "../../../lib/config/setting-ref.ts"
import { readServices } from "../../../lib/service/read-services.ts"

function read(services: unknown, values: Record<string, string> = {}) {
  const hidden: string[] = []
  const env = liveEnvironment(values, {
    root: "/srv",
    inActions: false,
    redactor: { add: (text) => hidden.push(text) },
  })
  const ops = opsConfigSchema.parse({ app: { name: "Shop", timezone: "Europe/London" }, services })
  return { services: readServices(ops, env), problems: env.problems(), hidden }
}

const probeOf = (config: unknown, values: Record<string, string> = {}) =>
  read({ api: config }, values).services[0]?.probe

const everyKind = {
  api: {
    url: "https://api.example.com/health",
    headers: { accept: "application/json", authorization: secret("API_AUTHORIZATION") },
    body: secret("API_BODY"),
  },
  mail: { tcp: "mail.example.com:587" },
  name: { dns: { name: "example.com" } },
  certificate: { tls: "example.com" },
  registration: { domain: "example.com" },
  db: { postgres: secret("DATABASE_URL"), queries: { read: "select 1 from users limit 1" } },
  cache: { redis: secret("REDIS_URL") },
}

describe("secrets that are missing or wrong", () => {
  it("are all named at once, each with what to do", () => {
    const { problems, services } = read(everyKind)
    expect(problems.map((problem) => problem.split(":")[0])).toEqual([
      "API_AUTHORIZATION is missing",
      "API_BODY is missing",
      "DATABASE_URL is missing",
      "REDIS_URL is missing",
    ])
    expect(services).toHaveLength(7)
  })

  it.each([
    ["no URL", "localhost hunter22"],
    ["another kind of URL", "postgres://u:hunter22@localhost/db"],
    ["no host", "redis://:hunter22@"],
    ["a database that is no number", "redis://:hunter22@localhost:6379/shop"],
  ])("name the secret of a Redis that has %s, and never quote it", (_what, url) => {
    const { problems } = read({ cache: { redis: secret("REDIS_URL") } }, { REDIS_URL: url })
    expect(problems).toEqual([expect.stringMatching(/^REDIS_URL /)])
    expect(problems.join()).not.toContain("hunter22")
  })

  it("name what is wrong with the URL of a Postgres", () => {
    const { problems } = read({ db: { postgres: secret("DATABASE_URL") } }, { DATABASE_URL: "postgres://u@localhost" })
    expect(problems).toEqual([expect.stringMatching(/^DATABASE_URL: names no database/)])
  })
})

describe("a recording environment", () => {
  it("learns which secrets the checks need, and is not broken by its own placeholders", () => {
    const env = recordingEnvironment()
    const ops = opsConfigSchema.parse({ app: { name: "Shop" }, services: everyKind })
    expect(readServices(ops, env)).toHaveLength(7)
    expect(env.needs()).toEqual(
      ["API_AUTHORIZATION", "API_BODY", "DATABASE_URL", "REDIS_URL"].map((name) => ({
        env: name,
        kind: "secret",
        name,
      })),
    )
  })
})

describe("services", () => {
  it("keep their order, take the app's time zone, and have milliseconds for times", () => {
    const { services } = read({
      web: { url: "https://example.com", timeout: "4 seconds", interval: "1 hour", sleepy: { coldStartSeconds: 60 } },
      api: { tcp: "localhost:1", dependsOn: ["web"], severity: "P0" },
    })
    expect(services).toMatchObject([
      { name: "web", timeoutMs: 4000, intervalMs: 3_600_000, coldStartMs: 60_000, timezone: "Europe/London" },
      { name: "api", timeoutMs: 10_000, dependsOn: ["web"], severity: "P0", latency: {} },
    ])
  })

  it("of HTTP get the values of secrets in headers and body, which are hidden from then on", () => {
    const values = { API_AUTHORIZATION: "Bearer hunter22", API_BODY: "{}" }
    const { services, hidden } = read({ api: everyKind.api }, values)
    expect(services[0]?.probe).toMatchObject({
      kind: "http",
      method: "GET",
      headers: { accept: "application/json", authorization: "Bearer hunter22" },
      body: "{}",
      redirects: 5,
      maxBytes: 1_048_576,
      expect: { json: [], headers: [], format: "any" },
    })
    expect(hidden).toEqual(["Bearer hunter22", "{}"])
  })

  it.each([
    [{ tcp: "mail.example.com:587" }, { kind: "tcp", host: "mail.example.com", port: 587 }],
    [{ tcp: "[2001:db8::1]:25" }, { kind: "tcp", host: "2001:db8::1", port: 25 }],
    [{ tls: "example.com" }, { kind: "tls", host: "example.com", port: 443 }],
    [
      { tls: "example.com:8443", caFile: "ca.pem" },
      { kind: "tls", port: 8443, caFile: resolve("ca.pem") },
    ],
    [{ domain: "example.com" }, { kind: "domain", domain: "example.com" }],
    [{ dns: { name: "example.com", server: "1.1.1.1" } }, { kind: "dns", type: "A", values: [], server: "1.1.1.1" }],
  ])("of %j say how they are reached", (config, expected) => {
    expect(probeOf(config)).toMatchObject(expected)
  })

  it("of Postgres and Redis get an address, with the team's own authority", () => {
    const db = { postgres: secret("DATABASE_URL"), caFile: "certs/ca.pem" }
    expect(probeOf(db, { DATABASE_URL: "postgres://u:p@db.example.com/shop" })).toMatchObject({
      kind: "postgres",
      address: { host: "db.example.com", database: "shop", tls: { mode: "verify-full", ca: resolve("certs/ca.pem") } },
    })
    const cache = { redis: secret("REDIS_URL"), caFile: "certs/ca.pem" }
    expect(probeOf(cache, { REDIS_URL: " rediss://:p@cache.example.com:6380/2\n" })).toEqual({
      kind: "redis",
      url: "rediss://:p@cache.example.com:6380/2",
      caFile: resolve("certs/ca.pem"),
    })
  })

  it.each([
    ["supabase", "https://status.supabase.com/api/v2/summary.json"],
    ["https://status.example.com", "https://status.example.com/api/v2/summary.json"],
    ["https://status.example.com/v1/all.json", "https://status.example.com/v1/all.json"],
  ])("know the status page of the provider %s", (provider, expected) => {
    expect(read({ api: { tcp: "localhost:1", provider } }).services[0]?.provider).toBe(expected)
  })
})
