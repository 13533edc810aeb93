import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { expect, it, onTestFinished } from "vitest"
import type { Job } from "../../../lib/job/job.ts"
import { readObservations } from "../../../lib/ledger/observations.ts"
import { makeCheckout } from "../../support/checkout.ts"
import { type GitRemote, ledgerTempDirs, makeGitRemote } from "../../support/git-remote.ts"
import { setup } from "../../support/night.ts"
import { withLedger } from "../ledger/with-ledger.ts"

const sql = "create table orders (id int primary key, card text); insert into orders values (1, 'card-of-a-customer')"

/** A runner has nothing of the run before: all that a run knows of others is on the branch, and in the bucket. */
async function inActions(remote: GitRemote, isPrivate: boolean) {
  const dir = await mkdtemp(join(tmpdir(), "nightshift-event-"))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  const event = join(dir, "event.json")
  await writeFile(event, JSON.stringify({ repository: { private: isPrivate } }))
  let id = 100
  return (slot: string) => ({
    ...{ GITHUB_ACTIONS: "true", CI: "true", GITHUB_EVENT_NAME: "workflow_dispatch", GITHUB_EVENT_PATH: event },
    ...{ GITHUB_REPOSITORY: "acme/shop", GITHUB_RUN_ID: String(++id), GITHUB_SHA: "0".repeat(40), OPS_SLOT: slot },
    ...{ LEDGER: remote.url, INCIDENTS: pathToFileURL(join(dir, "incidents")).href, LOG_FORMAT: "json" },
  })
}

it("each night's restore test compares with what the backup left on the branch, and a slot is done once", async () => {
  const night = await setup({ sql })
  await using remote = await makeGitRemote()
  const env = await inActions(remote, true)
  const receipts: string[] = []
  for (const day of ["2025-12-31", "2026-01-01"]) {
    const backup = await night.run("backup", `${day}T03:20:00Z`, env(`${day}T03:17:00Z`))
    expect([backup.exitCode, backup.run.told.ledger]).toEqual([0, "done"])
    const again = await night.run("backup", `${day}T03:40:00Z`, env(`${day}T03:17:00Z`))
    expect(again.run.summary).toContain(`already done by run ${backup.run.id}`)
    const test = await night.run("restore-test", `${day}T05:20:00Z`, env(`${day}T05:17:00Z`))
    expect([test.exitCode, test.run.summary]).toEqual([0, expect.any(String)])
    const receipt = (await night.store.list("")).find(({ key }) => key.includes(`${day}T`) && key.includes("receipt"))
    receipts.push(await readFile(new URL(`${night.storeUrl}/${receipt?.key}`), "utf8"))
  }
  for (const receipt of receipts) expect(receipt).toContain("the manifest is the one that the ledger recorded")

  const gone = { DATABASE_URL: `${night.database.url}_gone` }
  const bad = await night.run("backup", "2026-01-02T03:20:00Z", { ...env("2026-01-02T03:17:00Z"), ...gone })
  expect([bad.exitCode, bad.run.told.ledger]).toEqual([1, "done"])
  expect(await remote.files()).toEqual([
    ...["README.md", "backups/main.jsonl", "ledger.json"],
    ...["runs/2025/12/31.jsonl.gz", "runs/2026/01/01.jsonl", "runs/2026/01/02.jsonl"],
  ])
  expect(await ledgerTempDirs()).toEqual([])
}, 120_000)

it("of a public repository the branch has outcomes, times and the hash of the manifest, and the next night compares with it", async () => {
  const night = await setup({ sql })
  await using remote = await makeGitRemote()
  const env = await inActions(remote, false)
  const backup = await night.run("backup", "2026-03-01T03:20:00Z", env("2026-03-01T03:17:00Z"))
  expect(backup.exitCode).toBe(0)
  const test = await night.run("restore-test", "2026-03-01T05:20:00Z", env("2026-03-01T05:17:00Z"))
  expect(test.exitCode).toBe(0)
  const bad = { ...env("2026-03-02T03:17:00Z"), DATABASE_URL: `${night.database.url}_gone` }
  expect((await night.run("backup", "2026-03-02T03:20:00Z", bad)).exitCode).toBe(1)

  const texts = await Promise.all((await remote.files()).map((path) => remote.show(path)))
  const all = texts.join("\n")
  expect(all).toContain("manifestSha256")
  for (const hidden of ["orders", "card", night.database.name, "_gone", "Bytes", "rows", "MB", "KB"])
    expect(all).not.toContain(hidden)
}, 120_000)

it("of a public repository the looks at services say how they are, and nothing of why", async () => {
  await using checkout = await makeCheckout()
  await using remote = await makeGitRemote()
  const env = await inActions(remote, false)
  const at = new Date("2026-03-01T03:17:00Z")
  const why = { class: "status", status: 503, tries: 3, cause: "provider/db", version: "v9", numbers: { pool: 97 } }
  const look: Job = {
    name: "look",
    about: "Looks at a service",
    config: () => ({}),
    run: async () => ({
      summary: "looked",
      findings: [],
      observations: [{ at, service: "api", by: "health", outcome: "fail", latencyMs: 80, totalMs: 90, ...why }],
    }),
  }
  const { exitCode } = await checkout.run(look, { env: env(at.toISOString()), now: at.toISOString() })
  expect(exitCode).toBe(0)
  await withLedger(remote.url, async (ledger) => {
    const seen = await readObservations(ledger, new Date(at.getTime() - 1), new Date(at.getTime() + 1))
    expect(seen).toEqual([{ at, service: "api", by: "health", outcome: "fail", latencyMs: 80, totalMs: 90 }])
  })
})
