import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { generateX25519Identity, identityToRecipient } from "age-encryption"
import { describe, expect, it } from "vitest"
import { parseProof } from "../../lib/backup/proof.ts"
import { directoryLedger } from "../../lib/ledger/directory.ts"
import { parseIdentities } from "../../lib/seal/recipients.ts"
import { unsealBytes } from "../../lib/seal/seal.ts"
import { type Night, setup } from "../support/night.ts"
import { committedDays, committedSets, contents, readManifest, readObject, sha256 } from "../support/sets.ts"

const first = "2026-03-01T03:17:00Z"
const second = "2026-03-02T03:17:00Z"
const sql = `create table notes (id int primary key, body text); insert into notes select i, 'note ' || i from generate_series(1, 500) i;
  create view long_notes as select * from notes where length(body) > 7`

describe("backup", () => {
  it("says what to do and keeps every old set when the database cannot be reached", async () => {
    const night = await setup({ sql })
    await night.run("backup", first)
    const before = await contents(night.store)
    const closed = night.database.url.replace(/:\d+\//, ":1/").replace("@", ":s3cret-word@")

    const { run, exitCode, stdout, stderr } = await night.run("backup", second, { DATABASE_URL: closed })

    expect(exitCode).toBe(1)
    expect(run.findings).toMatchObject([{ subject: "database/main/backup", outcome: "fail", runbook: "backup" }])
    expect(run.summary).toMatch(
      /^database\/main\/backup fail: no new set: cannot connect to .* as nightshift_test: nothing listens on port 1 /,
    )
    expect(run.summary).toContain("correct the port in DATABASE_URL")
    expect(stdout + stderr + JSON.stringify(run)).not.toContain("s3cret-word")
    expect(await contents(night.store)).toEqual(before)
  })

  it("makes a second set beside the first when it runs twice in a row", async () => {
    const night = await setup({ sql })
    await night.run("backup", first)
    const before = await contents(night.store)

    const again = await night.run("backup", second)

    expect(again.exitCode).toBe(0)
    expect(await committedDays(night.store)).toEqual(["2026-03-01", "2026-03-02"])
    expect(await contents(night.store)).toMatchObject(before)
  })

  it("does a slot once, however often it is started for it", async () => {
    const night = await setup({ sql })
    await night.run("backup", first, {}, ["--slot", first])
    const before = await contents(night.store)

    const again = await night.run("backup", "2026-03-01T05:00:00Z", {}, ["--slot", first])

    expect(again.exitCode).toBe(0)
    expect(again.run.summary).toContain("already done by run")
    expect(await contents(night.store)).toEqual(before)
  })

  it("stores a set that describes itself, records it in the ledger and says what it holds", async () => {
    const night = await setup({ sql })
    const { run, exitCode } = await night.run("backup", first)

    expect(exitCode).toBe(0)
    const [set = ""] = await committedSets(night.store)
    expect(set).toMatch(/^2026-03-01T03-17-\d\dZ$/)
    const objects = ["RECOVERY.md", ...["config.json", "dump.pgc"].map(sealed), "manifest.json"]
    objects.push(...["proof.json", "roles.sql"].map(sealed))
    expect((await night.store.list("")).map(({ key }) => key)).toEqual(objects.map((name) => `main/${set}/${name}`))

    const manifest = await readManifest(night.store, set)
    expect(manifest).toMatchObject({
      ...{ format: "nightshift-backup/1", database: "main", set, run: run.id, slot: "2026-03-01T03:17:00.000Z" },
      ...{
        totals: { tables: 1, rows: 500, largeObjects: 0 },
        proof: { level: "full", tablesCounted: 1, tablesHashed: 1 },
      },
      ...{ excluded: { schemas: [], tables: [] }, leftOut: [], server: { encoding: "UTF8" } },
    })
    expect(manifest.recipients).toEqual([sha256(Buffer.from(night.keys.recipient)).slice(0, 16)])
    for (const { name, sealedBytes, sealedSha256 } of Object.values(manifest.objects).filter(
      (one) => "sealedBytes" in one,
    )) {
      const bytes = await readObject(night.store, `main/${set}/${name}`)
      expect([name, bytes.length, sha256(bytes)]).toEqual([name, sealedBytes, sealedSha256])
    }
    expect(sha256(await readObject(night.store, `main/${set}/RECOVERY.md`))).toBe(manifest.objects.recovery.sha256)

    const [row] = await directoryLedger(pathToFileURL(join(night.root, ".ops/ledger")).href).read("backups/main.jsonl")
    const manifestSha256 = sha256(await readObject(night.store, `main/${set}/manifest.json`))
    expect(row).toMatchObject({ type: "set", set, manifestSha256, tables: 1, rows: 500, run: run.id })

    expect(run.findings[0]).toMatchObject({
      subject: "database/main/backup",
      outcome: "ok",
      facts: { set, tables: 1, rows: 500 },
    })
    expect(run.findings[0]?.detail).toMatch(
      /^2026-03-01T03-17-\d\dZ: 1 table, 500 rows \(1 table hashed\), .* of dump sealed to .* in /,
    )
  })

  it("stores nothing in clear but the manifest and the recovery page", async () => {
    const night = await setup({ sql: "create table patients (name text); insert into patients values ('Ada Canary')" })
    await night.run("backup", first)
    for (const { key } of await night.store.list("")) {
      const clear = (await readObject(night.store, key)).toString("latin1")
      expect([key, /patients|Canary/.exec(clear)?.[0]]).toEqual([key, undefined])
      if (key.endsWith(".age")) expect(clear.slice(0, 21)).toBe("age-encryption.org/v1")
    }
  })

  it("names what the configuration excludes, in the manifest and in the proof", async () => {
    const night = await setup({
      sql: "create table kept (id int); create table logs (id int); create schema scratch; create table scratch.t (id int)",
      backup: `exclude: { schemas: ["scratch"], tables: ["public.logs"] }`,
    })
    await night.run("backup", first)
    const [set = ""] = await committedSets(night.store)
    expect((await readManifest(night.store, set)).excluded).toEqual({ schemas: ["scratch"], tables: ["public.logs"] })
    expect((await proofOf(night, set)).tables.map(({ name }) => name)).toEqual(["kept"])
  })

  it("warns of a single recipient, and is silent about two", async () => {
    const night = await setup({ sql })
    const alone = await night.run("backup", first)
    expect(alone.run.findings[1]).toMatchObject({ subject: "database/main/backup/setup", outcome: "warn" })
    expect(alone.run.findings[1]?.detail).toMatch(/^BACKUP_RECIPIENTS holds one public key: .*; add a second/)
    expect(alone.exitCode).toBe(0)

    const other = await identityToRecipient(await generateX25519Identity())
    const both = await night.run("backup", second, {
      BACKUP_RECIPIENTS: `# two people\n${night.keys.recipient}\n\n${other}\n`,
    })
    expect(both.run.findings).toMatchObject([{ outcome: "ok" }])
  })

  it("is a configuration error without recipients or with two kinds of them, and touches nothing", async () => {
    const night = await setup({ sql })
    const none = await night.run("backup", first, { BACKUP_RECIPIENTS: "# nobody yet" })
    expect([none.exitCode, none.run.summary]).toEqual([
      2,
      expect.stringContaining("BACKUP_RECIPIENTS holds no public key"),
    ])

    const { generateHybridIdentity } = await import("age-encryption")
    const quantum = await identityToRecipient(await generateHybridIdentity())
    const mixed = await night.run("backup", first, { BACKUP_RECIPIENTS: `${night.keys.recipient}\n${quantum}` })
    expect([mixed.exitCode, mixed.run.summary]).toEqual([2, expect.stringContaining("BACKUP_RECIPIENTS mixes")])
    expect(await night.store.list("")).toEqual([])
  })
})

function sealed(name: string): string {
  return `${name}.zst.age`
}

async function proofOf(night: Night, set: string) {
  const bytes = await readObject(night.store, `main/${set}/proof.json.zst.age`)
  return parseProof(await unsealBytes(bytes, parseIdentities(night.keys.identity, "the key"), { maxBytes: 1e6 }))
}
