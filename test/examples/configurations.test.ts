import { readFile } from "node:fs/promises"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import gymtext from "../../examples/gymtext/ops.config.ts"
import mealPlanner from "../../examples/meal-planner/ops.config.ts"
import mvp from "../../examples/mvp/ops.config.ts"
import preppilot from "../../examples/preppilot/ops.config.ts"
import yumzoom from "../../examples/yumzoom/ops.config.ts"
import healthJob from "../../jobs/health.ts"
import keepWarmJob from "../../jobs/keep-warm.ts"
import { careChecks } from "../../lib/dbcare/all-checks.ts"
import type { Job } from "../../lib/job/job.ts"
import { makeCheckout, moduleUrl } from "../support/checkout.ts"
import { createDatabase, type TestDatabase } from "../support/postgres.ts"
import { type RedisServer, withRedis } from "../support/redis-server.ts"
import { startWebServer, type WebAnswer, type WebServer } from "../support/web-server.ts"

const [health, keepWarm] = [healthJob as Job, keepWarmJob as Job]

const tables = `create table users (id int); insert into users values (1);
  create table restaurants (id int, cuisine text); insert into restaurants values (1, 'ramen');
  create table health_checks (checked_at timestamptz);
  create table scheduled_jobs (id int); insert into scheduled_jobs values (1);
  create table job_executions (id int, job_id int, status text, started_at timestamptz)`

type Example = {
  name: string
  answers: Record<string, WebAnswer>
  /** An answer of the app when something is wrong, and what is to be said then. */
  bad: { path: string; answer: WebAnswer; service: string; outcome: string; says: RegExp; component?: string }
}

const parts = { database: { status: "healthy" }, memory: { percent: 61 }, disk: { percent: 40 } }
const mvpBody = (status: string, apis: object[]) => ({
  ...{ status, timestamp: "2026-11-20T10:00:00Z", services: { ...parts, external_apis: apis } },
  ...{ version: "1.4.0", environment: "production" },
})
const detailed = (status: string, redis: string) => ({
  status,
  checks: {
    database: { status: "healthy", connections: { percent: 30 } },
    redis: { status: redis },
    memory: { status: "healthy", percent: 50 },
    cpu: { status: "healthy", percent: 20 },
  },
})
const wantsKey: WebAnswer = { status: 401, body: { error: { message: "no key" } } }

const examples: Example[] = [
  {
    name: "mvp",
    answers: {
      "/api/health": { body: mvpBody("healthy", [{ name: "stripe", status: "healthy" }]) },
      "/api/health/deep": { body: { status: "healthy", checks: { query: { status: "healthy", durationMs: 20 } } } },
    },
    bad: {
      ...{ path: "/api/health", service: "api", outcome: "warn", component: "external_apis.stripe" },
      answer: { body: mvpBody("degraded", [{ name: "stripe", status: "unhealthy", error: "card API: 500" }]) },
      says: /it says that external_apis\.stripe is failing \(card API: 500\)/,
    },
  },
  {
    name: "gymtext",
    answers: {
      "/api/health": { body: { status: "ok" } },
      "/api/readiness": { body: { status: "ok", checks: { database: "ok", redis: "ok" } } },
      "/2010-04-01/Accounts.json": wantsKey,
      "/v1/charges": wantsKey,
      "/v1/models": { body: { data: [] } },
    },
    bad: {
      ...{ path: "/api/readiness", service: "ready", outcome: "fail", component: "redis" },
      answer: { status: 503, body: { status: "error", checks: { database: "ok", redis: "error" } } },
      says: /answered 503: expected 2xx, and it says that redis is failing/,
    },
  },
  {
    name: "yumzoom",
    answers: {
      "/": { body: "<h1>YumZoom</h1>" },
      "/api/health/detailed": { body: detailed("healthy", "healthy") },
      "/api/search": { body: { results: [{ id: 1 }] } },
      "/v1/nearby": wantsKey,
    },
    bad: {
      ...{ path: "/api/health/detailed", service: "health", outcome: "warn", component: "redis" },
      answer: { status: 202, body: detailed("degraded", "degraded") },
      says: /answered 202, but it says that redis is degraded/,
    },
  },
  {
    name: "meal-planner",
    answers: {
      "/health": { body: { status: "ok", queue: { depth: 2 }, pool: { percent: 40 } } },
      "/-/healthy": { body: "Prometheus Server is Healthy.\n" },
    },
    bad: {
      ...{ path: "/health", service: "api", outcome: "fail" },
      answer: { body: { status: "ok", queue: { depth: 12 }, pool: { percent: 97 } } },
      says: /queue\.depth is 12, limit 10; pool\.percent is 97, limit 90/,
    },
  },
]

let web: WebServer
let database: TestDatabase
let redis: RedisServer
let stopRedis: () => void
let stopped: Promise<unknown>

beforeAll(async () => {
  web = await startWebServer()
  web.setRoute("/generate_204", { status: 204 })
  database = await createDatabase(tables)
  const { promise, resolve } = Promise.withResolvers<void>()
  stopRedis = resolve
  await new Promise<void>((ready, fail) => {
    stopped = withRedis([], async (running) => {
      redis = running
      ready()
      await promise
    }).catch(fail)
  })
})
afterAll(async () => {
  stopRedis()
  await Promise.all([stopped, web.close(), database.drop()])
})

