import { join } from "node:path"
import { pathToFileURL } from "node:url"
import pg from "pg"
import { describe, expect, it } from "vitest"
import { directoryLedger } from "../../lib/ledger/directory.ts"
import { makeWorkspace, startJob } from "../support/job-process.ts"
import { bloatedSql, untilRows } from "../support/maintenance.ts"
import { type Night, setup } from "../support/night.ts"

const sunday = "2026-03-08T05:41:00Z"
const sql = `${bloatedSql} alter table events add constraint known check (id > 0) not valid;`
const settings = 'writeUrl: secret("DATABASE_WRITE_URL")'

describe("maintenance", () => {
  it("does nothing without a fresh verified backup, says what is missing, and goes on when told to", async () => {
    const night = await setup({ sql, settings })
    const refused = await maintain(night)

    expect(refused.exitCode).toBe(1)
    expect(refused.run.findings).toMatchObject([
      { subject: "database/main/maintenance", outcome: "fail", runbook: "maintenance" },
    ])
    expect(refused.run.summary).toMatch(/nothing was done: a verified backup of main not older than 48 hours is needed/)
    expect(await stateOf(night)).toEqual({ isSmall: false, isValidated: false, isCared: false })

    await verified(night, "2026-03-05T03:17:00Z")
    expect((await maintain(night)).run.summary).toContain("is 3 d 2 h old: run backup and then restore-test")
    expect(await stateOf(night)).toEqual({ isSmall: false, isValidated: false, isCared: false })

    const told = await maintain(night, ["--without-backup"])
    expect([told.exitCode, await stateOf(night)]).toEqual([0, { isSmall: true, isValidated: true, isCared: true }])
  })

  it("is red, and names the place, when the database cannot be reached or its lock is held", async () => {
    const night = await setup({ sql, settings })
    await verified(night)
    const closed = night.database.url.replace(/:\d+\//, ":1/").replace("@", ":s3cret-word@")
    const unreachable = await maintain(night, [], { DATABASE_WRITE_URL: closed })
    expect(unreachable.exitCode).toBe(1)
    expect(unreachable.run.summary).toMatch(
      /nothing was done: cannot connect to .*correct the port in DATABASE_WRITE_URL/,
    )
    expect(JSON.stringify(unreachable)).not.toContain("s3cret-word")

    const backup = new pg.Client({ connectionString: night.database.url, application_name: "nightshift/backup" })
    await backup.connect()
    await backup.query("select pg_advisory_lock(hashtextextended('nightshift/main', 0))")
    try {
      const held = await maintain(night, ["--lock-wait", "1s"])
      expect(held.exitCode).toBe(1)
      expect(held.run.summary).toMatch(/the lock nightshift\/main is held by nightshift\/backup \(pid/)
      expect(await stateOf(night)).toEqual({ isSmall: false, isValidated: false, isCared: false })
    } finally {
      await backup.end()
    }
  })

  it("cares for the database once, records and shows each action, and finds nothing to do when run again", async () => {
    const night = await setup({ sql, settings })
    await verified(night)
    const first = await maintain(night)

    expect(first.exitCode).toBe(0)
    expect(await stateOf(night)).toEqual({ isSmall: true, isValidated: true, isCared: true })
    const subjects = first.run.findings.map(({ subject, outcome }) => [subject.replace("database/main/", ""), outcome])
    expect(Object.fromEntries(subjects)).toEqual({
      ...{ maintenance: "ok", "maintenance/rights": "ok", "maintenance/leftovers": "ok", "maintenance/validate": "ok" },
      ...{ "maintenance/reindex": "ok", "maintenance/vacuum": "ok", "maintenance/analyze": "ok" },
    })
    expect(first.run.findings.find(({ subject }) => subject.endsWith("reindex"))?.detail).toMatch(
      /^public\.events_id rebuilt and valid: 1\.\d MB before, 1\d\d kB after \(/,
    )
    const rows = await ledgerOf(night).read("maintenance/main.jsonl")
    expect(rows).toMatchObject([
      { type: "maintenance", action: "validate", target: "public.events.known", end: "done", run: first.run.id },
      { action: "reindex", target: "public.events_id", end: "done", beforeBytes: expect.any(Number) },
      { action: "vacuum", target: "public.events", end: "done" },
      { action: "analyze", target: "public.events", end: "done" },
    ])
    expect(first.stdout + first.stderr).toContain('REINDEX INDEX CONCURRENTLY "public"."events_id"')

    const again = await maintain(night)
    expect([again.exitCode, again.run.findings.find(({ subject }) => subject.endsWith("maintenance"))]).toMatchObject([
      0,
      { outcome: "ok", detail: "nothing was due" },
    ])
    expect(await ledgerOf(night).read("maintenance/main.jsonl")).toEqual(rows)
  })

  it("shows in a dry run the exact statements and that a run would be refused, and changes nothing", async () => {
    const night = await setup({ sql, settings })
    const before = await night.database.query("select relname, relfilenode from pg_class order by oid")
    const { run, exitCode, stdout } = await maintain(night, ["--dry-run", "--json"])

    expect(exitCode).toBe(1)
    const text = JSON.stringify(run) + stdout
    for (const words of ["REINDEX INDEX CONCURRENTLY", "VALIDATE CONSTRAINT", "VACUUM", "ANALYZE", "would run"])
      expect(text).toContain(words)
    expect(run.summary).toContain("a verified backup of main")
    expect(await night.database.query("select relname, relfilenode from pg_class order by oid")).toEqual(before)
    expect(await stateOf(night)).toEqual({ isSmall: false, isValidated: false, isCared: false })
    expect(await ledgerOf(night).read("maintenance/main.jsonl")).toEqual([])
  })

  it("takes a wrong option, or a configuration without writeUrl, for what it is before anything is done", async () => {
    const night = await setup({ sql, settings })
    await verified(night)
    for (const [argv, words] of [
      [["--database", "othr"], "--database othr: no database of that name has a writeUrl"],
      [["--table", "evnts"], "--table public.evnts: main has no such table: did you mean public.events?"],
      [["--action", "polish"], "--action"],
      [["--time-limit", "soon"], "--time-limit"],
    ] as const) {
      const { exitCode, run } = await maintain(night, [...argv])
      expect([argv, exitCode, run.summary]).toEqual([argv, 2, expect.stringContaining(words)])
    }
    expect(await stateOf(night)).toEqual({ isSmall: false, isValidated: false, isCared: false })

    const reader = await setup({ sql: "" })
    const { exitCode, run } = await maintain(reader)
    expect([exitCode, run.summary]).toEqual([2, expect.stringContaining("no database has a writeUrl")])
  })

  it("does only what was asked for, and what the configuration allows", async () => {
    const night = await setup({ sql, settings: `${settings}, care: { actions: ["analyze", "reindex"] }` })
    await verified(night)
    const { run } = await maintain(night, ["--action", "analyze", "--action", "vacuum", "--table", "events"])
    expect(run.findings.map(({ subject }) => subject.split("/").at(-1))).toEqual(["maintenance", "rights", "analyze"])
    const rows = await ledgerOf(night).read("maintenance/main.jsonl")
    expect(rows).toMatchObject([{ action: "analyze" }])
  })

  it("does no more actions than --limit, names the rest, and the next run does it", async () => {
    const night = await setup({ sql, settings })
    await verified(night)
    const first = await maintain(night, ["--limit", "1"])
    expect(first.exitCode).toBe(0)
    const told = first.run.findings.find(({ subject }) => subject === "database/main/maintenance")
    expect(told).toMatchObject({ outcome: "warn", facts: { done: 1 } })
    expect(told?.detail).toContain("left for the next run: ")
    await maintain(night, ["--again"])
    expect(await stateOf(night)).toEqual({ isSmall: true, isValidated: true, isCared: true })
  })

  it("warns of rows that break a constraint without a value of theirs, and stays green", async () => {
    const night = await setup({
      sql: "create table a (name text); insert into a values ('Ada Canary'); alter table a add constraint short check (length(name) < 5) not valid",
      settings,
    })
    await verified(night)
    const { run, exitCode, stdout, stderr } = await maintain(night)
    expect(exitCode).toBe(0)
    expect(run.findings.find(({ subject }) => subject.endsWith("validate"))).toMatchObject({
      outcome: "warn",
      detail: expect.stringContaining("1 row breaks it, so it was not validated"),
    })
    expect(JSON.stringify(run) + stdout + stderr).not.toContain("Canary")
  })

  it.each(["SIGKILL", "SIGTERM"] as const)(
    "ended by %s in the middle of a rebuild, leaves an index that the next run drops before it rebuilds again",
    async (signal) => {
      const night = await setup({ sql, settings })
      await verified(night)
      await using workspace = await makeWorkspace()
      const writer = new pg.Client({ connectionString: night.database.url, application_name: "the app" })
      await writer.connect()
      await writer.query("begin; update events set kind = 'x' where id = 10")
      try {
        const job = startJob(night, "maintenance", sunday, workspace, { DATABASE_WRITE_URL: night.database.url })
        await untilRows(night.database, "select from pg_class where relname = 'events_id_ccnew'")
        const end = await job.signal(signal)
        expect(end.tookMs).toBeLessThan(6000)
        if (signal === "SIGTERM")
          expect(end.stdout + end.stderr).toContain("an invalid index that it left is dropped by the next run")
        // The server notices that its client is gone although the statement waits.
        const gone =
          "select where not exists (select from pg_stat_activity where application_name = 'nightshift/maintenance' and datname = current_database())"
        await untilRows(night.database, gone)
      } finally {
        await writer.end()
      }
      expect(await indexesOf(night)).toEqual({ events_id: true, events_id_ccnew: false })

      const next = await maintain(night)

      expect(next.exitCode).toBe(0)
      expect(await indexesOf(night)).toEqual({ events_id: true })
      expect(next.run.findings.find(({ subject }) => subject.endsWith("leftovers"))?.detail).toMatch(
        /^public\.events_id_ccnew dropped, .* freed/,
      )
      expect(await stateOf(night)).toEqual({ isSmall: true, isValidated: true, isCared: true })
    },
  )
})

function maintain(night: Night, argv: string[] = [], env: Record<string, string> = {}) {
  return night.run("maintenance", sunday, { DATABASE_WRITE_URL: night.database.url, ...env }, argv)
}

function ledgerOf(night: Night) {
  return directoryLedger(pathToFileURL(join(night.root, ".ops/ledger")).href)
}

/** Records a backup of that time that came back in its restore test. */
async function verified(night: Night, at = "2026-03-08T03:17:00Z"): Promise<void> {
  const set = `${at.slice(0, 19).replaceAll(":", "-")}Z`
  const stream = "backups/main.jsonl"
  await ledgerOf(night).append([
    { stream, row: { type: "set", set, snapshotAt: at, manifestSha256: "00" } },
    { stream, row: { type: "receipt", set, testedAt: at, verdict: "passed" } },
  ])
}

async function stateOf({ database }: Night) {
  const [row] = await database.query(
    `select pg_relation_size('events_id') < 300000 as "isSmall", (select convalidated from pg_constraint where conname = 'known') as "isValidated",
            (select last_vacuum is not null and last_analyze is not null from pg_stat_user_tables where relname = 'events') as "isCared"`,
  )
  return row
}

async function indexesOf({ database }: Night) {
  const rows = await database.query(
    "select c.relname as name, i.indisvalid as valid from pg_index i join pg_class c on c.oid = i.indexrelid where i.indrelid = 'events'::regclass",
  )
  return Object.fromEntries(rows.map(({ name, valid }) => [name, valid]))
}
