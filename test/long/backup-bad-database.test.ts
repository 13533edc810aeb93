import { readdir, stat } from "node:fs/promises"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from "vitest"
import type { Manifest } from "../../lib/backup/manifest.ts"
import { startCluster } from "../../lib/postgres/cluster.ts"
import { withClient } from "../../lib/postgres/connect.ts"
import { withTempDir } from "../../lib/system/temp.ts"
import { type Night, type NightOptions, type NightRun, setup } from "../support/night.ts"
import { withPgbouncer } from "../support/pgbouncer.ts"
import { createDatabase, type TestDatabase, withRole } from "../support/postgres.ts"
import { descendants, until, untilProcess } from "../support/processes.ts"
import { committedDays, committedSets, contents, readManifest, replaceObject } from "../support/sets.ts"

const first = "2026-03-01T03:17:00Z"
const second = "2026-03-02T03:17:00Z"
const dumping = /pg_dump --format=custom/
const small = "create table notes (id int); insert into notes select generate_series(1, 100)"
/** About 40 MB that do not shrink much, so that a dump is found in its middle. */
const bulk = `create table bulk as select i as id,
  (select string_agg(md5(i::text || '.' || j), '') from generate_series(1, 300) j) as body from generate_series(1, 4000) i`

let template: TestDatabase
beforeAll(async () => {
  template = await createDatabase(bulk)
})
afterAll(() => template.drop())

/** A night after which one good set is in the store. */
async function secondNight(options: NightOptions = { sql: small }) {
  const night = await setup(options)
  const good = await night.run("backup", first)
  expect(good.run.outcome, good.run.summary).not.toBe("fail")
  return { night, before: await contents(night.store) }
}

/** A dump of the bulk that is stopped in its middle, when some of it is on the store's disk. */
async function stoppedMidDump(night: Night, env: Record<string, string> = {}) {
  const ended = night.run("backup", second, env)
  const pid = await untilProcess(process.pid, dumping)
  await until("a part of the dump is stored", () => unfinishedBytes(night).then((bytes) => bytes > 1_000_000))
  process.kill(pid, "SIGSTOP")
  onTestFinished(() => void (isAlive(pid) && process.kill(pid, "SIGKILL")))
  return { ended, pid }
}

/** What a put has written of an object that is not published. */
async function unfinishedBytes({ root }: Night): Promise<number> {
  const names = await readdir(join(root, "bucket"), { recursive: true }).catch(() => [])
  const part = names.find((name) => name.endsWith(".part"))
  return part ? (await stat(join(root, "bucket", part))).size : 0
}

