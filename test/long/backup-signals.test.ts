import { randomUUID } from "node:crypto"
import { readdir, stat } from "node:fs/promises"
import { join } from "node:path"
import { ListMultipartUploadsCommand } from "@aws-sdk/client-s3"
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished, vi } from "vitest"
import { openStore } from "../../lib/store/open.ts"
import { isPart, startFaultyProxy } from "../support/faulty-proxy.ts"
import { type JobEnd, makeWorkspace, startJob, type Workspace } from "../support/job-process.ts"
import { type Night, type NightOptions, setup } from "../support/night.ts"
import { createDatabase, type TestDatabase } from "../support/postgres.ts"
import { descendants, until, untilProcess } from "../support/processes.ts"
import { createBucket, s3Client, s3Environment, s3UrlFor } from "../support/s3-server.ts"
import { committedDays, contents } from "../support/sets.ts"

const s3 = inject("s3")
const client = s3Client(s3)
const first = "2026-03-01T03:17:00Z"
const second = "2026-03-02T03:17:00Z"
const limitMs = 5000
/** About 40 MB that do not shrink much, so that a job is found in its middle. */
const bulk = `create table bulk as select i as id,
  (select string_agg(md5(i::text || '.' || j), '') from generate_series(1, 300) j) as body from generate_series(1, 4000) i`
/** A view that takes a minute to count, for a job only. */
const slow = `create materialized view slow as select pg_sleep(
  case when current_setting('application_name') like 'nightshift/%' then 60 else 0 end)::text as slept`

let template: TestDatabase
beforeAll(async () => {
  for (const [name, value] of Object.entries(s3Environment(s3))) vi.stubEnv(name, value)
  template = await createDatabase(bulk)
})
afterAll(async () => {
  vi.unstubAllEnvs()
  client.destroy()
  await template.drop()
})

/** A night with one good set of the bulk, and a place for the process that is to be interrupted. */
async function busyNight(options: NightOptions = {}) {
  const night = await setup({ database: `template ${template.name}`, ...options })
  const work = await makeWorkspace()
  onTestFinished(() => work[Symbol.asyncDispose]())
  const good = await night.run("backup", first)
  expect(good.exitCode, good.stderr).toBe(0)
  return { night, work }
}

/** Stops the program in its middle, so that it hears nothing but SIGKILL. */
async function freeze(job: number, pattern: RegExp): Promise<void> {
  process.kill(await untilProcess(job, pattern), "SIGSTOP")
}

async function untilStoring({ root }: Night): Promise<void> {
  await until("a part of the dump is stored", async () => {
    const names = await readdir(join(root, "bucket"), { recursive: true })
    const part = names.find((name) => name.endsWith(".part"))
    return part !== undefined && (await stat(join(root, "bucket", part))).size > 1_000_000
  })
}

/** Nothing of the run is left: no program, no file, no session, no lock. */
async function expectNothingLeft({ database }: Night, work: Workspace): Promise<void> {
  expect(await work.programs()).toEqual([])
  expect(await work.leftovers()).toEqual([])
  await expectNoSession(database)
}

async function expectNoSession(database: TestDatabase): Promise<void> {
  const left = () =>
    database.query(
      `select application_name, state, query from pg_stat_activity where datname = current_database() and application_name like 'nightshift/%'
       union all select 'lock', l.locktype, l.mode from pg_locks l join pg_database d on d.oid = l.database
        where d.datname = current_database() and l.locktype = 'advisory'`,
    )
  await until("the sessions are gone", async () => (await left()).length === 0)
}

function expectInterrupted(end: JobEnd & { tookMs: number }, signal: string): void {
  expect(end.stdout).toContain(`ended early (received ${signal})`)
  expect({ exitCode: end.exitCode, inTime: end.tookMs < limitMs || end.tookMs }).toEqual({ exitCode: 1, inTime: true })
}

/** Uploads below a prefix of the bucket that were begun and not ended; s3rver cannot tell. */
async function unfinished(bucket: string): Promise<string[]> {
  if (s3.kind !== "ceph") return []
  const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }))
  return Uploads.map(({ Key = "" }) => Key)
}

