import { afterEach, beforeEach, describe, expect, it } from "vitest"
import health from "../../jobs/health.ts"
import { directoryMemory } from "../../lib/incident/directory-memory.ts"
import type { Job } from "../../lib/job/job.ts"
import { gateProblems, isSameVersion } from "../../lib/service/gate.ts"
import { type Checkout, directoryUrl, makeCheckout, type RunOptions } from "../support/checkout.ts"
import { keptLog, servicesOf } from "../support/services.ts"
import { startWebServer, type WebServer } from "../support/web-server.ts"

const [old, fresh] = ["01d5ea1c0ffee00112233445566778899aabbcc0", "f2e5b0ad0ffee00112233445566778899aabbcc0"]

let web: WebServer
beforeEach(async () => {
  web = await startWebServer()
  web.setRoute("/ok", { body: "fine" })
  deployed(old)
})
afterEach(() => web.close())

function deployed(version: string, status = "healthy"): void {
  web.setRoute("/health", { status: status === "healthy" ? 200 : 503, body: { status, version } })
}

function shop(): Promise<Checkout> {
  const services = `api: { url: "${web.url}/health" }, web: { url: "${web.url}/ok" }`
  return makeCheckout(`app: { name: "Shop" }, canaries: ["${web.url}/ok"], services: { ${services} }`)
}

async function openIncidents({ dir }: Checkout): Promise<string[]> {
  const memory = directoryMemory(directoryUrl(`${dir}/.ops/incidents`), keptLog())
  const stored = await memory.list(new Date("2026-03-01T00:00:00Z"))
  return stored.flatMap(({ incident }) => (incident.state === "closed" ? [] : incident.subject))
}

function gate(checkout: Checkout, argv: string[], options: RunOptions = {}) {
  return checkout.run(health as Job, { now: "2026-03-01T03:07:00Z", ...options, argv })
}

describe("a deploy gate", () => {
  it("that failed once is told as recovered by the next deploy that is live", async () => {
    await using checkout = await shop()
    await gate(checkout, ["--expect-version", fresh])
    expect(await openIncidents(checkout)).toEqual(["deploy/production"])
    deployed(fresh)
    const { exitCode } = await gate(checkout, ["--expect-version", fresh], { now: "2026-03-01T03:20:00Z" })
    expect([exitCode, await openIncidents(checkout)]).toEqual([0, []])
  })

  it("is red when the old version still answers, and names the last good one", async () => {
    await using checkout = await shop()
    await gate(checkout, [])
    const { run, exitCode } = await gate(checkout, ["--expect-version", fresh], { now: "2026-03-01T04:00:00Z" })
    expect(exitCode).toBe(1)
    expect(run.findings).toMatchObject([
      { subject: "deploy/production", outcome: "fail", isConfirmed: true, runbook: "health" },
      { subject: "service/api", outcome: "ok" },
      { subject: "service/web", outcome: "ok" },
    ])
    expect(run.summary).toMatch(
      new RegExp(`^the deploy of ${fresh} is not live after .*: api tells the version ${old}; `),
    )
    expect(run.summary).toMatch(new RegExp(`last good version: api ${old} \\(2026-03-01T03:07:00.000Z\\)$`))
  })

  it("is red and wakes nobody when this side's own network is broken: nothing is known of the deploy", async () => {
    const services = `api: { url: "http://127.0.0.1:1/health" }`
    await using blind = await makeCheckout(
      `app: { name: "Shop" }, canaries: ["http://127.0.0.1:1/"], services: { ${services} }`,
    )
    const { run, exitCode } = await gate(blind, ["--wait", "1s"])
    expect(exitCode).toBe(1)
    expect(run.findings).toMatchObject([
      { subject: "deploy/production", outcome: "unknown", detail: expect.stringContaining("network of this runner") },
      { subject: "service/api", outcome: "unknown" },
    ])
    expect(await openIncidents(blind)).toEqual([])
  })

  it("is red when what was deployed does not work, though it tells the right version", async () => {
    await using checkout = await shop()
    await gate(checkout, [])
    deployed(fresh, "unhealthy")
    const { run, exitCode } = await gate(checkout, ["--expect-version", fresh, "--wait", "1s"], {
      now: "2026-03-01T04:00:00Z",
    })
    expect(exitCode).toBe(1)
    expect(run.summary).toMatch(/api is fail: .*; last good version: api 01d/)
  })

  it("is red when nothing tells a version, or nothing was good before", async () => {
    await using checkout = await shop()
    const { run, exitCode } = await gate(checkout, ["--service", "web", "--expect-version", fresh])
    expect([exitCode, run.summary]).toEqual([
      1,
      expect.stringMatching(/no service tells its version.*no earlier good version/),
    ])
  })

  it("waits until the new version is live, and is green then", async () => {
    await using checkout = await shop()
    setTimeout(() => deployed(fresh), 1500)
    const { run, exitCode } = await gate(checkout, ["--wait", "30s", "--expect-version", fresh.slice(0, 7)])
    expect(exitCode, run.summary).toBe(0)
    expect(run.summary).toMatch(/^the deploy of f2e5b0a is live after /)
    expect(run.findings).toMatchObject([
      { subject: "deploy/production", outcome: "ok" },
      { outcome: "ok" },
      { outcome: "ok" },
    ])
  })

  it("takes what a workflow passes by the environment", async () => {
    await using checkout = await shop()
    const env = { OPS_SERVICE: "api web", OPS_WAIT: "1s", OPS_EXPECT_VERSION: old, OPS_NO_CONFIRM: "" }
    expect(await gate(checkout, [], { env })).toMatchObject({ exitCode: 0 })
    const { run, exitCode } = await gate(checkout, [], { env: { ...env, OPS_EXPECT_VERSION: fresh, OPS_SERVICE: "" } })
    expect([exitCode, run.options]).toEqual([1, ["wait=1s", `expectVersion=${fresh}`]])
    expect((await gate(checkout, [], { env: { OPS_NO_CONFIRM: "perhaps" } })).run.summary).toContain(
      'OPS_NO_CONFIRM is "perhaps"',
    )
  })
})

