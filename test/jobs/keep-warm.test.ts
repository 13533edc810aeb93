import { describe, expect, it } from "vitest"
import job from "../../jobs/keep-warm.ts"
import { liveEnvironment } from "../../lib/config/environment.ts"
import { opsConfigSchema } from "../../lib/config/schema.ts"
import type { Job } from "../../lib/job/job.ts"
import { directoryLedger } from "../../lib/ledger/directory.ts"
import { readObservations } from "../../lib/ledger/observations.ts"
import { keepWarm as pingAll } from "../../lib/service/keep-warm.ts"
import { readWarmTargets } from "../../lib/service/warmth.ts"
import { type Checkout, directoryUrl, makeCheckout } from "../support/checkout.ts"
import { withDatabase } from "../support/postgres.ts"
import { keptLog } from "../support/services.ts"
import { startWebServer } from "../support/web-server.ts"

const keepWarm = job as Job
const first = "2026-03-10T12:07:00Z"

describe("keep-warm, when what it pings is not there", () => {
  it("tells it of itself, calls nothing down, records it and stays green", async () => {
    const server = await startWebServer()
    await server.close()
    await using checkout = await shopWith(`services: { api: { url: "${server.url}/", keepWarm: {} } }`)
    const { run, exitCode } = await checkout.run(keepWarm, { now: first })
    expect(exitCode).toBe(0)
    expect(run.findings).toMatchObject([
      { subject: "service/api/ping", outcome: "unknown", class: "refused", runbook: "keep-warm", severity: "P3" },
      { subject: "service/api/warmth", outcome: "unknown" },
    ])
    expect(await rows(checkout)).toMatchObject([
      { service: "api", by: "keep-warm", outcome: "unknown", class: "refused" },
    ])
  })

  it("names a paused database and a host's page with the remedy, as a warning", async () => {
    await using server = await startWebServer()
    server.setRoute("/rest", { status: 540, body: "paused" })
    server.setRoute("/app", { status: 404, headers: { "x-vercel-error": "DEPLOYMENT_NOT_FOUND" } })
    await using checkout = await shopWith(`services: {
      rest: { url: "${server.url}/rest", keepWarm: {} }, app: { url: "${server.url}/app", keepWarm: {} } }`)
    const { run, exitCode, stdout } = await checkout.run(keepWarm, { now: first })
    expect([exitCode, run.outcome]).toEqual([0, "warn"])
    expect(stdout).toContain("the project is paused (540): restore it in the dashboard")
    expect(run.findings.filter(({ subject }) => subject.endsWith("/ping"))).toMatchObject([
      { outcome: "warn", class: "paused" },
      { outcome: "warn", class: "status" },
    ])
  })

  it("ends when its time is over, says what it did not ping, and leaves the rest of the job its time", async () => {
    await using server = await startWebServer()
    server.setRoute("/", () => undefined)
    const ops = opsConfigSchema.parse({
      app: { name: "Shop" },
      services: Object.fromEntries(
        Array.from({ length: 21 }, (_, at) => [
          `s${at}`,
          { url: `${server.url}/`, timeout: "0.1s", sleepy: { coldStartSeconds: 600 }, keepWarm: {} },
        ]),
      ),
    })
    const env = liveEnvironment({}, { root: "/", inActions: false, redactor: { add() {} } })
    const targets = readWarmTargets(ops, env).flatMap((target) => ("value" in target ? target.value : []))
    const { signal } = new AbortController()
    const around = { now: new Date(first), signal, dryRun: false, log: keptLog(), roundMs: 300 }
    const kept = await pingAll(targets, [], around)
    expect(kept[0]?.findings[0]).toMatchObject({ outcome: "unknown", class: "timeout" })
    expect(kept[20]?.findings[0]).toMatchObject({ detail: expect.stringMatching(/^not pinged: the time of the run/) })
    expect(kept[20]).not.toHaveProperty("observation")
  })

  it("pings also when the ledger cannot be read, and says that it kept to no budget", async () => {
    await using server = await startWebServer()
    server.setRoute("/", { body: "ok" })
    await using checkout = await shopWith(`services: { api: { url: "${server.url}/", keepWarm: {} } }`)
    await checkout.write(".ops/ledger/observations", "a file where a folder is expected")
    const { run, stderr } = await checkout.run(keepWarm, { now: first })
    expect(server.requests()).toEqual(["GET /"])
    expect(stderr).toContain("earlier pings are not known, so that no budget and no interval is kept to")
    expect(run.findings).toMatchObject([
      { outcome: "ok" },
      { outcome: "unknown", detail: expect.stringContaining("could not be read") },
    ])
  })
})