describe("a signal to the backup", () => {
  it.each(["SIGINT", "SIGTERM"] as const)(
    "%s in the middle of the dump ends it in time and leaves nothing",
    async (signal) => {
      const { night, work } = await busyNight()
      const before = await contents(night.store)
      const job = startJob(night, "backup", second, work)
      const pid = await untilProcess(job.pid, /pg_dump --format=custom/)
      await untilStoring(night)
      process.kill(pid, "SIGSTOP")

      expectInterrupted(await job.signal(signal), signal)

      expect(await contents(night.store)).toEqual(before)
      await expectNothingLeft(night, work)
      expect(
        (await readdir(join(night.root, "bucket"), { recursive: true })).filter((name) => name.endsWith(".part")),
      ).toEqual([])
      expect((await startJob(night, "backup", second, work).ended).exitCode).toBe(0)
    },
  )

  it("in the middle of an upload leaves no object and no unfinished upload", async () => {
    const proxy = await startFaultyProxy(s3.endpoint)
    onTestFinished(() => proxy.stop())
    const bucket = `signals-${randomUUID()}`
    await createBucket(s3, bucket)
    const { night, work } = await busyNight({ storeUrl: s3UrlFor({ ...s3, endpoint: proxy.url }, bucket, "nightly") })
    const limits = { variable: "BACKUP_STORE", credentials: s3 }
    const store = openStore(s3UrlFor(s3, bucket, "nightly"), limits)
    const before = await contents(store)
    proxy.requests.length = 0
    proxy.rules = [
      { when: (request) => isPart(request) && request.query.get("partNumber") === "2", fault: { stall: true } },
    ]
    const job = startJob(night, "backup", second, work, s3Environment(s3))
    await until("the second part is on its way", () =>
      proxy.requests.some(({ query }) => query.get("partNumber") === "2"),
    )

    expectInterrupted(await job.signal("SIGTERM"), "SIGTERM")

    expect(await contents(store)).toEqual(before)
    expect(await unfinished(bucket)).toEqual([])
    await expectNothingLeft(night, work)
  })

  it("in the middle of a long count ends the statement on the server", async () => {
    const night = await setup({ sql: slow })
    await using work = await makeWorkspace()
    const job = startJob(night, "backup", first, work)
    await until("the view is counted", () => isCounting(night))

    expectInterrupted(await job.signal("SIGTERM"), "SIGTERM")

    expect(await night.store.list("")).toEqual([])
    await expectNothingLeft(night, work)
  })

  it("after the first of two databases keeps the record of that one's set", async () => {
    const other = await createDatabase(slow)
    onTestFinished(() => other.drop())
    const night = await setup({
      sql: "create table notes (id int)",
      settings: `}, slow: { url: secret("SLOW_URL"), backup: { recipients: variable("BACKUP_RECIPIENTS") }`,
    })
    await using work = await makeWorkspace()
    const job = startJob(night, "backup", first, work, { SLOW_URL: other.url })
    await until("the second is at work", () => isCounting({ ...night, database: other }))

    expectInterrupted(await job.signal("SIGTERM"), "SIGTERM")

    expect(await committedDays(night.store)).toEqual(["2026-03-01"])
    expect(await readdir(join(night.root, ".ops/ledger/backups"))).toEqual(["main.jsonl"])
  })
})

describe("a signal to the restore test", () => {
  it("in the middle of the restore ends it in time and leaves no cluster and no file", async () => {
    const { night, work } = await busyNight()
    const before = await contents(night.store)
    const job = startJob(night, "restore-test", second, work)
    await freeze(job.pid, /pg_restore --use-list/)
    expect(await work.programs()).not.toEqual([])

    expectInterrupted(await job.signal("SIGINT"), "SIGINT")

    await expectNothingLeft(night, work)
    expect(await contents(night.store)).toEqual(before)
  })

  it("in the middle of the comparison ends it in time and leaves no cluster and no file", async () => {
    const { night, work } = await busyNight({ settings: `assertions: [{ name: "slow", sql: "select pg_sleep(60)" }]` })
    const job = startJob(night, "restore-test", second, work)
    await untilProcess(job.pid, /postgres: .*SELECT/)

    expectInterrupted(await job.signal("SIGTERM"), "SIGTERM")

    await expectNothingLeft(night, work)
  })
})

describe("after a kill that nothing can be done against", () => {
  it("the next backup works, and removes what was begun when no run can still be at it", async () => {
    const { night, work } = await busyNight()
    const killed = startJob(night, "backup", second, work)
    await untilProcess(killed.pid, /pg_dump --format=custom/)
    await untilStoring(night)
    expect((await killed.signal("SIGKILL")).killedBy).toBe("SIGKILL")
    expect(await committedDays(night.store)).toEqual(["2026-03-01"])

    const tomorrow = new Date(Date.now() + 86_400_000).toISOString()
    const next = await startJob(night, "backup", tomorrow, work).ended

    expect(next.exitCode, next.stderr).toBe(0)
    expect(next.stderr).toContain("ended 1 upload that killed runs left unfinished below main/")
    expect(await committedDays(night.store)).toHaveLength(2)
    expect(
      (await readdir(join(night.root, "bucket"), { recursive: true })).filter((name) => name.endsWith(".part")),
    ).toEqual([])
    await expectNothingLeft(night, work)
  })

  it("the server ends the killed backup's long statement, and with it the lock", async () => {
    const night = await setup({ sql: slow })
    await using work = await makeWorkspace()
    const killed = startJob(night, "backup", first, work)
    await until("the view is counted", () => isCounting(night))
    await killed.signal("SIGKILL")
    await expectNoSession(night.database)
  })

  it("the next restore test stops and removes the cluster that was left", async () => {
    const { night, work } = await busyNight()
    const killed = startJob(night, "restore-test", second, work)
    await freeze(killed.pid, /pg_restore --use-list/)
    const [restoring] = await descendants(killed.pid, /pg_restore/)
    await killed.signal("SIGKILL")
    expect(await work.programs()).not.toEqual([])
    expect(await work.leftovers()).not.toEqual([])

    const next = await startJob(night, "restore-test", second, work).ended
    if (restoring) process.kill(restoring.pid, "SIGKILL")

    expect(next.exitCode, next.stderr).toBe(0)
    expect(next.stderr).toContain("removed what killed runs left behind")
    await until("the last programs are gone", async () => (await work.programs()).length === 0)
    expect(await work.leftovers()).toEqual([])
  })
})

async function isCounting({ database }: Pick<Night, "database">): Promise<boolean> {
  const rows = await database.query(
    "select 1 from pg_stat_activity where datname = current_database() and application_name like 'nightshift/%' and query like '%pg_sleep%'",
  )
  return rows.length > 0
}