describe("what is in the way of a deploy", () => {
  const [service] = servicesOf({ api: { url: "http://127.0.0.1:1" } })
  const looks = (outcome: "ok" | "warn" | "fail" | "unknown", failureClass?: "slow" | "certificate") => {
    if (!service) throw new Error("no service")
    const failure = failureClass && { class: failureClass }
    return [
      {
        service,
        at: new Date(0),
        tries: 1,
        isConfirmed: false,
        result: { outcome, detail: "so", failure, timings: { totalMs: 1 } },
      },
    ]
  }

  it("is what fails and what nobody knows; what is degraded only as long as there is time", () => {
    expect(gateProblems(looks("fail"), undefined, true)).toEqual(["api is fail: so"])
    expect(gateProblems(looks("unknown"), undefined, true)).toEqual(["api is unknown: so"])
    expect(gateProblems(looks("warn", "slow"), undefined, false)).toEqual(["api is warn: so"])
    expect(gateProblems(looks("warn", "slow"), undefined, true)).toEqual([])
    expect(gateProblems(looks("warn", "certificate"), undefined, false)).toEqual([])
    expect(gateProblems(looks("ok"), undefined, false)).toEqual([])
  })

  it("is not a commit that is written short, with 7 characters or more", () => {
    expect(isSameVersion(old, old.slice(0, 7))).toBe(true)
    expect(isSameVersion(` ${old.slice(0, 12).toUpperCase()}`, old)).toBe(true)
    expect(isSameVersion(old, old.slice(0, 6))).toBe(false)
    expect(isSameVersion("1.2.3", "1.2.3")).toBe(true)
    expect(isSameVersion("1.2.3", "1.2.30")).toBe(false)
    expect(isSameVersion("", old)).toBe(false)
  })

  it("is no other version that only begins alike", () => {
    expect(isSameVersion("2026.11.1", "2026.11.10")).toBe(false)
    expect(isSameVersion("1.10.0-rc.1", "1.10.0-rc.12")).toBe(false)
    expect(isSameVersion("20261101", "202611012")).toBe(false)
    expect(isSameVersion("v1.2.3", "1.2.3")).toBe(true)
  })
})