describe("keep-warm, twice in a row", () => {
  it("pings once, and says why not again; later it tells the gap", async () => {
    await using server = await startWebServer()
    server.setRoute("/", { body: "PrepPilot" })
    await using checkout = await shopWith(
      `services: { api: { url: "${server.url}/", expect: { text: "PrepPilot" }, keepWarm: { budgetHours: 750 } } }`,
    )
    await checkout.run(keepWarm, { now: first })
    const again = await checkout.run(keepWarm, { now: "2026-03-10T12:09:00Z" })
    expect(server.requests()).toHaveLength(1)
    expect(again.run.summary).toBe("api: not pinged (pinged 2 min ago, wanted every 10 min)")
    expect(again.run.findings[0]).toMatchObject({ subject: "service/api/ping", outcome: "ok" })
    const later = await checkout.run(keepWarm, { now: "2026-03-10T13:13:00Z" })
    expect(later.run.findings[0]).toMatchObject({ outcome: "ok", facts: { gapMinutes: 66, budgetHoursLeft: 749 } })
    expect(later.run.findings[0]?.detail).toMatch(
      /answered in \d+ ms; 1 h 6 min since the last ping; budget 749\.8 of 750 h left/,
    )
    expect(await rows(checkout)).toMatchObject([{ outcome: "ok" }, { outcome: "ok", numbers: { gapMinutes: 66 } }])
  })

  it("does not say that a failed ping recovered while it does not ping", async () => {
    await using server = await startWebServer()
    server.setRoute("/", { status: 540 })
    await using checkout = await shopWith(
      `services: { api: { url: "${server.url}/", keepWarm: { hours: "07:00-22:00" } } }`,
    )
    await checkout.run(keepWarm, { now: "2026-03-10T21:37:00Z" })
    const night = await checkout.run(keepWarm, { now: "2026-03-10T22:07:00Z" })
    expect(night.run.findings[0]).toMatchObject({ subject: "service/api/ping", outcome: "unknown" })
    expect(night.run.findings[0]?.detail).toMatch(
      /^not pinged: outside of the active hours .*; the last ping did not count$/,
    )
  })
})

describe("keep-warm", () => {
  it("measures what it delivered: a day on a clock that comes every 65 minutes", async () => {
    await using server = await startWebServer()
    server.setRoute("/", { body: "ok" })
    await using checkout = await shopWith(`services: { api: { url: "${server.url}/", keepWarm: { coldMs: 1 } } }`)
    server.setRoute("/", { body: "ok", delayMs: 5 })
    let last = await checkout.run(keepWarm, { now: "2026-03-10T00:00:00Z" })
    for (let minutes = 65; minutes <= 24 * 60; minutes += 65) {
      last = await checkout.run(keepWarm, {
        now: new Date(Date.parse("2026-03-10T00:00:00Z") + minutes * 60_000).toISOString(),
      })
    }
    const warmth = last.run.findings[1]
    expect(warmth).toMatchObject({
      subject: "service/api/warmth",
      outcome: "warn",
      facts: { longestGapMinutes: 65, coldStarts: 22 },
    })
    expect(warmth?.detail).toMatch(
      /^warm 23 % of 23\.8 active hours, longest gap 1 h 5 min, 22 cold starts; 22 of 143 wanted pings were made \(coverage 15 %\)/,
    )
    expect(warmth?.detail).toContain("docs/keep-warm.md")
  })

  it("asks a real table of a database, at most as often as wanted", async () => {
    await withDatabase("create table users (id int); insert into users values (1)", async ({ url }) => {
      await using checkout = await shopWith(`services: {
        db: { postgres: secret("DATABASE_URL"), keepWarm: { sql: "select id from users limit 1", every: "6 hours" } } }`)
      const at = (now: string) => checkout.run(keepWarm, { now, env: { DATABASE_URL: url } })
      expect((await at(first)).run.findings[0]).toMatchObject({ subject: "service/db/ping", outcome: "ok" })
      expect((await at("2026-03-10T13:07:00Z")).run.summary).toMatch(
        /^db: not pinged \(pinged 1 h ago, wanted every 6 h\)/,
      )
      const later = await at("2026-03-10T18:07:00Z")
      expect(later.run.findings[1]?.detail).toMatch(/^warm 100 % of 6\.0 active hours/)
    })
  })

  it("changes and asks nothing in a dry run, and says what it would do", async () => {
    await using server = await startWebServer()
    await using checkout = await shopWith(`services: { api: { url: "${server.url}/", keepWarm: {} } }`)
    const { run } = await checkout.run(keepWarm, { now: first, argv: ["--dry-run"] })
    expect(run.summary).toBe("api: would be pinged")
    expect(server.requests()).toEqual([])
    expect(await rows(checkout)).toEqual([])
  })

  it("pings the chosen service alone", async () => {
    await using server = await startWebServer()
    await using checkout = await shopWith(`services: {
      api: { url: "${server.url}/api", keepWarm: {} }, web: { url: "${server.url}/web", keepWarm: {} }, old: { url: "${server.url}/old" } }`)
    await checkout.run(keepWarm, { now: first, argv: ["--service", "web"] })
    expect(server.requests()).toEqual(["GET /web"])
    const wrong = await checkout.run(keepWarm, { now: first, argv: ["--service", "old"] })
    expect(wrong.exitCode).toBe(2)
    expect(wrong.stdout).toContain("--service old: no service of that name")
  })

  it("has nothing to do where no service has keepWarm, and refuses what cannot work", async () => {
    await using idle = await shopWith(`services: { api: { url: "https://api.example.com/" } }`)
    expect((await idle.run(keepWarm, { now: first })).run.summary).toBe("no service has keepWarm: nothing to do")
    await using wrong = await shopWith(`services: {
      db: { postgres: secret("DATABASE_URL"), keepWarm: {} }, one: { postgres: secret("DATABASE_URL"), keepWarm: { sql: "select 1" } } }`)
    const { exitCode, stdout } = await wrong.run(keepWarm, { now: first })
    expect(exitCode).toBe(2)
    expect(stdout).toContain("services.db.keepWarm.sql is missing: it takes a query on a real table")
    expect(stdout).toContain("services.one.keepWarm.sql reads no table")
  })
})

