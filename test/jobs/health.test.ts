import { readFile } from "node:fs/promises"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import job from "../../jobs/health.ts"
import type { Job } from "../../lib/job/job.ts"
import { failureClasses } from "../../lib/service/check.ts"
import { type Checkout, makeCheckout, type RunOptions } from "../support/checkout.ts"
import { databaseUrl } from "../support/postgres.ts"
import { startWebServer, type WebServer } from "../support/web-server.ts"

let web: WebServer
beforeEach(async () => {
  web = await startWebServer()
  web.setRoute("/ok", { body: "fine" })
  web.setRoute("/down", { status: 500, body: "no" })
})
afterEach(() => web.close())

const at = "2026-03-01T03:07:00Z"

/** A checkout whose configuration has these services and one canary that answers. */
function watching(services: string): Promise<Checkout> {
  return makeCheckout(`app: { name: "Shop" }, canaries: ["${web.url}/ok"], services: { ${services} }`)
}

function health(checkout: Checkout, argv: string[], options: RunOptions = {}) {
  return checkout.run(job as Job, { now: at, ...options, argv })
}

describe("health, when a service is down", () => {
  it("stays green, since that is about others, and has one finding for each service", async () => {
    await using checkout = await watching(`api: { url: "${web.url}/down", dependsOn: ["db"] },
      db: { tcp: "127.0.0.1:1", severity: "P0" }, web: { url: "${web.url}/ok" }`)
    const { run, exitCode, stdout } = await health(checkout, ["--no-confirm"])
    expect(exitCode, stdout).toBe(0)
    expect(run.findings).toMatchObject([
      { subject: "service/api", outcome: "fail", class: "status", cause: "service/db", runbook: "service-status" },
      { subject: "service/db", outcome: "fail", class: "refused", severity: "P0" },
      { subject: "service/web", outcome: "ok" },
    ])
    expect(run.summary).toBe("3 services: 1 as it should be, 2 down (api, db)")
    expect(stdout).toMatch(/^fail {5}service\/api {2}.*\nfail {5}service\/db {3}.*\nok {7}service\/web {2}/)
  })

  it("tells how long each part took, and the numbers of the answer", async () => {
    web.setRoute("/numbers", { body: { status: "ok", memory: { percent: 41 } } })
    await using checkout = await watching(`api: { url: "${web.url}/numbers" }`)
    const { run } = await health(checkout, [])
    const number = expect.any(Number)
    expect(run.findings[0]?.facts).toMatchObject({
      connectMs: number,
      firstByteMs: number,
      totalMs: number,
      "memory.percent": 41,
    })
  })

  it("warns of an objective that its interval cannot measure, and burns no budget of it", async () => {
    await using checkout = await watching(`api: { url: "${web.url}/ok", objective: { availability: 0.9999, days: 1 } }`)
    const { run, stderr } = await health(checkout, [])
    expect(stderr).toMatch(/services\.api\.objective cannot be measured at an interval of 30 min: look every 1 min/)
    expect(run.findings.map(({ subject }) => subject)).toEqual(["service/api"])
  })

  it("does all the same in a dry run, and records nothing", async () => {
    await using checkout = await watching(`api: { url: "${web.url}/down" }`)
    const { run } = await health(checkout, ["--no-confirm", "--dry-run"])
    expect(run.findings).toMatchObject([{ subject: "service/api", outcome: "fail" }])
    await expect(checkout.read(".ops/ledger/observations/2026/03/01.jsonl")).rejects.toThrow("ENOENT")
  })

  it("records one observation for each service and run", async () => {
    await using checkout = await watching(`api: { url: "${web.url}/down" }, web: { url: "${web.url}/ok" }`)
    await health(checkout, ["--no-confirm"])
    await health(checkout, ["--no-confirm"], { now: "2026-03-01T03:37:00Z" })
    const rows = (await checkout.read(".ops/ledger/observations/2026/03/01.jsonl")).match(/^\[/gm)
    expect(rows).toHaveLength(4)
  })
})

describe("health, when a secret is missing", () => {
  const two = () => `db: { postgres: secret("DATABASE_URL") }, web: { url: "${web.url}/ok" }`

  it("by hand looks at the others, and names the variable", async () => {
    await using checkout = await watching(two())
    const { run, exitCode } = await health(checkout, [])
    expect(exitCode).toBe(0)
    expect(run.findings).toEqual([
      expect.objectContaining({ subject: "service/web", outcome: "ok" }),
      {
        subject: "service/db",
        outcome: "unknown",
        detail: expect.stringMatching(/^not looked at: DATABASE_URL is missing: export it/),
      },
    ])
  })

  it("by hand of a service that is not asked for needs none", async () => {
    await using checkout = await watching(two())
    const { run, exitCode } = await health(checkout, ["--service", "web"])
    expect([exitCode, run.findings.length]).toEqual([0, 1])
    const both = await health(checkout, ["--service", "web", "--service", "db"], {
      env: { DATABASE_URL: databaseUrl("postgres") },
    })
    expect(both.run.findings).toMatchObject([
      { subject: "service/db", outcome: "ok" },
      { subject: "service/web", outcome: "ok" },
    ])
  })

  it("in Actions is an error of the workflow, and in a gate one of whoever asks", async () => {
    await using checkout = await watching(two())
    const env = { GITHUB_ACTIONS: "true", GITHUB_EVENT_NAME: "workflow_dispatch", GITHUB_REPOSITORY: "octocat/night" }
    const inActions = await health(checkout, [], { env })
    expect(inActions.exitCode).toBe(2)
    expect(inActions.run.summary).toContain("DATABASE_URL is missing: add the secret")
    const gate = await health(checkout, ["--wait", "1s"])
    expect([gate.exitCode, gate.run.summary]).toEqual([2, expect.stringContaining("DATABASE_URL is missing")])
  })

  it("says what is wrong with what was typed", async () => {
    await using checkout = await watching(two())
    expect((await health(checkout, ["--service", "wbe"])).run.summary).toContain(
      "--service wbe: no service of that name",
    )
    expect((await health(checkout, ["--wait", "soon"])).exitCode).toBe(2)
    await using empty = await makeCheckout()
    expect(await health(empty, [])).toMatchObject({ exitCode: 2 })
  })
})

describe("health, when a service quotes what it was sent", () => {
  it("repeats no part of a secret anywhere, though its words are cut in the middle of it", async () => {
    const token = "tk-0123456789abcdefghijklmnopqrstuvwxyz-0123456789abcdefghijklmnopqrstuvwxyz-9"
    const words = `the quite long beginning of an error that says which key was not known to us: ${token}`
    web.setRoute("/quotes", { status: 503, body: { status: "fail", message: words } })
    web.setRoute("/found", { body: { status: "ok", key: words } })
    await using checkout =
      await watching(`api: { url: "${web.url}/quotes", headers: { authorization: secret("API_AUTH") } },
      app: { url: "${web.url}/found", headers: { "x-key": secret("API_KEY") },
        expect: { json: [{ path: "$.key", is: "=", value: "none" }] } }`)
    const env = { API_AUTH: `Bearer ${token}`, API_KEY: token }
    const { run, stdout, stderr } = await health(checkout, ["--no-confirm"], { env })
    expect(run.findings).toMatchObject([{ outcome: "fail" }, { outcome: "fail" }])
    const written = await checkout.read(".ops/ledger/runs/2026/03/01.jsonl")
    for (const text of [JSON.stringify(run), stdout, stderr, written]) expect(text).not.toContain("tk-0123")
  })
})

describe("health with an interval", () => {
  it("leaves out what was looked at lately, unless it is asked for by name", async () => {
    await using checkout = await watching(
      `web: { url: "${web.url}/ok", interval: "1 hour" }, api: { url: "${web.url}/ok" }`,
    )
    const later = { now: "2026-03-01T03:37:00Z" }
    expect((await health(checkout, [])).run.findings).toHaveLength(2)
    const second = await health(checkout, [], later)
    expect(second.run.findings.map(({ subject }) => subject)).toEqual(["service/api"])
    expect(second.run.summary).toBe("1 service: 1 as it should be, 1 not due yet")
    expect((await health(checkout, ["--service", "web"], later)).run.findings).toHaveLength(1)
    expect((await health(checkout, [], { now: "2026-03-01T04:33:00Z" })).run.findings).toHaveLength(2)
  })
})

it.each([...failureClasses, "provider"])(
  "a service that fails by %s has a runbook, with what to do first",
  async (name) => {
    const page = await readFile(`docs/runbooks/service-${name}.md`, "utf8")
    expect(page).toMatch(/^# Runbook: service /)
    expect(page).toMatch(/^## First action$/m)
    expect(page).toMatch(/^ {4}npm run job -- health/m)
    expect(page).toContain("[health](health.md)")
  },
)
