import { readFile, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { gitLedger } from "../../../lib/ledger/git.ts"
import type { Ledger } from "../../../lib/ledger/ledger.ts"
import { observationRecords } from "../../../lib/ledger/observations.ts"
import { openLedger } from "../../../lib/ledger/open.ts"
import { ledgerTempDirs, makeGitRemote } from "../../support/git-remote.ts"
import { describeLedger } from "./conformance.ts"
import { withLedger } from "./with-ledger.ts"

const stream = "backups/main.jsonl"

describeLedger("a git branch", async () => {
  const remote = await makeGitRemote()
  return {
    url: remote.url,
    open: (options) => openLedger(remote.url, options),
    put: (path, text) => remote.edit({ [path]: text }),
    get: (path) => remote.bytes(path),
    files: () => remote.files(),
    [Symbol.asyncDispose]: () => remote[Symbol.asyncDispose](),
  }
})

describe("a ledger on a branch", () => {
  it("is an orphan with one commit for each append, made by nightshift", async () => {
    await using remote = await makeGitRemote()
    await withLedger(remote.url, async (ledger) => {
      await ledger.append([{ stream, row: { n: 1 } }])
      await ledger.append([
        { stream, row: { n: 2 } },
        { stream: "audit/main.jsonl", row: {} },
      ])
    })
    expect(await remote.git("log", "--format=%an <%ae> %s", "ops-data")).toBe(
      "nightshift <nightshift@localhost> 2 rows of audit, backups\nnightshift <nightshift@localhost> 1 row of backups",
    )
    expect(await remote.git("branch", "--list")).toBe("ops-data")
  })

  it("fetches no history, and leaves nothing behind", async () => {
    await using remote = await makeGitRemote()
    for (let n = 0; n < 3; n++) await withLedger(remote.url, (ledger) => ledger.append([{ stream, row: { n } }]))
    const before = await ledgerTempDirs()
    const ledger = openLedger(remote.url)
    expect(await ledger.read(stream)).toHaveLength(3)
    const [dir] = (await ledgerTempDirs()).filter((name) => !before.includes(name))
    const clone = join(tmpdir(), dir ?? "")
    expect(await readFile(join(clone, ".git/shallow"), "utf8")).toMatch(/^[0-9a-f]{40}\n$/)
    await ledger.close()
    expect(await ledgerTempDirs()).toEqual(before)
  })

  it("does not follow a link that someone put on the branch", async () => {
    await using remote = await makeGitRemote()
    await withLedger(remote.url, (ledger) => ledger.append([{ stream: "audit/a.jsonl", row: {} }]))
    const outside = join(remote.dir, "outside.jsonl")
    await writeFile(outside, '{"secret":1}\n')
    await remote.edit({ [stream]: outside }, "120000")
    await withLedger(remote.url, async (ledger) => {
      expect(await ledger.read(stream)).toEqual([])
      await ledger.append([{ stream, row: { n: 1 } }])
    })
    expect(await readFile(outside, "utf8")).toBe('{"secret":1}\n')
  })

  it("replaces a long history by one commit, and loses neither rows nor those of a writer who did not know", async () => {
    await using remote = await makeGitRemote()
    const limits = { maxCommits: 5, maxHistoryKiB: 1e6 }
    const slow = gitLedger(remote.url)
    expect(await slow.read(stream)).toEqual([])
    for (let n = 0; n < 8; n++) {
      await withGitLedger(remote.url, limits, (ledger) => ledger.append([{ stream, row: { n } }]))
      if (n === 3) expect(await slow.read("none.jsonl")).toEqual([])
    }
    expect(await remote.commits()).toBe(3)
    await slow.append([{ stream, row: { n: 8 } }])
    await slow.close()
    expect(await remote.commits()).toBe(4)
    await withLedger(remote.url, async (ledger) => {
      expect(await ledger.read(stream)).toEqual(Array.from({ length: 9 }, (_, n) => ({ n })))
    })
    await withGitLedger(remote.url, { maxCommits: 99, maxHistoryKiB: 1 }, (ledger) =>
      ledger.append([{ stream, row: {} }]),
    )
    expect(await remote.commits()).toBe(1)
  })

  it("goes on with its history, and says so, where a forced push is refused", async () => {
    await using remote = await makeGitRemote()
    await remote.git("config", "receive.denyNonFastForwards", "true")
    const warnings: string[] = []
    for (let n = 0; n < 3; n++) {
      const log = { warn: (text: string) => void warnings.push(text) }
      const ledger = gitLedger(remote.url, { log }, { maxCommits: 2, maxHistoryKiB: 1e6 })
      await ledger.append([{ stream, row: { n } }])
      expect(await ledger.read(stream)).toHaveLength(n + 1)
      await ledger.close()
    }
    expect(await remote.commits()).toBe(3)
    expect(warnings).toEqual([expect.stringContaining("cannot be cut and goes on growing")])
  })

  it("shows on its page what was last seen, with names, outcomes and times alone", async () => {
    await using remote = await makeGitRemote()
    const at = new Date("2026-11-20T03:00:00Z")
    const seen = {
      at,
      by: "health",
      outcome: "fail",
      class: "dns",
      version: "v1-internal",
      numbers: { pool: 1 },
    } as const
    const run = { schema: 1, job: "health", dryRun: false, outcome: "ok", endedAt: "2026-11-20T03:01:00Z" }
    const row = { ...run, summary: "tables: users", url: "https://github.com/acme/shop/actions/runs/7/attempts/1" }
    const records = observationRecords([{ ...seen, service: "shop | <b>api</b>" }])
    await withLedger(remote.url, (ledger) => ledger.append([...records, { stream: "runs/2026/11/20.jsonl", row }]))
    await withLedger(remote.url, (ledger) => ledger.append([{ stream, row: {} }]))
    const page = await remote.show("README.md")
    expect(page).toContain("| shop \\| &lt;b&gt;api&lt;/b&gt; | fail | 2026-11-20 03:00 |")
    expect(page).toContain(
      "| health | ok | [2026-11-20 03:01](https://github.com/acme/shop/actions/runs/7/attempts/1) |",
    )
    expect(page).not.toMatch(/dns|v1-internal|pool|users/)
    expect(await remote.show("ledger.json")).not.toMatch(/dns|v1-internal|pool|users/)
  })

  it("shows no time that was typed and is yet to come, and forgets nobody for it", async () => {
    await using remote = await makeGitRemote()
    const now = new Date("2026-11-20T03:00:00Z")
    const look = (at: Date, service: string) =>
      observationRecords([{ at, service, by: "health", outcome: "ok", latencyMs: 80 }])
    for (const records of [look(now, "api"), look(new Date("2030-01-01T00:00:00Z"), "web"), look(now, "web")]) {
      const ledger = gitLedger(remote.url, { now })
      await ledger.append(records)
      await ledger.close()
    }
    const page = await remote.show("README.md")
    expect(page).toContain("| api | ok | 2026-11-20 03:00 |")
    expect(page).toContain("| web | ok | 2026-11-20 03:00 |")
  })
})

async function withGitLedger(
  url: string,
  limits: { maxCommits: number; maxHistoryKiB: number },
  fn: (ledger: Ledger) => Promise<unknown>,
): Promise<void> {
  const ledger = gitLedger(url, {}, limits)
  await fn(ledger).finally(() => ledger.close())
}
