import { describe, expect, it } from "vitest"
import { crossCheck } from "../../../lib/config/cross-check.ts"
import { parseConfig } from "../../../lib/config/load.ts"
import { secret } from "../../../lib/config/setting-ref.ts"

const url = "https://api.example.com/health"

/** What is wrong with one service, without its path. */
function problemsOf(service: unknown): string[] {
  return crossCheck({ services: { api: service } }).map((problem) => problem.replace(/^services\.api\.?\s?/, ""))
}

describe("how a service is reached", () => {
  it.each([
    [{}, "does not say how it is reached: it takes one of url, tcp, dns, tls, domain, postgres or redis"],
    [{ url, tcp: "localhost:1" }, "has url and tcp: it takes one of them, and a service of its own for each other"],
    [
      { url, tls: "example.com", redis: secret("REDIS_URL") },
      "has url and tls and redis: it takes one of them, and a service of its own for each other",
    ],
    [{ tcp: "localhost:70000" }, "tcp has the port 70000: it takes one from 1 to 65535"],
    [{ tls: "example.com:0" }, "tls has the port 0: it takes one from 1 to 65535"],
    [
      { dns: { name: "example.com", server: "dns.google" } },
      'dns.server is "dns.google": it takes an IP address such as 1.1.1.1, with a port if need be',
    ],
    [
      { url: "https://alice:hunter22@example.com" },
      'url has user and password in it (not shown): use headers: { authorization: secret("API_AUTHORIZATION") }',
    ],
    [
      { url, keepWarm: { url: "https://alice:hunter22@example.com" } },
      'keepWarm.url has user and password in it (not shown): use headers: { authorization: secret("API_AUTHORIZATION") }',
    ],
  ])("of %j is refused", (service, problem) => {
    expect(problemsOf(service)).toEqual([problem])
  })

  it.each([
    { url },
    { tcp: "[::1]:5432" },
    { dns: { name: "example.com" } },
    { dns: { name: "example.com", server: "1.1.1.1:53" } },
    { dns: { name: "example.com", server: "2606:4700:4700::1111" } },
    { dns: { name: "example.com", server: "[2606:4700:4700::1111]:53" } },
    { tls: "example.com" },
    { domain: "example.com" },
    { postgres: secret("DATABASE_URL") },
    { redis: secret("REDIS_URL") },
  ])("of %j is fine", (service) => {
    expect(problemsOf(service)).toEqual([])
  })
})

describe("settings that do not fit the kind", () => {
  it.each([
    [
      { tcp: "localhost:1", expect: { text: "ok" } },
      "expect does not fit a service with tcp: it goes with url; remove it",
    ],
    [
      { domain: "example.com", method: "POST" },
      "method does not fit a service with domain: it goes with url; remove it",
    ],
    [
      { url, queries: { read: "select 1" } },
      "queries does not fit a service with url: it goes with postgres; remove it",
    ],
    [
      { redis: secret("REDIS_URL"), keepWarm: {} },
      "keepWarm does not fit a service with redis: it goes with url, postgres; remove it",
    ],
    [
      { tcp: "localhost:1", caFile: "ca.pem" },
      "caFile does not fit a service with tcp: it goes with url, tls, postgres, redis; remove it",
    ],
    [
      { url, keepWarm: { sql: "select 1" } },
      "keepWarm.sql does not fit a service with url: it goes with postgres; remove it",
    ],
    [
      { postgres: secret("DATABASE_URL"), keepWarm: { marker: "Shop" } },
      "keepWarm.marker does not fit a service with postgres: it goes with url; remove it",
    ],
  ])("are named for %j", (service, problem) => {
    expect(problemsOf(service)).toEqual([problem])
  })
})

describe("limits", () => {
  it.each([
    [
      { url, latency: { degradedMs: 500, failMs: 100 } },
      "latency.failMs is 100: it takes a number that is not below degradedMs, 500",
    ],
    [
      { url, numbers: { "memory.percent": { warn: 90, fail: 80 } } },
      'numbers["memory.percent"].fail is 80: it takes a number that is not below warn, 90',
    ],
    [{ url, numbers: { queue: {} } }, 'numbers["queue"] has no limit: it takes warn, fail or both'],
  ])("of %j are refused", (service, problem) => {
    expect(problemsOf(service)).toEqual([problem])
  })
})

describe("headers", () => {
  it.each([
    [{ "x token": "1" }, 'headers has "x token", which is no name of a header'],
    [{ "Content-Length": "3" }, "headers.Content-Length is set by the client itself: remove it"],
    [
      { accept: "a\r\nhost: b" },
      "headers.accept has a character that no header takes, such as a line break: remove it",
    ],
  ])("%j are refused", (headers, problem) => {
    expect(problemsOf({ url, headers })).toEqual([problem])
  })

  it("may hold secrets and ordinary texts", () => {
    expect(problemsOf({ url, headers: { authorization: secret("API_AUTHORIZATION"), "x-by": "nightshift" } })).toEqual(
      [],
    )
  })
})