/** A checkout with the example, whose every host is this machine. */
async function checkoutOf({ name, answers }: Example) {
  const text = await readFile(`examples/${name}/ops.config.ts`, "utf8")
  const local = text
    .replace("../../lib/config/define.ts", moduleUrl("lib/config/define.ts"))
    .replaceAll(/https:\/\/[^/"]+/g, web.url)
    .replaceAll(/tcp: "[^"]+"/g, `tcp: "127.0.0.1:${web.port}"`)
  for (const [path, answer] of Object.entries(answers)) web.setRoute(path, answer)
  const checkout = await makeCheckout()
  await checkout.write(
    "ops.config.ts",
    local.replace("services: {", `canaries: ["${web.url}/generate_204"],\n  services: {`),
  )
  return checkout
}

const run = { now: "2026-11-20T12:00:00Z" }
const env = () => ({ DATABASE_URL: database.url, REDIS_URL: redis.url, OPENAI_AUTHORIZATION: "Bearer of-a-test" })

describe.each(examples)("the example $name", (example) => {
  it("loads, and finds all well where all is well", async () => {
    await using checkout = await checkoutOf(example)
    const round = await checkout.run(health, { ...run, env: env(), argv: ["--dry-run", "--no-confirm"] })
    expect(round.exitCode, round.stdout).toBe(0)
    expect(round.run.findings.filter(({ outcome }) => outcome !== "ok")).toEqual([])
    const warm = await checkout.run(keepWarm, { ...run, env: env(), argv: ["--dry-run"] })
    expect(warm.exitCode, warm.stdout).toBe(0)
  })

  it("names what is wrong in the app's own words", async () => {
    await using checkout = await checkoutOf(example)
    const { path, answer, service, outcome, says, component } = example.bad
    web.setRoute(path, answer)
    const argv = ["--dry-run", "--no-confirm", "--service", service]
    const { run: seen } = await checkout.run(health, { ...run, env: env(), argv })
    expect(seen.findings).toMatchObject([
      {
        subject: `service/${service}`,
        outcome,
        detail: expect.stringMatching(says),
        facts: component ? { component } : {},
      },
    ])
  })

  it("maps what the team needs to settings that are there", async () => {
    const readme = await readFile(`examples/${example.name}/README.md`, "utf8")
    const config = await readFile(`examples/${example.name}/ops.config.ts`, "utf8")
    const settings = [...readme.matchAll(/^\|[^|]*\| `([\w.-]+)`/gm)].map((match) => match[1] ?? "")
    expect(settings.length).toBeGreaterThan(5)
    for (const setting of settings) {
      for (const key of setting.split(".")) expect(config, setting).toMatch(new RegExp(`\\b${key}\\b`))
    }
  })
})

const cared: [string, typeof mvp][] = Object.entries({ mvp, gymtext, yumzoom, "meal-planner": mealPlanner, preppilot })

/** Settings below `databases.main`, what they name, and the job that acts on them. */
function dataSettings({ databases }: typeof mvp) {
  const { decay = [], cleanup = [], care = {} } = databases?.main ?? {}
  const within = (section: object = {}) => Object.keys(section)
  return [
    ...decay.map(({ name }) => ({ setting: "decay", name, job: "decay" })),
    ...cleanup.map(({ name }) => ({ setting: "cleanup", name, job: "cleanup" })),
    ...(care.plan ? [{ setting: "care.plan", name: undefined, job: "database" }] : []),
    ...within(care.limits).map((limit) => ({ setting: `care.limits.${limit}`, name: undefined, job: "database" })),
    ...within(care.checks).map((check) => ({ setting: `care.checks.${check}`, name: undefined, job: "database" })),
    ...(care.actions ?? []).map((name) => ({ setting: "care.actions", name, job: "maintenance" })),
    ...(care.ignore ?? []).map(({ check }) => ({ setting: "care.ignore", name: check, job: "database" })),
  ]
}

describe.each(cared)("the README of %s", (example, config) => {
  const read = async () => {
    const text = await readFile(`examples/${example}/README.md`, "utf8")
    const cells = text.split("\n").map((line) => line.split("|").map((cell) => cell.trim()))
    return cells.flatMap(([start, need, setting, today]) =>
      start === "" && need && setting && today ? [{ need, setting, today, named: quotedIn(setting) }] : [],
    )
  }
  const wanted = dataSettings(config)

  it("has a row for each rule and each setting of the care of data, with the job that acts on it", async () => {
    const rows = await read()
    expect(wanted.length).toBeGreaterThan(2)
    for (const { setting, name, job } of wanted) {
      const row = rows.find(
        ({ named }) => named.includes(`databases.main.${setting}`) && (!name || named.includes(name)),
      )
      expect(row?.today, `${setting} ${name}`).toMatch(new RegExp(`^yes: .*job \`${job}\``))
    }
    const known = wanted.map(({ name }) => name)
    for (const { named } of rows.filter(({ setting }) => isOfData(setting)))
      for (const name of named.filter((one) => !one.startsWith("databases."))) expect(known).toContain(name)
  })

  it("calls nothing missing that a job does", async () => {
    const missing = (await read()).filter(({ today }) => /\byet\b/.test(today))
    expect(missing.length).toBeGreaterThan(0)
    expect(missing.filter(({ setting }) => isOfData(setting))).toEqual([])
    const done = [
      ...careChecks.map(({ name }) => name.replaceAll("-", " ").replace(/ies$|s$/, "")),
      ...["retention", "orphan", "duplicate", "stuck", "reindex", "anonymis", "fade", "decay", "free plan"],
    ]
    for (const { need } of missing.filter((row) => row.setting === "none"))
      for (const words of done) expect(need.toLowerCase()).not.toContain(words)
  })
})

function quotedIn(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? "")
}

function isOfData(setting: string): boolean {
  return /databases\.main\.(?:decay|cleanup|care|archive)\b/.test(setting)
}
