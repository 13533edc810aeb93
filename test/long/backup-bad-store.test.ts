import { randomUUID } from "node:crypto"
import { readdir } from "node:fs/promises"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { CreateMultipartUploadCommand, ListMultipartUploadsCommand } from "@aws-sdk/client-s3"
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished, vi } from "vitest"
import { openStore } from "../../lib/store/open.ts"
import { isPart, type Rule, type SeenRequest, startFaultyProxy } from "../support/faulty-proxy.ts"
import { type NightRun, setup } from "../support/night.ts"
import { createDatabase, type TestDatabase } from "../support/postgres.ts"
import { createBucket, s3Client, s3Environment, s3UrlFor } from "../support/s3-server.ts"
import { committedDays, contents } from "../support/sets.ts"
import { canMount, smallDisk } from "../support/small-disk.ts"

const s3 = inject("s3")
const client = s3Client(s3)
const isCeph = s3.kind === "ceph"
const first = "2026-03-01T03:17:00Z"
const second = "2026-03-02T03:17:00Z"
/** About 20 MB that do not shrink much: two parts of an upload. */
const bulk = `create table bulk as select i as id,
  (select string_agg(md5(i::text || '.' || j), '') from generate_series(1, 300) j) as body from generate_series(1, 2000) i`
const small = "create table notes (id int); insert into notes select generate_series(1, 100)"

let template: TestDatabase
let bucket: string
beforeAll(async () => {
  for (const [name, value] of Object.entries(s3Environment(s3))) vi.stubEnv(name, value)
  bucket = `night-${randomUUID()}`
  await createBucket(s3, bucket)
  template = await createDatabase(bulk)
})
afterAll(async () => {
  vi.unstubAllEnvs()
  client.destroy()
  await template.drop()
})

/** A night whose bucket is behind a proxy that breaks what `rules` say; looks at the bucket go past it. */
async function nightBehindProxy(database: { sql: string } | { database: string }, rules: Rule[] = []) {
  const proxy = await startFaultyProxy(s3.endpoint)
  onTestFinished(() => proxy.stop())
  const prefix = randomUUID()
  const night = await setup({ ...database, storeUrl: s3UrlFor({ ...s3, endpoint: proxy.url }, bucket, prefix) })
  const store = openStore(s3UrlFor(s3, bucket, prefix), { variable: "BACKUP_STORE" })
  await night.run("backup", first)
  const before = await contents(store)
  expect(await committedDays(store)).toEqual(["2026-03-01"])
  proxy.rules = rules
  proxy.requests.length = 0
  return { night, proxy, store, before, prefix }
}

/** Uploads below a prefix that were begun and not ended. */
async function unfinished(prefix: string): Promise<string[]> {
  if (!isCeph) return []
  const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: `${prefix}/` }))
  return Uploads.map(({ Key = "" }) => Key.slice(prefix.length + 1))
}

const writes = (name: string) => (request: SeenRequest) => request.method === "PUT" && request.path.endsWith(name)
const deletes = ({ method, query }: SeenRequest) => method === "DELETE" && !query.has("uploadId")

function expectRed({ exitCode, run }: NightRun, message: RegExp | string): void {
  expect(run.findings).toMatchObject([{ subject: "database/main/backup", outcome: "fail", runbook: "backup" }])
  expect([exitCode, run.summary]).toEqual([1, expect.stringMatching(message)])
}