describe("assertions", () => {
  it.each([
    [{ path: "$.status", is: "=" }, "value is missing: = needs something to compare with"],
    [
      { path: "$.status", is: "exists", value: "ok" },
      'value is not used by exists: remove it, or compare with is: "="',
    ],
    [{ path: "$.status", value: "ok" }, 'value is not used by exists: remove it, or compare with is: "="'],
    [
      { path: "status", is: "=", value: "ok" },
      'path is "status": it takes a JSONPath that begins with $ or a JSON Pointer that begins with /',
    ],
    [{ path: "$.queue", is: "<", value: null }, "value is null: < takes a number or a text, such as a date"],
    [{ path: "$.items", is: "length>", value: true }, "value is true: length> takes a number"],
    [{ path: "/version", is: "matches", value: 1 }, "value is 1: matches takes a regular expression as a text"],
    [
      { path: "/version", is: "matches", value: "(" },
      expect.stringMatching(/^value is no regular expression: .*Unterminated group/),
    ],
  ])("%j are refused", (assertion, problem) => {
    const problems = problemsOf({ url, expect: { json: [assertion] } })
    expect(problems.map((text) => text.replace("expect.json[0].", ""))).toEqual([problem])
  })

  it("about headers need a name that one can have, and a value", () => {
    expect(problemsOf({ url, expect: { headers: [{ name: "x y" }, { name: "etag", is: "contains" }] } })).toEqual([
      'expect.headers[0].name is "x y": it takes the name of a header',
      "expect.headers[1].value is missing: contains needs something to compare with",
    ])
  })

  it("about a body are refused for HEAD, whose answer has none", () => {
    expect(problemsOf({ url, method: "HEAD", expect: { text: "ok" } })).toEqual([
      "method is HEAD, whose answer has no body to expect anything of: use GET",
    ])
  })

  it("may compare with null, false and 0", () => {
    const json = [null, false, 0, ""].map((value) => ({ path: "$.a", is: "=", value }))
    expect(problemsOf({ url, expect: { json } })).toEqual([])
  })
})

describe("maintenance windows", () => {
  const [from, to] = ["2026-03-01T02:00Z", "2026-03-01T04:00Z"]

  it.each([
    [{}, " is empty: it takes from and to, or cron and duration"],
    [
      { from, to, cron: "0 3 * * 0", duration: "1 hour" },
      " is both a single and a recurring window: it takes from and to, or cron and duration",
    ],
    [{ from }, ".to is missing: a single window takes from and to"],
    [{ to }, ".from is missing: a single window takes from and to"],
    [{ from: to, to: from }, ".to is not after from: a window needs a length"],
    [{ from, to: "2026-03-01T03:00+01:00" }, ".to is not after from: a window needs a length"],
    [{ cron: "0 3 * * 0" }, ".duration is missing: a recurring window takes cron and duration"],
    [{ duration: "1 hour" }, ".cron is missing: a recurring window takes cron and duration"],
    [{ cron: "0 3 * *", duration: "1 hour" }, '.cron is "0 3 * *": it takes five fields, such as "0 3 * * 0"'],
    [
      { cron: "0 25 * * 0", duration: "1 hour" },
      '.cron is "0 25 * * 0", which is no cron: it takes five fields, such as "0 3 * * 0"',
    ],
    [{ from, to, timezone: "UTC" }, ".timezone is not used by a single window: write the offset into from and to"],
  ])("%j are refused", (window, problem) => {
    expect(problemsOf({ url, maintenance: [window] })).toEqual([`maintenance[0]${problem}`])
  })

  it("may be single or recurring", () => {
    expect(
      problemsOf({
        url,
        maintenance: [
          { from, to },
          { cron: "0 3 * * 0", duration: "2 hours", timezone: "Europe/London" },
        ],
      }),
    ).toEqual([])
  })
})

describe("dependencies", () => {
  const depending = (services: Record<string, string[]>) =>
    crossCheck({
      services: Object.fromEntries(Object.entries(services).map(([name, dependsOn]) => [name, { url, dependsOn }])),
    })

  it("that lead back are named, each circle once", () => {
    expect(depending({ web: ["api"], api: ["db"], db: ["web"], other: ["api"] })).toEqual([
      "services.web.dependsOn leads back to itself (web -> api -> db -> web): remove one of them",
    ])
  })

  it("on itself are named", () => {
    expect(depending({ web: ["web"] })).toEqual(["services.web.dependsOn names the service itself: remove it"])
  })

  it("may meet again further down", () => {
    expect(depending({ web: ["api", "db"], api: ["db"], db: [] })).toEqual([])
  })

  it("of many services are looked at once each", () => {
    const layers = Object.fromEntries(
      Array.from({ length: 60 }, (_, layer) =>
        [0, 1].map((n) => [`s${layer}-${n}`, layer === 59 ? [] : [`s${layer + 1}-0`, `s${layer + 1}-1`]]),
      ).flat(),
    )
    expect(depending(layers)).toEqual([])
  })
})

it("takes nothing for granted of what is wrong in other ways", () => {
  for (const service of [
    null,
    1,
    "x",
    [],
    { url: 1, dependsOn: 7, headers: [], expect: "x", maintenance: {}, numbers: 3 },
  ]) {
    expect(() => crossCheck({ services: { api: service } })).not.toThrow()
  }
})

it("finds nothing in a configuration that uses everything", () => {
  const config = {
    app: { name: "Shop" },
    services: {
      api: {
        url,
        method: "POST",
        headers: { authorization: secret("API_AUTHORIZATION") },
        body: "{}",
        expect: { status: [200, 401], text: "ok", json: [{ path: "$.status", is: "matches", value: "^(ok|up)$" }] },
        numbers: { "memory.percent": { warn: 80, fail: 95 } },
        latency: { degradedMs: 500, failMs: 5000 },
        sleepy: { coldStartSeconds: 60 },
        keepWarm: { marker: "Shop", hours: "07:00-22:00" },
        dependsOn: ["db"],
        maintenance: [{ cron: "0 3 * * 0", duration: "1 hour" }],
        provider: "render",
      },
      db: { postgres: secret("DATABASE_URL"), queries: { read: "select 1" }, keepWarm: { sql: "select 1 from users" } },
    },
  }
  expect(Object.keys(parseConfig(config, "ops.config.ts").services)).toEqual(["api", "db"])
})
