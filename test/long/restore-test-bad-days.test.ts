import { stat } from "node:fs/promises"
import { join } from "node:path"
import { generateX25519Identity } from "age-encryption"
import { afterEach, describe, expect, it, vi } from "vitest"
import { type Night, type NightRun, setup } from "../support/night.ts"
import { committedSets, contents, readObject, replaceObject } from "../support/sets.ts"
import { canMount, smallDisk } from "../support/small-disk.ts"

const first = "2026-03-01T03:17:00Z"
const second = "2026-03-02T03:17:00Z"
const tested = "2026-03-02T04:17:00Z"
const sql =
  "create table notes (id int primary key, body text); insert into notes select i, md5(i::text) from generate_series(1, 3000) i"
const objects = ["dump.pgc.zst.age", "proof.json.zst.age", "roles.sql.zst.age", "config.json.zst.age", "RECOVERY.md"]

afterEach(() => {
  vi.unstubAllEnvs()
})

/** A night with two good sets, of which the newest is to be damaged. */
async function twoSets(options: Parameters<typeof setup>[0] = {}) {
  const night = await setup({ sql, ...options })
  for (const at of [first, second]) {
    const good = await night.run("backup", at)
    expect(good.exitCode, good.run.summary).toBe(0)
  }
  const [older = "", newest = ""] = await committedSets(night.store)
  return { night, older, newest, key: (name: string) => `main/${newest}/${name}` }
}

/** The newest receipt as it lies in the store. */
async function receipt(night: Night): Promise<Record<string, never>> {
  const receipts = (await night.store.list("main/"))
    .map((object) => object.key)
    .filter((one) => one.includes("/receipt-"))
  return JSON.parse((await readObject(night.store, receipts.at(-1) ?? "")).toString())
}

function expectRed({ exitCode, run }: NightRun, message: RegExp): void {
  expect(run.findings).toMatchObject([
    { subject: "database/main/restore-test", outcome: "fail", runbook: "restore-test" },
  ])
  expect([exitCode, run.summary]).toEqual([1, expect.stringMatching(message)])
}

function flip(bytes: Buffer): Buffer {
  const middle = Math.floor(bytes.length / 2)
  bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle)
  return bytes
}

describe("restore-test, when an object was damaged", () => {
  it.each(objects)("finds one changed byte, a cut, an addition and the loss of %s, and names it", async (name) => {
    const { night, newest, key } = await twoSets()
    const whole = await readObject(night.store, key(name))
    const damages: [string, (bytes: Buffer) => Buffer][] = [
      ["SHA-256|not the page", flip],
      [`expected ${whole.length} bytes, found ${whole.length - 1}|not the page`, (bytes) => bytes.subarray(0, -1)],
      [
        "expected \\d+ bytes, found more|at most \\d+ are expected",
        (bytes) => Buffer.concat([bytes, Buffer.from("x")]),
      ],
    ]
    for (const [message, damage] of damages) {
      await replaceObject(night.store, key(name), (bytes) => damage(Buffer.from(bytes)))
      const bad = await night.run("restore-test", tested)
      expectRed(bad, new RegExp(`${newest}: transport failed: ${name}: .*(${message})`))
      expect(bad.run.summary).not.toContain("objects have the size")
      await replaceObject(night.store, key(name), () => whole)
    }
    await night.store.remove(key(name))
    expectRed(
      await night.run("restore-test", tested),
      new RegExp(`transport failed: ${name}: .*does not exist in file:`),
    )
    expect(await receipt(night)).toMatchObject({
      verdict: "failed",
      set: newest,
      levels: { data: { outcome: "skipped" } },
    })
  })

  it("does not take a set for one when its manifest is gone, and tests the one before", async () => {
    const { night, older, key } = await twoSets()
    await night.store.remove(key("manifest.json"))
    expect(await committedSets(night.store)).toEqual([older])
    const { run } = await night.run("restore-test", "2026-03-02T04:17:00Z")
    expect(run.findings[0]).toMatchObject({ outcome: "ok", facts: { set: older } })
    expect(run.findings[0]?.facts?.ageHours).toBeCloseTo(25, 0)
  })

  it("tells by the ledger when a manifest says something else than the backup wrote", async () => {
    const { night, key } = await twoSets()
    await replaceObject(night.store, key("manifest.json"), (bytes) =>
      Buffer.from(bytes.toString().replace('"rows": 3000', '"rows": 3001')),
    )
    const bad = await night.run("restore-test", tested)
    expectRed(bad, /transport failed: manifest\.json: its SHA-256 is [0-9a-f]{64}, the ledger recorded [0-9a-f]{64}/)
  })

  it.each([
    [
      "is cut",
      (bytes: Buffer) => bytes.subarray(0, 200),
      /the manifest main\/\S+ in file:\S+ cannot be used: manifest\.json is no JSON/,
    ],
    ["is another set's", undefined, /cannot be used: it describes main\/2026-03-01T\S+Z: the set was moved or renamed/],
  ] as const)("says which manifest cannot be used when it %s", async (_, change, message) => {
    const { night, older, key } = await twoSets()
    const other = await readObject(night.store, `main/${older}/manifest.json`)
    await replaceObject(night.store, key("manifest.json"), (bytes) => change?.(bytes) ?? other)
    expectRed(await night.run("restore-test", tested), message)
    const next = await night.run("backup", "2026-03-03T03:17:00Z")
    expect([next.exitCode, next.run.findings[1]?.detail]).toEqual([
      0,
      expect.stringMatching(/the new set was compared with none before it: the manifest main/),
    ])
  })
})

