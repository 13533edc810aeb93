import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { describe, expect, it } from "vitest"
import { directoryLedger } from "../../lib/ledger/directory.ts"
import { withClient } from "../../lib/postgres/connect.ts"
import { type Night, type NightRun, setup } from "../support/night.ts"
import { withRole } from "../support/postgres.ts"

const at = "2026-06-15T04:23:00Z"
const sql = `
  create table sessions (id int primary key, expires_at timestamptz); create index on sessions (expires_at);
  insert into sessions select i, '2026-06-15T04:23Z'::timestamptz - i * interval '1 day' from generate_series(1, 100) i;
  create table users (id int primary key, email text, deleted_at timestamptz);
  insert into users select i, 'user' || i || '@example.com', case when i <= 2 then '2026-01-01'::timestamptz end from generate_series(1, 20) i;
  create table jobs (id int primary key, status text, started_at timestamptz); insert into jobs values (1, 'running', '2026-06-01'), (2, 'running', null)`
const old = `{ name: "sessions", table: "sessions", column: "expires_at", olderThan: "90 days" }`
const gone = `{ name: "gone people", table: "users", column: "deleted_at", olderThan: "30 days", action: "anonymise", set: { email: null } }`
const stuck = `{ name: "stuck jobs", table: "jobs", column: "started_at", stuck: { longerThan: "1 day", where: "status = 'running'" } }`

type Setting = { rules: string[]; sql?: string; within?: string }

async function prepare({ rules, sql: schema = sql, within = "false" }: Setting): Promise<Night> {
  const settings = `writeUrl: secret("DATABASE_WRITE_URL"), verifiedBackupWithin: ${within}, cleanup: [${rules.join(", ")}]`
  return setup({ sql: schema, settings })
}

const clean = (night: Night, argv: string[] = [], env: Record<string, string> = {}, time = at): Promise<NightRun> =>
  night.run("cleanup", time, { DATABASE_WRITE_URL: night.database.url, ...env }, argv)

const count = async ({ database }: Night, from: string) =>
  Number((await database.query(`select count(*) from ${from}`))[0]?.count)