/** A manifest that says something else than it did. */
function withFacts(manifest: Buffer, facts: Partial<Manifest>): Buffer {
  return Buffer.from(JSON.stringify({ ...JSON.parse(manifest.toString()), ...facts }))
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** What holds after every bad day: it is red, says what it is to say and no more, and the store is as it was. */
async function expectNoNewSet(night: Night, before: Record<string, string>, bad: NightRun, message: RegExp | string) {
  expect(bad.exitCode).toBe(1)
  expect(bad.run.findings).toMatchObject([{ subject: "database/main/backup", outcome: "fail", runbook: "backup" }])
  expect(bad.run.summary).toMatch(message)
  expect(await contents(night.store)).toEqual(before)
  expect(await committedDays(night.store)).toEqual(["2026-03-01"])
  expect(await descendants(process.pid, /pg_dump/)).toEqual([])
}

async function expectNoSession(database: TestDatabase): Promise<void> {
  await until("sessions of the backup are gone", async () => {
    const rows = await database.query(
      "select 1 from pg_stat_activity where datname = current_database() and application_name like 'nightshift/%'",
    )
    return rows.length === 0
  })
  expect(
    await database.query(
      "select 1 from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())",
    ),
  ).toEqual([])
}

describe("backup, when the dump breaks", () => {
  it("makes no set when pg_dump is killed half-way", async () => {
    const { night, before } = await secondNight({ database: `template ${template.name}` })
    const { ended, pid } = await stoppedMidDump(night)
    process.kill(pid, "SIGKILL")
    await expectNoNewSet(night, before, await ended, /no new set: .*pg_dump was killed by SIGKILL/)
    await expectNoSession(night.database)
  })

  it("makes no set when the Postgres server stops mid-dump", async () => {
    await withTempDir("bad_day", async (dir) => {
      const { major } = inject("postgres")
      const cluster = await startCluster({ major, dir, superuser: "tester", settings: { fsync: "off" } })
      onTestFinished(() => cluster.stop())
      const address = cluster.address("postgres")
      await withClient(address, { applicationName: "tests" }, (client) => client.query(bulk))
      const env = { DATABASE_URL: `postgres://tester@/postgres?host=${encodeURIComponent(address.host)}` }
      const night = await setup()
      await night.run("backup", first, env)
      const before = await contents(night.store)
      const { ended, pid } = await stoppedMidDump(night, env)
      await cluster.stop()
      process.kill(pid, "SIGCONT")
      await expectNoNewSet(
        night,
        before,
        await ended,
        /no new set: (.*server closed the connection|the lock nightshift.main is lost: |the connection to .* was lost)/,
      )
    })
  })

  it("makes no set when its own session is ended, and says that the session was lost", async () => {
    const { night, before } = await secondNight({ database: `template ${template.name}` })
    const { ended } = await stoppedMidDump(night)
    await night.database.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'nightshift/backup' and datname = current_database() and backend_xmin is not null",
    )
    await expectNoNewSet(
      night,
      before,
      await ended,
      /no new set: (the lock nightshift.main is lost: |the connection to .* was lost)/,
    )
    await expectNoSession(night.database)
  })
})