describe("backup, when the bucket is in trouble", () => {
  it("names the right that its key lacks, and leaves nothing", async () => {
    const { night, store, before, prefix } = await nightBehindProxy({ sql: small }, [
      { when: ({ method }) => method === "PUT", fault: { answer: 403 } },
    ])
    const bad = await night.run("backup", second)
    expectRed(
      bad,
      /no new set: cannot store main\/\S+dump\S+ in s3:.*: the answer was 403 AccessDenied: the access key needs s3:PutObject/,
    )
    expect(await contents(store)).toEqual(before)
    expect(await unfinished(prefix)).toEqual([])
  })

  it("names the right to list, without which it cannot know the sets before", async () => {
    const { night, store, before } = await nightBehindProxy({ sql: small }, [
      { when: ({ query }) => query.has("list-type"), fault: { answer: 403 } },
    ])
    expectRed(await night.run("backup", second), /cannot list main\/ in s3:.*: the access key needs s3:ListBucket/)
    expect(await contents(store)).toEqual(before)
  })

  it("goes on when the bucket is busy for a while and when a connection breaks in the middle of a part", async () => {
    const { night, store, proxy, prefix } = await nightBehindProxy({ database: `template ${template.name}` }, [
      { when: isPart, times: 2, fault: { answer: 503, code: "SlowDown" } },
      { when: isPart, times: 1, fault: { resetUploadAfter: 1_000_000 } },
      { when: writes("proof.json.zst.age"), times: 1, fault: { answer: 503 } },
      { when: writes("manifest.json"), times: 1, fault: { loseAnswer: true } },
    ])
    const good = await night.run("backup", second)
    expect([good.exitCode, good.run.summary]).toEqual([0, expect.stringContaining("ok: 2026-03-02")])
    expect(proxy.requests.filter(isPart).length).toBeGreaterThanOrEqual(2 + 3)
    expect(await committedDays(store)).toEqual(["2026-03-01", "2026-03-02"])
    expect(await unfinished(prefix)).toEqual([])
    const proven = await night.run("restore-test", "2026-03-02T04:17:00Z")
    expect([proven.exitCode, proven.run.findings[0]?.outcome]).toEqual([0, "ok"])
  })

  it("removes what it stored when a later object is refused", async () => {
    const { night, store, before, prefix } = await nightBehindProxy({ database: `template ${template.name}` }, [
      { when: writes("proof.json.zst.age"), fault: { answer: 403 } },
    ])
    expectRed(await night.run("backup", second), /no new set: cannot store main\/\S+\/proof\.json\.zst\.age/)
    expect(await contents(store)).toEqual(before)
    expect(await unfinished(prefix)).toEqual([])
  })

  it("leaves remains that count as nothing where its key may not delete, and makes the next set beside them", async () => {
    const { night, proxy, store, before } = await nightBehindProxy({ sql: small }, [
      { when: writes("config.json.zst.age"), fault: { answer: 403 } },
      { when: deletes, fault: { answer: 403 } },
    ])
    const bad = await night.run("backup", second)
    expectRed(bad, "no new set: ")
    expect(bad.stderr).toMatch(
      /what the failed backup left at main\/\S+ stays until prune removes it: .*s3:DeleteObject/,
    )
    expect(await contents(store)).toMatchObject(before)
    expect(await committedDays(store)).toEqual(["2026-03-01"])
    proxy.rules = []
    expect((await night.run("backup", second)).exitCode).toBe(0)
    expect(await committedDays(store)).toEqual(["2026-03-01", "2026-03-02"])
  })

  it("removes nothing once the manifest is on its way: it may have arrived", async () => {
    const { night, proxy, store, before } = await nightBehindProxy({ sql: small }, [
      {
        when: (request) => request.method === "HEAD" && request.path.endsWith("manifest.json"),
        fault: { answer: 403 },
      },
    ])
    const bad = await night.run("backup", second)
    expectRed(bad, /perhaps no new set: main\/\S+\/ in s3:\S+ is a complete set if its manifest.json arrived/)
    expect(await committedDays(store)).toEqual(["2026-03-01", "2026-03-02"])
    expect(await contents(store)).toMatchObject(before)
    proxy.rules = []
    const unrecorded = await night.run("restore-test", "2026-03-02T04:17:00Z")
    expect([unrecorded.exitCode, unrecorded.run.summary]).toEqual([
      1,
      expect.stringMatching(/no backup run that ended well wrote it: run the backup again$/),
    ])
    const whole = await night.run("restore-test", "2026-03-02T04:17:00Z", {
      LEDGER: pathToFileURL(join(night.root, "none")).href,
    })
    expect([whole.exitCode, whole.run.findings[0]?.outcome]).toEqual([0, "ok"])
  })
})