describe("cleanup", () => {
  it("says what to do and names the database when it cannot be reached", async () => {
    const night = await prepare({ rules: [old] })
    const closed = night.database.url.replace(/:\d+\//, ":1/").replace("@", ":s3cret-word@")

    const { run, exitCode, stdout, stderr } = await clean(night, [], { DATABASE_WRITE_URL: closed })

    expect(exitCode).toBe(1)
    expect(run.findings).toMatchObject([{ subject: "database/main/cleanup", outcome: "fail", runbook: "cleanup" }])
    expect(run.summary).toContain("nothing was changed: cannot connect")
    expect(run.summary).toContain("correct the port in DATABASE_WRITE_URL")
    expect(stdout + stderr + JSON.stringify(run)).not.toContain("s3cret-word")
  })

  it("changes nothing and lists all problems when any rule does not fit the database", async () => {
    const night = await prepare({
      rules: [
        old,
        `{ name: "old logs", table: "sesions", column: "expires_at", olderThan: "1 day" }`,
        `{ name: "others", table: "users", column: "deletd_at", olderThan: "1 day", where: "emial is null" }`,
      ],
    })

    const { run, exitCode } = await clean(night)

    expect(exitCode).toBe(2)
    for (const problem of [
      'databases.main.cleanup[1] ("old logs"): table public.sesions does not exist: did you mean public.sessions?',
      'databases.main.cleanup[2] ("others"): table public.users has no column "deletd_at": did you mean deleted_at?',
      'databases.main.cleanup[2] ("others"): where is no condition on public.users: column "emial" does not exist',
    ])
      expect(run.summary).toContain(problem)
    expect(await count(night, "sessions")).toBe(100)
  })

  it("refuses a slot to which the server's clock has not come, whatever its rules do and however it is started", async () => {
    const rules = [
      old,
      stuck,
      `{ name: "events", table: "events", column: "at", olderThan: "90 days", action: "drop", maxShare: 100 }`,
      `{ name: "kept", table: "users", column: "deleted_at", olderThan: "1 day", action: "archive" }`,
    ]
    const events = `create table events (id int, at timestamptz) partition by range (at);
      create table events_1 partition of events for values from ('2026-01-01') to ('2026-02-01')`
    const night = await prepare({ rules, sql: `${sql}; ${events}` })
    const told =
      /databases\.main: the slot 2100-01-01T04:23:00.000Z has not come: the clock of the database server says 20\d\d-/

    for (const argv of [[], ["--dry-run"], ["--allow-large", "--without-backup"], ["--rule", "events"]]) {
      const { run, exitCode } = await clean(night, argv, {}, "2100-01-01T04:23:00Z")
      expect(exitCode).toBe(2)
      expect(run.summary).toMatch(told)
    }
    expect(await count(night, "sessions")).toBe(100)
    expect(await night.database.query("select to_regclass('events_1')::text as name")).toEqual([{ name: "events_1" }])
    expect(await night.database.query("select to_regnamespace('ops') as ops")).toEqual([{ ops: null }])
  })

  it("does what its rules say, says what really changed, and finds nothing to do the second time", async () => {
    const night = await prepare({ rules: [old, gone, stuck] })

    const { run, exitCode } = await clean(night)

    expect(exitCode).toBe(0)
    expect(run.findings).toMatchObject([
      {
        subject: "database/main/cleanup/sessions",
        outcome: "ok",
        detail: "deleted 10 rows of public.sessions",
        facts: {
          action: "delete",
          table: "public.sessions",
          matched: 10,
          removed: 10,
          left: 0,
          heldBack: 0,
          share: 10,
        },
      },
      { subject: "database/main/cleanup/gone people", outcome: "ok", detail: "anonymised 2 rows of public.users" },
      { subject: "database/main/cleanup/stuck jobs", outcome: "warn", runbook: "cleanup" },
    ])
    expect(run.findings[2]?.detail).toContain(
      "1 row of public.jobs (50 % of it, 2026-06-01T00:00:00Z to 2026-06-01T00:00:00Z)",
    )
    expect(await night.database.query("select max(id), count(*)::int from sessions")).toEqual([{ max: 90, count: 90 }])
    expect(await night.database.query("select id from users where email is null order by 1")).toEqual([
      { id: 1 },
      { id: 2 },
    ])
    const ledger = directoryLedger(pathToFileURL(join(night.root, ".ops/ledger")).href)
    expect(await ledger.read("audit/cleanup-main.jsonl")).toMatchObject([
      { type: "cleanup", rule: "sessions", action: "delete", matched: 10, removed: 10, left: 0, run: run.id },
      { type: "cleanup", rule: "gone people", action: "anonymise", removed: 2, run: run.id },
    ])

    const again = await clean(night)
    expect(again.exitCode).toBe(0)
    expect(again.run.findings).toMatchObject([
      { outcome: "ok", detail: "nothing to do in public.sessions" },
      { outcome: "ok", detail: "nothing to do in public.users" },
      { outcome: "warn" },
    ])
  })

  it("catches up exactly when it is late: ages count from the slot", async () => {
    const night = await prepare({ rules: [old] })
    await clean(night, ["--slot", "2026-06-10T04:23:00Z"])
    expect(await count(night, "sessions")).toBe(95)
    await clean(night, ["--slot", at])
    expect(await count(night, "sessions")).toBe(90)
  })

  it("shows the same plan in a dry run, keys included by hand, and changes nothing at all", async () => {
    const night = await prepare({ rules: [old, gone, stuck], within: `"48 hours"` })

    const { run, exitCode, stdout } = await clean(night, ["--dry-run"])

    expect(exitCode).toBe(0)
    expect(run.findings).toMatchObject([
      { subject: "database/main/cleanup", outcome: "warn" },
      { subject: "database/main/cleanup/sessions", outcome: "ok" },
      { subject: "database/main/cleanup/gone people", outcome: "ok" },
      { subject: "database/main/cleanup/stuck jobs", outcome: "warn" },
    ])
    expect(run.findings[0]?.detail).toContain(
      "a real run would change nothing: a verified backup of main not older than 48 hours",
    )
    expect(run.findings[1]?.detail).toBe(
      "would have deleted 10 rows of public.sessions (10 % of it, 2026-03-07T04:23:00Z to 2026-03-16T04:23:00Z)",
    )
    expect(stdout).toContain(
      "| sessions | delete | public.sessions | 10 | 10 % | 2026-03-07T04:23:00Z | 2026-03-16T04:23:00Z | 0 | 0 |",
    )
    expect(stdout).toContain("such as the keys 100; 99; 98; 97; 96")
    expect(stdout).toContain("for update of t skip locked")
    expect(await count(night, "sessions")).toBe(100)
    expect(await count(night, "users where email is null")).toBe(0)
    expect(await night.database.query("select to_regnamespace('ops') as ops")).toEqual([{ ops: null }])
  })

  it("changes nothing without a fresh verified backup, and reports all the same", async () => {
    const night = await prepare({ rules: [old, stuck], within: `"48 hours"` })

    const refused = await clean(night)
    expect(refused.exitCode).toBe(1)
    expect(refused.run.findings).toMatchObject([
      { subject: "database/main/cleanup", outcome: "fail" },
      { subject: "database/main/cleanup/stuck jobs", outcome: "warn" },
    ])
    expect(refused.run.findings[0]?.detail).toContain("nothing was changed: a verified backup of main")
    expect(refused.run.findings[0]?.detail).toContain("--without-backup")
    expect(await count(night, "sessions")).toBe(100)

    const ledger = directoryLedger(pathToFileURL(join(night.root, ".ops/ledger")).href)
    const set = "2026-06-14T03-17-00Z"
    await ledger.append([
      { stream: "backups/main.jsonl", row: { type: "set", set, snapshotAt: "2026-06-14T03:17:00.000Z" } },
      {
        stream: "backups/main.jsonl",
        row: { type: "receipt", set, testedAt: "2026-06-14T05:00:00.000Z", verdict: "passed" },
      },
    ])
    const late = await clean(night, [], {}, "2026-06-17T04:23:00Z")
    expect(late.exitCode).toBe(1)
    expect(await count(night, "sessions")).toBe(100)
    expect((await clean(night)).exitCode).toBe(0)
    expect(await count(night, "sessions")).toBe(90)

    expect((await clean(night, ["--without-backup"], {}, "2026-06-17T05:23:00Z")).exitCode).toBe(0)
    expect(await count(night, "sessions")).toBe(87)
  })

  it("refuses a rule that would take too much, goes on with the others, and does it when it is told to", async () => {
    const large = `{ name: "all", table: "sessions", column: "expires_at", olderThan: "50 days" }`
    const night = await prepare({ rules: [large, gone] })

    const { run, exitCode } = await clean(night)

    expect(exitCode).toBe(1)
    expect(run.findings).toMatchObject([
      { subject: "database/main/cleanup/all", outcome: "fail", facts: { matched: 50, share: 50 } },
      { subject: "database/main/cleanup/gone people", outcome: "ok" },
    ])
    expect(run.findings[0]?.detail).toMatch(
      /^refused, nothing was done: it would take 50 % of the table, and maxShare is 20 %: look at the plan, then start with --allow-large; /,
    )
    expect(await count(night, "sessions")).toBe(100)
    expect((await clean(night, ["--allow-large"])).exitCode).toBe(0)
    expect(await count(night, "sessions")).toBe(50)
  })

  it("takes no more rows than --limit, and only the rules that are named", async () => {
    const night = await prepare({ rules: [old, gone] })

    const { run, exitCode } = await clean(night, ["--rule", "sessions", "--limit", "3"])

    expect(exitCode).toBe(0)
    expect(run.findings).toMatchObject([{ subject: "database/main/cleanup/sessions", facts: { removed: 3, left: 7 } }])
    expect(run.findings[0]?.detail).toContain("7 rows still match, since --limit is 3")
    expect(await night.database.query("select max(id) from sessions")).toEqual([{ max: 97 }])
    const words = await clean(night, ["--dry-run"], { CI: "true", OPS_RULE: "gone people sessions" })
    expect(words.run.findings).toHaveLength(2)
    const unknown = await clean(night, ["--rule", "sesions"])
    expect(unknown.exitCode).toBe(2)
    expect(unknown.run.summary).toContain("--rule sesions: there is no such rule (there is sessions, gone people)")
    expect((await clean(night, ["--database", "other"])).run.summary).toContain(
      "--database other: no database of that name",
    )
  })

  it("leaves rows on legal hold, says how many, and warns of a hold that holds nothing", async () => {
    const night = await prepare({ rules: [old, gone] })
    await clean(night, ["--rule", "sessions", "--limit", "1"])
    await night.database.query(`insert into ops.legal_hold (table_name, row_key, reason)
      values ('sessions', '{"id": 95}', 'a case'), (null, '{"email": "USER1@example.com"}', 'a case'), ('sesions', '{"id": 1}', 'a typo')`)

    const { run, exitCode } = await clean(night)

    expect(exitCode).toBe(0)
    expect(run.findings).toMatchObject([
      { subject: "database/main/cleanup/legal-holds", outcome: "warn" },
      { outcome: "ok", facts: { removed: 8, heldBack: 1, left: 0 } },
      { outcome: "ok", facts: { removed: 1, heldBack: 1, left: 0 } },
    ])
    expect(run.findings[1]?.detail).toContain("1 row held back by a legal hold")
    expect(await night.database.query("select id from sessions where id > 90")).toEqual([{ id: 95 }])
  })

  it("goes on with the other rules when a table vanishes half-way", async () => {
    const night = await prepare({
      rules: [old, `{ name: "victims", table: "victims", column: "at", olderThan: "1 day" }`, gone],
      sql: `${sql}; create table victims (id int primary key, at timestamptz default '2026-01-01'); insert into victims values (1);
        create function f() returns trigger language plpgsql as 'begin drop table if exists victims; return null; end';
        create trigger t after delete on sessions for each statement execute function f()`,
    })

    const { run, exitCode } = await clean(night, ["--allow-large"])

    expect(exitCode).toBe(1)
    expect(run.findings).toMatchObject([
      { subject: "database/main/cleanup/sessions", outcome: "ok", facts: { removed: 10 } },
      { subject: "database/main/cleanup/victims", outcome: "fail" },
      { subject: "database/main/cleanup/gone people", outcome: "ok", facts: { removed: 2 } },
    ])
    expect(run.findings[1]?.detail).toContain("table public.victims does not exist")
  })

  it("waits for another job on the database, then names it and changes nothing", async () => {
    const night = await prepare({ rules: [old] })
    await withClient(night.database.address, { applicationName: "nightshift/backup" }, async (client) => {
      await client.query("select pg_advisory_lock(hashtextextended('nightshift/main', 0))")
      const { run, exitCode } = await clean(night, ["--lock-wait", "1s"])
      expect(exitCode).toBe(1)
      expect(run.summary).toContain("the lock nightshift/main is held by nightshift/backup")
      expect((await clean(night, ["--dry-run"])).exitCode).toBe(0)
    })
    expect(await count(night, "sessions")).toBe(100)
  })

  it("says by whom rows are locked that it could not have", async () => {
    const night = await prepare({ rules: [old] })
    await withClient(night.database.address, { applicationName: "the app" }, async (client) => {
      await client.query("begin; update sessions set expires_at = expires_at where id = 100")
      const { run } = await clean(night)
      expect(run.findings).toMatchObject([{ outcome: "warn", facts: { removed: 9, left: 1 } }])
      expect(run.findings[0]?.detail).toContain("1 row still matches: rows are locked by ")
      await client.query("rollback")
    })
    expect((await clean(night)).run.findings).toMatchObject([{ outcome: "ok", facts: { removed: 1, left: 0 } }])
  })

  it("drops old partitions, detaches others, and archives before it deletes", async () => {
    const rules = [
      `{ name: "events", table: "events", column: "at", olderThan: "90 days", action: "drop", maxShare: 60 }`,
      `{ name: "steps", table: "steps", column: "at", olderThan: "90 days", action: "detach", maxShare: 60 }`,
      `{ name: "messages", table: "sessions", column: "expires_at", olderThan: "90 days", action: "archive" }`,
    ]
    const parts = (name: string) => `create table ${name} (id int, at timestamptz) partition by range (at);
      create table ${name}_1 partition of ${name} for values from ('2026-01-01') to ('2026-02-01');
      create table ${name}_6 partition of ${name} for values from ('2026-06-01') to ('2026-07-01');
      insert into ${name} values (1, '2026-01-02'), (2, '2026-06-02');`
    const night = await prepare({ rules, sql: `${sql}; ${parts("events")} ${parts("steps")}` })

    const { run, exitCode } = await clean(night)

    expect(run.findings.map(({ detail }) => detail)).toEqual([
      expect.stringContaining("dropped 1 partition with 1 row of public.events"),
      expect.stringContaining("detached 1 partition with 1 row of public.steps"),
      expect.stringContaining("archived and then deleted 10 rows of public.sessions"),
    ])
    expect(exitCode).toBe(0)
    expect(await night.database.query("select to_regclass('events_1') as gone")).toEqual([{ gone: null }])
    expect(await count(night, "steps_1")).toBe(1)
    expect(await count(night, "steps")).toBe(1)
    expect(await count(night, "sessions")).toBe(90)
    expect((await night.store.list("archives/")).length).toBeGreaterThan(1)
  })

  it("works as an owner that is no superuser, and says what somebody must run who may make the schema ops", async () => {
    const night = await prepare({ rules: [old] })
    await withRole(night.database, "pw", async (role) => {
      await night.database.query(`grant usage on schema public to ${role}; alter table sessions owner to ${role}`)
      const env = { DATABASE_WRITE_URL: night.database.urlAs(role, "pw") }

      const refused = await clean(night, [], env)
      expect(refused.exitCode).toBe(1)
      expect(refused.run.summary).toContain(
        "this role may not make the schema ops: let its owner run: create schema if not exists ops; ",
      )
      expect(await count(night, "sessions")).toBe(100)

      await night.database.query(
        `create schema ops; create table ops.legal_hold (id bigint generated always as identity primary key, table_name text, row_key jsonb,
           until timestamptz, released_at timestamptz); grant usage on schema ops to ${role}; grant select on ops.legal_hold to ${role}`,
      )
      const blind = await clean(night, [], env)
      expect(blind.exitCode).toBe(2)
      expect(blind.run.summary).toContain("grant select, update on ops.legal_hold to <role>")

      await night.database.query(`grant update on ops.legal_hold to ${role}`)
      expect((await clean(night, [], env)).run.findings).toMatchObject([
        { outcome: "ok", facts: { removed: 10, left: 0 } },
      ])
    })
  })

  it("tells a role without the right to delete before anything is done", async () => {
    const night = await prepare({ rules: [gone, old] })
    await withRole(night.database, "pw", async (role) => {
      await night.database.query(
        `create schema ops; grant all on schema ops to ${role}; alter table users owner to ${role}; grant select on sessions to ${role}`,
      )
      const { run, exitCode } = await clean(night, [], { DATABASE_WRITE_URL: night.database.urlAs(role, "pw") })
      expect(exitCode).toBe(2)
      expect(run.summary).toContain(
        'databases.main.cleanup[1] ("sessions"): the server refuses its query of public.sessions: permission denied',
      )
      expect(await count(night, "users where email is null")).toBe(0)
    })
  })

  it("takes orphans, duplicates and stuck rows, in partitions and without a key, and nothing else", async () => {
    const rules = [
      `{ name: "orphans", table: "files", orphans: { column: "owner", of: "users" }, action: "delete", maxShare: 50 }`,
      `{ name: "twins", table: "hits", column: "at", duplicates: { by: ["a"] }, action: "delete", maxShare: 50 }`,
      `{ name: "stuck", table: "jobs", column: "started_at", stuck: { longerThan: "1 day", where: "status = 'running'" }, action: "set", set: { status: "failed", note: { sql: "'was ' || status -- why" } }, maxShare: 50 }`,
      `{ name: "events", table: "events", column: "at", olderThan: "30 days", where: "kind = 'x' -- noise", maxShare: 50 }`,
    ]
    const night = await prepare({
      rules,
      sql: `create table users (id int primary key); insert into users values (1), (2);
        create table files (id int primary key, owner int); insert into files select i, nullif(i % 4, 0) from generate_series(1, 40) i;
        create table hits (a int, at timestamptz, n int); insert into hits select i / 2, '2026-01-01'::timestamptz + i * interval '1 s', i from generate_series(2, 21) i;
        create table jobs (id int primary key, status text, note text, started_at timestamptz);
        insert into jobs select i, case when i % 2 = 0 then 'running' else 'done' end, null, '2026-06-01' from generate_series(1, 10) i;
        create table events (id int, kind text, at timestamptz, primary key (id, at)) partition by range (at);
        create table events_1 partition of events for values from ('2026-01-01') to ('2026-02-01');
        create table events_2 partition of events for values from ('2026-02-01') to ('2026-07-01');
        insert into events select i, case when i % 3 = 0 then 'x' else 'y' end, '2026-01-01'::timestamptz + i * interval '1 day' from generate_series(1, 160) i`,
    })

    const { run, exitCode } = await clean(night)

    expect(run.findings.map(({ detail }) => detail)).toEqual([
      "deleted 10 rows of public.files",
      "deleted 10 rows of public.hits",
      "set 5 rows of public.jobs",
      "deleted 45 rows of public.events",
    ])
    expect(exitCode).toBe(0)
    expect(
      await night.database.query("select count(*)::int, count(*) filter (where owner = 3)::int as gone from files"),
    ).toEqual([{ count: 30, gone: 0 }])
    expect(await night.database.query("select count(*)::int, sum(n % 2)::int as newer from hits")).toEqual([
      { count: 10, newer: 10 },
    ])
    expect(await night.database.query("select status, note, count(*)::int from jobs group by 1, 2 order by 1")).toEqual(
      [
        { status: "done", note: null, count: 5 },
        { status: "failed", note: "was running", count: 5 },
      ],
    )
    expect(await count(night, "events")).toBe(115)
    expect(await count(night, "events where kind = 'x' and at < '2026-05-16T04:23Z'")).toBe(0)
  })
})
