import { join } from "node:path"
import { pathToFileURL } from "node:url"
import fc from "fast-check"
import { describe, expect, it, onTestFinished } from "vitest"
import { newestVerified, refuseWithoutBackup } from "../../../lib/backup/verified.ts"
import { publicRecords } from "../../../lib/job/public-run.ts"
import { directoryLedger } from "../../../lib/ledger/directory.ts"
import type { LedgerRecord } from "../../../lib/ledger/ledger.ts"
import { makeTempDir, removeTempDir } from "../../../lib/system/temp.ts"

const now = new Date("2026-03-10T04:00:00Z")
const within = { text: "48 hours", ms: 48 * 3_600_000 }

describe("newestVerified", () => {
  it("is nothing where the ledger knows nothing", async () => {
    expect(await newestVerified(ledgerOf([]), "main")).toBeUndefined()
  })

  it("takes the newest set that came back, whether or not with exceptions", async () => {
    const rows = [
      ...tested("2026-03-07T03:17:00Z", "passed"),
      ...tested("2026-03-08T03:17:00Z", "passed with exceptions"),
      ...tested("2026-03-09T03:17:00Z", "failed"),
      made("2026-03-10T03:17:00Z"),
    ]
    expect(await newestVerified(ledgerOf(rows), "main")).toEqual({
      set: "2026-03-08T03-17-00Z",
      snapshotAt: new Date("2026-03-08T03:17:00Z"),
      testedAt: new Date("2026-03-08T05:17:00Z"),
    })
  })

  it("believes the newest test of a set, in whatever order the rows came", async () => {
    const at = "2026-03-09T03:17:00Z"
    const later = receipt(at, "failed", "2026-03-09T09:00:00Z")
    const earlier = receipt(at, "passed", "2026-03-09T05:00:00Z")
    expect(await newestVerified(ledgerOf([made(at), later, earlier]), "main")).toBeUndefined()

    const again = receipt(at, "passed", "2026-03-09T10:00:00Z")
    const found = await newestVerified(ledgerOf([made(at), again, later, earlier]), "main")
    expect(found?.testedAt).toEqual(new Date("2026-03-09T10:00:00Z"))
  })

  it("skips rows of another form, and a receipt whose set nobody recorded", async () => {
    const odd: unknown[] = [
      null,
      "text",
      ["a", 1],
      { type: "set" },
      { type: "set", set: "2026-03-09T03-17-00Z", snapshotAt: "yesterday" },
      { type: "receipt", set: "2026-03-09T03-17-00Z", testedAt: now.toISOString(), verdict: "fine" },
      receipt("2026-03-09T03:17:00Z", "passed"),
    ]
    expect(await newestVerified(ledgerOf(odd), "main")).toBeUndefined()
    const good = tested("2026-03-08T03:17:00Z", "passed")
    expect(await newestVerified(ledgerOf([...odd, ...good]), "main")).toMatchObject({ set: "2026-03-08T03-17-00Z" })
  })

  it("reads its own database alone, from a ledger of files, and the few fields that a public one keeps", async () => {
    const dir = await makeTempDir("verified")
    onTestFinished(() => removeTempDir(dir))
    const ledger = directoryLedger(pathToFileURL(join(dir, "ledger")).href)
    const records = tested("2026-03-09T03:17:00Z", "passed").map(
      (row): LedgerRecord => ({ stream: "backups/main.jsonl", row: { ...row, tables: 3, recoveryMs: 4 } }),
    )
    await ledger.append(publicRecords({ records }))

    expect((await ledger.read("backups/main.jsonl"))[0]).not.toHaveProperty("tables")
    expect(await newestVerified(ledger, "main")).toMatchObject({ set: "2026-03-09T03-17-00Z" })
    expect(await newestVerified(ledger, "other")).toBeUndefined()
  })
})

describe("refuseWithoutBackup", () => {
  it("lets a run begin on a set of exactly the age that is allowed, and not on one a second older", async () => {
    expect(await refuse(tested("2026-03-08T04:00:00Z", "passed"))).toBeUndefined()
    expect(await refuse(tested("2026-03-08T03:59:59Z", "passed"))).toMatch(
      /^a verified backup of main not older than 48 hours is needed, and the newest one, 2026-03-08T03-59-59Z, is 2 d old: run backup and then restore-test/,
    )
  })

  it("says all three ways out where nothing was ever backed up", async () => {
    const text = await refuse([])
    expect(text).toContain("the ledger knows of none")
    expect(text).toContain("give databases.main a `backup` in ops.config.ts")
    expect(text).toContain("verifiedBackupWithin to false")
    expect(text).toContain("--without-backup")
  })

  it("says that the newest set is not tested, or that its test failed", async () => {
    expect(await refuse([made("2026-03-10T03:17:00Z")])).toContain(
      "none of its sets has passed a restore test (2026-03-10T03-17-00Z is not tested yet",
    )
    const failed = await refuse(tested("2026-03-10T03:17:00Z", "failed"))
    expect(failed).toContain("the restore test of 2026-03-10T03-17-00Z failed: see the runbook restore-test")
  })

  it("does not count a set from the future, nor let it hide a fresh one", async () => {
    const future = tested("2026-03-11T03:17:00Z", "passed")
    expect(await refuse(future)).toContain("from the future")
    expect(await refuse([...tested("2026-03-09T03:17:00Z", "passed"), ...future])).toBeUndefined()
    expect(await refuse(tested("2026-03-10T04:00:30Z", "passed"))).toBeUndefined()
  })

  it("asks nothing where backups are made elsewhere, or where a person said so", async () => {
    const ledger = { read: () => Promise.reject(new Error("must not be read")) }
    expect(await refuseWithoutBackup({ ledger, database: "main", within: false, now, allowed: false })).toBeUndefined()
    expect(await refuseWithoutBackup({ ledger, database: "main", within, now, allowed: true })).toBeUndefined()
  })

  it("opens exactly when some set within the time has a newest test that did not fail", async () => {
    const hour = fc.integer({ min: -72, max: 200 })
    const row = fc.record({ ageHours: hour, verdict: fc.constantFrom("passed", "failed", "none") })
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(row, { selector: ({ ageHours }) => ageHours, maxLength: 8 }), async (sets) => {
        const rows = sets.flatMap(({ ageHours, verdict }) => {
          const at = new Date(now.getTime() - ageHours * 3_600_000).toISOString()
          return verdict === "none" ? [made(at)] : tested(at, verdict)
        })
        const isOpen = sets.some(({ ageHours, verdict }) => verdict === "passed" && ageHours >= 0 && ageHours <= 48)
        expect((await refuse(rows)) === undefined).toBe(isOpen)
      }),
    )
  })
})

function refuse(rows: unknown[]): Promise<string | undefined> {
  return refuseWithoutBackup({ ledger: ledgerOf(rows), database: "main", within, now, allowed: false })
}

function ledgerOf(rows: unknown[]) {
  return { read: async (stream: string) => (stream === "backups/main.jsonl" ? rows : []) }
}

function tested(at: string, verdict: string) {
  return [made(at), receipt(at, verdict)]
}

function made(at: string) {
  return { type: "set", set: idOf(at), snapshotAt: new Date(at).toISOString(), manifestSha256: "00" }
}

function receipt(at: string, verdict: string, testedAt = new Date(Date.parse(at) + 2 * 3_600_000).toISOString()) {
  return { type: "receipt", set: idOf(at), testedAt: new Date(testedAt).toISOString(), verdict }
}

function idOf(at: string): string {
  return `${new Date(at).toISOString().slice(0, 19).replaceAll(":", "-")}Z`
}