describe("backup, and what killed runs left in the bucket", () => {
  if (isCeph)
    it("ends unfinished uploads of its own database that no run can still be at, and no others", async () => {
      const { night, prefix } = await nightBehindProxy({ sql: small })
      for (const folder of ["main", "other"]) {
        const Key = `${prefix}/${folder}/2026-03-01T03-17-00Z/dump.pgc.zst.age`
        await client.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key }))
      }
      const now = new Date()
      await night.run("backup", now.toISOString())
      expect(await unfinished(prefix)).toHaveLength(2)
      const tomorrow = await night.run("backup", new Date(now.getTime() + 86_400_000).toISOString())
      expect(tomorrow.stderr).toContain("ended 1 upload that killed runs left unfinished below main/")
      expect(await unfinished(prefix)).toEqual(["other/2026-03-01T03-17-00Z/dump.pgc.zst.age"])
    })

  it("makes its set also with a key that may not look for them", async () => {
    const { night } = await nightBehindProxy({ sql: small }, [
      { when: ({ method, query }) => method === "GET" && query.has("uploads"), fault: { answer: 403 } },
    ])
    const good = await night.run("backup", second)
    expect(good.exitCode).toBe(0)
    expect(good.stderr).toMatch(
      /unfinished uploads below main\/ stay, and may cost money: .*s3:ListBucketMultipartUploads/,
    )
  })
})

if (canMount)
  describe("backup, when the disk of the store is full", () => {
    it("says so, and leaves neither a set nor the start of one", async () => {
      const disk = await smallDisk(6)
      const night = await setup({
        database: `template ${template.name}`,
        storeUrl: pathToFileURL(join(disk, "bucket")).href,
      })
      const bad = await night.run("backup", first)
      expectRed(bad, /no new set: cannot store main\/\S+dump\S+ in file:\S+: no space is left on its disk: free some/)
      expect(await readdir(join(disk, "bucket"))).toEqual([])
    })
  })

describe("backup --dry-run", () => {
  it("says what it would store where, and leaves no set and no probe", async () => {
    const { night, store, before } = await nightBehindProxy({ sql: small })
    const { run, exitCode } = await night.run("backup", second, {}, ["--dry-run"])
    expect(exitCode).toBe(0)
    expect(run.summary).toMatch(
      /dry run: would dump 1 table \(.* on a server of .*\); with \/.*pg_dump; sealed for 1 key to main\/2026-03-02T\S+Z\/ in s3:/,
    )
    expect(run.summary).toContain("the store lets this key write, read and delete")
    expect(await contents(store)).toEqual(before)
  })

  it("says which probe stays when the key may not delete, as it should not", async () => {
    const { night, store } = await nightBehindProxy({ sql: small }, [{ when: deletes, fault: { answer: 403 } }])
    const { run, exitCode } = await night.run("backup", second, {}, ["--dry-run"])
    expect(exitCode).toBe(0)
    const [, probe = ""] =
      /write and read \((\S+) stays, as it should where .*: cannot remove \S+ in .*403/.exec(run.summary) ?? []
    expect((await store.list("")).map(({ key }) => key)).toContain(probe)
    expect(await committedDays(store)).toEqual(["2026-03-01"])
  })

  it("says what is wrong with a bucket that cannot be written, or that is not there", async () => {
    const { night, store, before } = await nightBehindProxy({ sql: small }, [
      { when: ({ method }) => method === "PUT", fault: { answer: 403 } },
    ])
    expectRed(
      await night.run("backup", second, {}, ["--dry-run"]),
      /a backup would fail: cannot store main\/\.probe-.*s3:PutObject/,
    )
    expect(await contents(store)).toEqual(before)
    const gone = { BACKUP_STORE: s3UrlFor(s3, `gone-${randomUUID()}`, "nightly") }
    expectRed(await night.run("backup", second, gone, ["--dry-run"]), /a backup would fail: .*there is no bucket gone-/)
  })
})
