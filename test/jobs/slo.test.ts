import { expect, it } from "vitest"
import slo from "../../jobs/slo.ts"
import type { Observation } from "../../lib/core/observation.ts"
import type { Job } from "../../lib/job/job.ts"
import { observationRecords } from "../../lib/ledger/observations.ts"
import { openLedger } from "../../lib/ledger/open.ts"
import { type Checkout, makeCheckout } from "../support/checkout.ts"

const now = "2026-03-31T12:00:00Z"
const minuteMs = 60_000
const job = slo as Job
const services = `app: { name: "Shop" }, services: { api: { url: "https://api.example.com", objective: { availability: 0.99 } }, web: { url: "https://example.com" } }`

async function remember(
  checkout: Checkout,
  rows: { minutesAgo: number; outcome: Observation["outcome"] }[],
): Promise<void> {
  const ledger = openLedger(`file://${checkout.dir}/.ops/ledger`)
  const observations = rows.map(({ minutesAgo, outcome }): Observation => {
    const at = new Date(Date.parse(now) - minutesAgo * minuteMs)
    return { at, service: "api", by: "health", outcome, latencyMs: 120 }
  })
  await ledger.append(observationRecords(observations))
}

it("says what to do when there is no service, and for the name of none", async () => {
  await using empty = await makeCheckout()
  const none = await empty.run(job, { now })
  expect([none.exitCode, none.stdout]).toEqual([
    2,
    expect.stringContaining("no service is configured: fill in services"),
  ])
  await using checkout = await makeCheckout(services)
  const wrong = await checkout.run(job, { now, argv: ["--service", "apy"] })
  expect([wrong.exitCode, wrong.stdout]).toEqual([2, expect.stringContaining("--service apy: no service of that name")])
})

it("shows nothing as up of which nothing was seen", async () => {
  await using checkout = await makeCheckout(services)
  const { exitCode, stdout, run } = await checkout.run(job, { now })
  expect(exitCode).toBe(0)
  expect(stdout).toMatch(/30 d +no data/)
  expect(stdout).not.toContain("100.00 %  ")
  expect(run.findings.map(({ outcome }) => outcome)).toEqual(["unknown", "unknown"])
})

it("prints the table of what the ledger holds, twice the same, and gives the numbers as JSON", async () => {
  await using checkout = await makeCheckout(services)
  const rows = Array.from({ length: 96 }, (_, index) => ({ minutesAgo: index * 30, outcome: "ok" as const }))
  await remember(checkout, [
    ...rows.map((row) => (row.minutesAgo === 300 ? { ...row, outcome: "fail" as const } : row)),
  ])
  const first = await checkout.run(job, { now, argv: ["--service", "api"] })
  expect(first.stdout).toMatch(/24 h +97\.91 %/)
  expect(first.stdout).toContain("402 of 432 min of error budget left, as far as seen")
  expect(first.stdout).not.toContain("web")
  const second = await checkout.run(job, { now, argv: ["--service", "api", "--json"] })
  expect(JSON.parse(second.stdout).findings).toMatchObject([
    { subject: "service/api/objective", outcome: "unknown", facts: { downMinutes: 30, state: "uncertain" } },
  ])
})