describe("keep-warm --print", () => {
  const config = `services: {
    api: { url: "https://api.example.com/health", headers: { "x-key": secret("API_KEY") }, keepWarm: { hours: "07:00-22:00" } },
    db: { postgres: secret("DATABASE_URL"), keepWarm: { sql: "select id from users limit 1" } } }`

  it.each([
    ["pg_cron", /^-- Pings from inside Postgres.*\ncommit;\n$/s],
    ["pg_cron-dispatch", /^-- Starts pulse\.yml of acme\/shop.*\ncommit;\n$/s],
    ["vercel", /^\{\n {2}"crons": \[.*\}\n$/s],
    ["curl", /^# api: every 10 min, .*\ncurl --fail .* 'https:\/\/api\.example\.com\/health' --output \/dev\/null\n$/],
  ])("gives %s alone on stdout, needs no secret, and pings nothing", async (kind, text) => {
    await using checkout = await shopWith(config)
    const { exitCode, stdout, stderr, run } = await checkout.run(keepWarm, {
      now: first,
      argv: ["--print", kind, "--repository", "acme/shop"],
    })
    expect([exitCode, run.findings]).toEqual([0, []])
    expect(stdout).toMatch(text)
    expect(stderr).toContain("printed what a scheduler elsewhere needs; nothing was pinged")
    expect(await rows(checkout)).toEqual([])
  })

  it("says what is missing", async () => {
    await using checkout = await shopWith(config)
    const print = async (...argv: string[]) => {
      const { exitCode, stdout } = await checkout.run(keepWarm, { now: first, argv: ["--print", ...argv] })
      return [exitCode, stdout]
    }
    expect(await print("pg_cron-dispatch")).toEqual([2, expect.stringContaining("--repository is missing")])
    expect(await print("cron")).toEqual([
      2,
      expect.stringContaining("--print: it takes pg_cron, pg_cron-dispatch, vercel, curl"),
    ])
    expect(await print("curl", "--service", "db")).toEqual([
      2,
      expect.stringContaining("no service with an address has keepWarm"),
    ])
    await using empty = await shopWith("services: {}")
    expect((await empty.run(keepWarm, { argv: ["--print", "curl"] })).exitCode).toBe(2)
  })
})

function shopWith(settings: string): Promise<Checkout> {
  return makeCheckout(`app: { name: "Shop" }, ${settings}`)
}

async function rows({ dir }: Checkout) {
  const ledger = directoryLedger(directoryUrl(`${dir}/.ops/ledger`))
  return readObservations(ledger, new Date("2026-03-01T00:00Z"), new Date("2026-04-01T00:00Z"))
}
