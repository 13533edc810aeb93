import { randomBytes } from "node:crypto"
import { mkdtemp, readdir, rm, stat } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, it } from "vitest"
import { readDailyTallies } from "../../lib/ledger/daily-tally.ts"
import { percentileOf } from "../../lib/ledger/histogram.ts"
import type { LedgerRecord } from "../../lib/ledger/ledger.ts"
import { readObservations } from "../../lib/ledger/observations.ts"
import { openLedger } from "../../lib/ledger/open.ts"
import { rollUp } from "../../lib/ledger/roll-up.ts"
import { startTimer } from "../../lib/system/clock.ts"
import { runProgram } from "../../lib/system/program.ts"
import { fillDay, seeded, writeStream } from "../lib/ledger/synthetic-day.ts"
import { makeGitRemote } from "../support/git-remote.ts"

const dayMs = 24 * 3600 * 1000
const mebibyte = 1024 * 1024

it("is below 10 MB in a fresh clone after a year of 20 services at 5 minutes, and still knows every day", async () => {
  await using remote = await makeGitRemote()
  const folder = await mkdtemp(join(tmpdir(), "nightshift-year-"))
  const root = join(folder, "ledger")
  const first = new Date("2026-01-01T00:00:00Z")
  for (let n = 0; n < 365; n++) {
    const day = new Date(first.getTime() + n * dayMs)
    await fillDay(root, day, { isClosed: false })
    await writeStream(root, pulseRuns(day), false)
    await rollUpAll(root, new Date(day.getTime() + dayMs))
  }
  const end = new Date(first.getTime() + 365 * dayMs)

  const git = async (...args: string[]) => (await runProgram("git", args, { cwd: root })).stdout
  await git("init", "--quiet", "--initial-branch=ops-data")
  await git("add", ".")
  await git("-c", "user.name=year", "-c", "user.email=year@localhost", "commit", "--quiet", "-m", "a year")
  await git("push", "--quiet", remote.dir, "ops-data")
  const url = remote.url.replace(/^git\+/, "").replace(/#.*/, "")
  const elapsed = startTimer()
  await runProgram("git", ["clone", "--quiet", "--depth=1", "-b", "ops-data", url, join(folder, "clone")])
  const [packed, checkedOut] = [await sizeOf(join(folder, "clone/.git")), await sizeOf(join(folder, "clone"))]
  console.log(
    `a year: ${(packed / mebibyte).toFixed(2)} MiB fetched, ${((checkedOut - packed) / mebibyte).toFixed(2)} MiB of files, ` +
      `cloned in ${Math.round(elapsed())} ms`,
  )
  expect(packed).toBeLessThan(10_000_000)
  expect(checkedOut - packed).toBeLessThan(10_000_000)

  const ledger = openLedger(`file://${root}`)
  const tallies = await readDailyTallies(ledger, first, end)
  const recent = await readObservations(ledger, new Date(end.getTime() - 90 * dayMs), end)
  const rows = tallies.reduce((sum, { outcomes }) => sum + outcomes.ok + outcomes.fail, 0)
  expect([rows + recent.length, recent.length]).toEqual([365 * 288 * 20, 90 * 288 * 20])
  const [tally] = tallies.filter(({ service }) => service === "svc10")
  expect(percentileOf(tally?.latency ?? new Map(), 0.5)).toBeCloseTo(210, -2)
  await rm(folder, { recursive: true })
}, 600_000)

async function rollUpAll(root: string, now: Date): Promise<void> {
  const warn = (message: string) => {
    throw new Error(message)
  }
  while ((await rollUp({ root, name: root, warn }, now)).length > 0);
}

/** The lines of keep-warm and health at every 5 minutes: what is as it should be needs few words, but every id is new. */
function pulseRuns(day: Date): LedgerRecord[] {
  const random = seeded(day.getTime() / 1000 + 1)
  const stream = `runs/${day.toISOString().slice(0, 10).replaceAll("-", "/")}.jsonl`
  return Array.from({ length: 576 }, (_, n) => {
    const slot = new Date(day.getTime() + Math.floor(n / 2) * 300_000)
    const [startedAt, endedAt] = [12_000, 16_000].map(
      (ms) => new Date(slot.getTime() + ms + Math.floor(random() * 9000)),
    )
    const job = n % 2 === 0 ? "keep-warm" : "health"
    const run = 17_000_000_000 + Math.floor(day.getTime() / 300_000) + n
    const isBad = random() < 0.03
    const findings = isBad
      ? [{ subject: "service/svc1", outcome: "fail", detail: "timeout at first byte after 10 s" }]
      : []
    const row = {
      ...{ schema: 1, id: `${run}-1-${job}`, job, slot: slot.toISOString(), trigger: "schedule", dryRun: false },
      ...{ startedAt: startedAt?.toISOString(), commit: "0123456789abcdef0123456789abcdef01234567" },
      ...{
        url: `https://github.com/acme/shop/actions/runs/${run}/attempts/1`,
        traceId: randomBytes(16).toString("hex"),
      },
      ...{ endedAt: endedAt?.toISOString(), outcome: isBad ? "fail" : "ok", exitCode: 0, findings },
      ...{ summary: isBad ? "1 of 20 failed: service/svc1" : "all is as it should be" },
      told: { summary: "done", incidents: "skipped (nothing to tell)" },
    }
    return { stream, row }
  })
}

async function sizeOf(dir: string): Promise<number> {
  let bytes = 0
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size
  }
  return bytes
}