describe("restore-test, when the set is not ours", () => {
  it("says whose keys a set was sealed for when none of its own fits", async () => {
    const { night } = await twoSets()
    const bad = await night.run("restore-test", tested, { BACKUP_IDENTITY: await generateX25519Identity() })
    expectRed(
      bad,
      /archive failed: wrong key: .*; the set was sealed for the public key [0-9a-f]{16}, and BACKUP_IDENTITY belongs to [0-9a-f]{16}$/,
    )
    expect(bad.stdout + bad.stderr + JSON.stringify(bad.run)).not.toContain("AGE-SECRET-KEY-")
  })

  /** A stranger knows the public key and may write to the bucket: the set is whole, and opens. */
  async function putStrangersSet(night: Night, at: string, inPlaceOf?: string) {
    const stranger = await setup({ sql: "create table notes (id int primary key, body text)" })
    await stranger.run("backup", at, { BACKUP_RECIPIENTS: night.keys.recipient })
    const [set = ""] = await committedSets(stranger.store)
    const name = inPlaceOf ?? set
    for (const { key } of await stranger.store.list("")) {
      const bytes = await readObject(stranger.store, key)
      const isManifest = key.endsWith("/manifest.json")
      const renamed = isManifest ? Buffer.from(bytes.toString().replace(`"set": "${set}"`, `"set": "${name}"`)) : bytes
      await night.store.put(key.replace(set, name), renamed, { contentType: "application/octet-stream" })
    }
  }

  it("tells by the ledger when a stranger replaced a whole set", async () => {
    const { night, newest } = await twoSets()
    await putStrangersSet(night, second, newest)
    expectRed(
      await night.run("restore-test", tested),
      /transport failed: manifest\.json: its SHA-256 is .*, the ledger recorded/,
    )
  })

  it("tells by the ledger when a stranger added a set", async () => {
    const { night } = await twoSets()
    await putStrangersSet(night, "2026-03-02T04:00:00Z")
    const bad = await night.run("restore-test", tested)
    expectRed(
      bad,
      /^.*2026-03-02T04-00-\d\dZ: transport failed: manifest\.json: the ledger recorded 2 sets of main and not this one/,
    )
  })

  it("goes on without a ledger, and the receipt says what was not checked", async () => {
    const { night } = await twoSets()
    const { exitCode } = await night.run("restore-test", tested, { LEDGER: `file://${join(night.root, "elsewhere")}` })
    expect(exitCode).toBe(0)
    const { levels } = await receipt(night)
    expect(JSON.stringify(levels)).toContain("the ledger at hand has no record of any set")
  })
})

describe("restore-test, when the objectives are missed", () => {
  it("fails when the newest set is older than allowed, though it restores", async () => {
    const { night } = await twoSets()
    const late = await night.run("restore-test", "2026-03-03T06:00:00Z")
    expectRed(late, /: the newest set is 26\.7 h old, at most 26 h are allowed/)
    expect(await receipt(night)).toMatchObject({ verdict: "passed" })
  })

  it("fails when the restore took longer than allowed, though it is equal", async () => {
    const slow = `create function slow(i int) returns int language plpgsql immutable as
      $$ begin if current_query() like 'CREATE INDEX%' then perform pg_sleep(6.2); end if; return i; end $$;
      create table one (i int); create index on one (slow(i)); insert into one values (1)`
    const night = await setup({ sql: slow, backup: "rtoMinutes: 0.1" })
    await night.run("backup", first)
    expectRed(
      await night.run("restore-test", "2026-03-01T04:17:00Z"),
      /: the restore took \d+\.\d s, at most 0\.1 min are allowed/,
    )
    expect(await receipt(night)).toMatchObject({ verdict: "passed" })
  })
})

if (canMount)
  describe("restore-test, when this machine's disk is full", () => {
    const noise = `create table noise as select i, (select string_agg(md5(i::text || '.' || j), '') from generate_series(1, 300) j) as body from generate_series(1, 3000) i`

    it.each([
      ["during the download", 8],
      ["during the restore", 75],
    ])("says that it could not be done %s, blames no backup and stores no receipt", async (_, megabytes) => {
      const night = await setup({ sql: noise })
      await night.run("backup", first)
      const before = await contents(night.store)
      const disk = await smallDisk(megabytes)
      vi.stubEnv("TMPDIR", disk)
      const bad = await night.run("restore-test", "2026-03-01T04:17:00Z")
      expectRed(
        bad,
        /the restore test could not be done: the disk of this machine is full \(.*(?:no space left on device|wrote only \d+ of \d+ bytes at block \d+)\), and the backup was not judged: the test needs about \S+ MB and room for sorting/i,
      )
      expect(await contents(night.store)).toEqual(before)
      const { nlink } = await stat(disk)
      expect(nlink, "folders are left on the disk").toBe(2)
    })
  })

describe("restore-test --dry-run", () => {
  it("tests as always and stores no receipt", async () => {
    const { night } = await twoSets()
    const before = await contents(night.store)
    const { exitCode } = await night.run("restore-test", tested, {}, ["--dry-run"])
    expect(exitCode).toBe(0)
    expect(await contents(night.store)).toEqual(before)
  })
})