describe("backup, when the database refuses", () => {
  it("says that the password is wrong without saying it", async () => {
    const { night, before } = await secondNight()
    await withRole(night.database, "right-password", async (role) => {
      const env = { DATABASE_URL: night.database.urlAs(role, "wr0ng-passw0rd") }
      const bad = await night.run("backup", second, env)
      await expectNoNewSet(night, before, bad, `wrong password for user ${role}: correct it in DATABASE_URL`)
      expect(bad.stdout + bad.stderr + JSON.stringify(bad.run)).not.toMatch(/wr0ng-passw0rd|right-password/)
    })
  })

  it("names a database that does not exist", async () => {
    const { night, before } = await secondNight()
    const bad = await night.run("backup", second, { DATABASE_URL: `${night.database.url}_gone` })
    await expectNoNewSet(night, before, bad, `there is no database ${night.database.name}_gone`)
  })

  it("lists all that the role cannot read at once, with the statements that change it", async () => {
    const { night, before } = await secondNight({
      sql: `create table a (id int); create table b (id int); create schema closed; create table closed.c (id int);
        create table mine (owner text); alter table mine enable row level security; create sequence numbers`,
    })
    await withRole(night.database, "pw", async (role) => {
      await night.database.query(`grant select on mine to ${role}`)
      const bad = await night.run("backup", second, { DATABASE_URL: night.database.urlAs(role, "pw") })
      await expectNoNewSet(night, before, bad, `role ${role} cannot read`)
      for (const name of [
        "public.a",
        "public.b",
        "schema closed",
        "closed.c",
        "public.numbers",
        "rows of table public.mine",
      ])
        expect(bad.run.summary).toContain(name)
      expect(bad.run.summary).toContain(`grant pg_read_all_data to ${role}`)
      expect(bad.run.summary).toContain(`alter role ${role} bypassrls`)
    })
  })

  it("refuses a transaction pooler and says what to use", async () => {
    const { night, before } = await secondNight()
    await withPgbouncer("transaction", async (port) => {
      const url = night.database.url.replace(/:\d+\//, `:${port}/`)
      const bad = await night.run("backup", second, { DATABASE_URL: url })
      await expectNoNewSet(
        night,
        before,
        bad,
        /is a transaction pooler, .*: use the address of the Postgres server itself/,
      )
    })
  })

  it("works through a session pooler", async () => {
    const { night } = await secondNight()
    await withPgbouncer("session", async (port) => {
      const url = night.database.url.replace(/:\d+\//, `:${port}/`)
      const good = await night.run("backup", second, { DATABASE_URL: url })
      expect([good.exitCode, good.run.summary]).toEqual([0, expect.stringContaining("ok: 2026-03-02")])
    })
  })

  it("refuses a database that cannot be dumped in the job's time, with size, rate and remedy", async () => {
    const { night } = await secondNight({ sql: small, backup: "jobMinutes: 2" })
    const minutesFor = { dump: 170_000, proof: 100_000, total: 175_000 }
    const [set] = await committedSets(night.store)
    await replaceObject(night.store, `main/${set}/manifest.json`, (bytes) =>
      withFacts(bytes, { durationsMs: minutesFor }),
    )
    const before = await contents(night.store)
    const bad = await night.run("backup", second)
    await expectNoNewSet(
      night,
      before,
      bad,
      /the database has \d\.\d MB: at the last backup's [\d.]+ kB\/s that takes about 2 min 50 s, and the job has 2 min: raise jobMinutes/,
    )
    const rehearsed = await night.run("backup", second, {}, ["--dry-run"])
    expect([rehearsed.exitCode, rehearsed.run.summary]).toEqual([1, expect.stringContaining("raise jobMinutes")])
  })

  it("does not call a database too large because the last backup was small, or waited long for a lock", async () => {
    const { night } = await secondNight({ sql: small, backup: "jobMinutes: 2" })
    const waited = { dump: 700, proof: 500, total: 900_000 }
    const [set] = await committedSets(night.store)
    await replaceObject(night.store, `main/${set}/manifest.json`, (bytes) =>
      withFacts(bytes, { durationsMs: waited, totals: { tables: 1, rows: 1, largeObjects: 0, databaseBytes: 20_000 } }),
    )
    expect((await night.run("backup", second)).exitCode).toBe(0)
  })
})

describe("backup, when another one is at work", () => {
  it("waits for it, and makes its own set after", async () => {
    const night = await setup({ database: `template ${template.name}` })
    const { ended, pid } = await stoppedMidDump(night)
    const waiting = night.run("backup", second)
    await until("the second waits for the lock", () =>
      night.database
        .query(
          "select 1 from pg_stat_activity where query like '%pg_try_advisory_lock%' and datname = current_database() and pid <> pg_backend_pid()",
        )
        .then((rows) => rows.length > 0),
    )
    process.kill(pid, "SIGCONT")
    const [one, other] = await Promise.all([ended, waiting])
    expect([one.exitCode, other.exitCode]).toEqual([0, 0])
    expect(other.stderr).toContain("waiting for the lock nightshift/main, held by nightshift/backup (pid ")
    const sets = await committedSets(night.store)
    expect(sets).toHaveLength(2)
    for (const set of sets) expect((await readManifest(night.store, set)).totals.rows).toBe(4000)
  })

  it("names the holder when it would not wait longer", async () => {
    const { night, before } = await secondNight({ database: `template ${template.name}` })
    const { ended, pid } = await stoppedMidDump(night)
    const bad = await night.run("backup", "2026-03-02T03:18:00Z", {}, ["--lock-wait", "2s"])
    expect(await committedDays(night.store)).toEqual(["2026-03-01"])
    process.kill(pid, "SIGKILL")
    await ended
    await expectNoNewSet(
      night,
      before,
      bad,
      /no new set: the lock nightshift\/main is held by nightshift\/backup \(pid \d+, user nightshift_test.*waited 2\.\d s: try again/,
    )
  })
})
