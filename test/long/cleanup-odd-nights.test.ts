import { describe, expect, it } from "vitest"
import { withClient } from "../../lib/postgres/connect.ts"
import { type Night, type NightRun, setup } from "../support/night.ts"
import { until } from "../support/processes.ts"

const at = "2025-06-15T04:23:00Z"
const settingsOf = (rules: string[]) =>
  `writeUrl: secret("DATABASE_WRITE_URL"), verifiedBackupWithin: false, cleanup: [${rules.join(", ")}]`
const clean = (night: Night, argv: string[] = [], env: Record<string, string> = {}, time = at): Promise<NightRun> =>
  night.run("cleanup", time, { DATABASE_WRITE_URL: night.database.url, ...env }, argv)
const count = async ({ database }: Night, from = "logs") =>
  Number((await database.query(`select count(*) from ${from}`))[0]?.count)

const logs = `create table logs (id int primary key, at timestamptz); create index on logs (at, id);
  insert into logs select i, '2025-06-15T04:23Z'::timestamptz - i * interval '1 hour' from generate_series(0, 1499) i`
const old = (name = "logs") =>
  `{ name: ${JSON.stringify(name)}, table: "logs", column: "at", olderThan: "1 day", maxShare: 100 }`

describe("cleanup", () => {
  it("takes hostile names as they are, in every place where there is one", async () => {
    const odd = `we"ird; drop table x -- 'é`
    const name = (more = "") => JSON.stringify(odd + more)
    const sql = (more = "") => `"${(odd + more).replaceAll('"', '""')}"`
    const rules = [
      `{ name: ${name("a")}, table: ${name()}, column: ${name()}, olderThan: "1 day", where: ${JSON.stringify(`${sql()} is not null`)}, maxShare: 100 }`,
      `{ name: ${name("b")}, table: ${name("2")}, duplicates: { by: [${name()}] }, action: "delete", maxShare: 100 }`,
      `{ name: ${name("c")}, table: ${name("3")}, orphans: { column: ${name()}, of: ${name("4")}, key: ${name()} }, action: "delete", maxShare: 100 }`,
      `{ name: ${name("d")}, table: ${name("4")}, column: ${name()}, olderThan: "1 day", action: "set", set: { ${name("s")}: "x' || y" }, maxShare: 100 }`,
      `{ name: ${name("e")}, table: ${name("5")}, column: ${name()}, olderThan: "90 days", action: "drop", maxShare: 100 }`,
    ]
    const night = await setup({
      settings: settingsOf(rules),
      sql: `create table ${sql()} (${sql()} timestamptz primary key); insert into ${sql()} values ('2025-01-01');
        create table ${sql("c")} (${sql()} timestamptz references ${sql()} on delete cascade); insert into ${sql("c")} values ('2025-01-01');
        create table ${sql("2")} (${sql()} int, b int); insert into ${sql("2")} values (1, 1), (1, 2);
        create table ${sql("4")} (${sql()} timestamptz, ${sql("s")} text); insert into ${sql("4")} values ('2025-01-01', 'a');
        create table ${sql("3")} (${sql()} timestamptz); insert into ${sql("3")} values ('2025-01-01'), ('2025-01-02');
        create table ${sql("5")} (${sql()} timestamptz) partition by range (${sql()});
        create table ${sql("5 old")} partition of ${sql("5")} for values from ('2025-01-01') to ('2025-02-01')`,
    })

    const { run, exitCode } = await clean(night)

    expect(run.findings.map(({ detail }) => detail)).toEqual([
      `deleted 1 row of public.${odd}`,
      `deleted 1 row of public.${odd}2`,
      `deleted 1 row of public.${odd}3`,
      `set 1 row of public.${odd}4`,
      `dropped 1 partition with 0 rows of public.${odd}5`,
    ])
    expect(exitCode).toBe(0)
    expect(await count(night, sql("c"))).toBe(0)
    expect(await night.database.query(`select ${sql("s")} as s from ${sql("4")}`)).toEqual([{ s: "x' || y" }])
    const again = await clean(night, ["--again"])
    expect(again.run.findings.every(({ detail }) => detail.startsWith("nothing to do in"))).toBe(true)
  })

  it("reads times rightly where the database writes them in another way, and in another zone", async () => {
    const parts = `create table events (id int, at timestamp) partition by range (at);
      create table events_1 partition of events for values from ('2025-01-02') to ('2025-02-01');
      create table events_6 partition of events for values from ('2025-02-01') to ('2025-11-02')`
    const drop = `{ name: "events", table: "events", column: "at", olderThan: "90 days", action: "drop" }`
    const night = await setup({ settings: settingsOf([old(), drop]), sql: `${logs}; ${parts}` })
    await night.database.query(
      `do $$begin execute format('alter database %I set datestyle = ''SQL, DMY''', current_database());
         execute format('alter database %I set timezone = ''Asia/Kolkata''', current_database()); end$$`,
    )

    const { run, exitCode } = await clean(night)

    expect(exitCode).toBe(0)
    expect(run.findings).toMatchObject([{ facts: { removed: 1475, left: 0 } }, { facts: { batches: 1 } }])
    expect(await night.database.query("select max(id), to_regclass('events_6')::text as kept from logs")).toEqual([
      { max: 24, kept: "events_6" },
    ])
  })

  it("refuses an age that reaches back before the year 1", async () => {
    const night = await setup({
      settings: settingsOf([
        old().replace("1 day", "900000 days"),
        `{ name: "stuck", table: "logs", column: "at", stuck: { longerThan: "9000000000 days", where: "true" } }`,
      ]),
      sql: logs,
    })
    const { run, exitCode } = await clean(night)
    expect(exitCode).toBe(2)
    expect(run.summary).toContain('cleanup[0] ("logs"): olderThan is 900000 days, which reaches back before the year 1')
    expect(run.summary).toContain('cleanup[1] ("stuck"): stuck.longerThan is 9000000000 days, which reaches back')
  })

  it("counts days over the end of a year", async () => {
    const days = `create table days (id int primary key, day date); insert into days select i, '2024-12-25'::date + i from generate_series(0, 14) i`
    const rule = `{ name: "days", table: "days", column: "day", olderThan: "1 day", maxShare: 100 }`
    const night = await setup({ settings: settingsOf([rule]), sql: days })
    expect((await clean(night, [], {}, "2024-12-31T23:59:00Z")).exitCode).toBe(0)
    expect(await night.database.query("select min(day)::text from days")).toEqual([{ min: "2024-12-30" }])
    expect((await clean(night, [], {}, "2025-01-01T00:00:00Z")).exitCode).toBe(0)
    expect(await night.database.query("select min(day)::text from days")).toEqual([{ min: "2024-12-31" }])
  })

  it("cleans one database when another is down, and is red", async () => {
    const night = await setup({
      settings: `${settingsOf([old("down")])} }, other: { url: secret("DATABASE_URL"), ${settingsOf([old()]).replace("DATABASE_WRITE_URL", "OTHER_WRITE_URL")}`,
      sql: logs,
    })
    const down = {
      DATABASE_WRITE_URL: night.database.url.replace(/:\d+\//, ":1/"),
      OTHER_WRITE_URL: night.database.url,
    }
    const { run, exitCode } = await clean(night, [], down)
    expect(exitCode).toBe(1)
    expect(run.findings).toMatchObject([
      { subject: "database/main/cleanup", outcome: "fail", detail: expect.stringContaining("cannot connect") },
      { subject: "database/other/cleanup/logs", outcome: "ok", facts: { removed: 1475 } },
    ])
  })

  it("fails a rule alone whose table is locked when the rules are looked at, and does the others", async () => {
    const other = `{ name: "busy", table: "busy", column: "at", olderThan: "1 day" }`
    const night = await setup({
      settings: settingsOf([other, old()]),
      sql: `${logs}; create table busy (at timestamptz)`,
    })
    await night.database.query(
      `do $$begin execute format('alter database %I set lock_timeout = ''200ms''', current_database()); end$$`,
    )
    await withClient(night.database.address, { applicationName: "the app" }, async (app) => {
      await app.query("begin; lock table busy in access exclusive mode")
      const { run, exitCode } = await clean(night)
      expect(exitCode).toBe(1)
      expect(run.findings).toMatchObject([
        { subject: "database/main/cleanup/busy", outcome: "fail", detail: expect.stringContaining("lock timeout") },
        { subject: "database/main/cleanup/logs", outcome: "ok", facts: { removed: 1475 } },
      ])
    })
  })

  it("does it once when four runs are started at the same time", async () => {
    const night = await setup({ settings: settingsOf([old()]), sql: logs })
    const runs = await Promise.all(Array.from({ length: 4 }, () => clean(night)))
    expect(runs.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0, 0])
    const removed = runs.flatMap(({ run }) => run.findings.map(({ facts }) => Number(facts?.removed)))
    expect(removed.toSorted()).toEqual([0, 0, 0, 1475])
    expect(await count(night)).toBe(25)
  })

  it("ends soon when it is told to, and says what was done until then and which rules had no turn", async () => {
    const ending = new AbortController()
    const slow = `create function slow() returns trigger language plpgsql as 'begin perform pg_sleep(0.002); return old; end';
      create trigger slow before delete on logs for each row execute function slow()`
    const sql = `${logs}; ${slow}`
    const night = await setup({ settings: settingsOf([old(), old("more")]), sql, signal: ending.signal })
    const running = clean(night)
    await until("the first batch", async () => (await count(night)) < 1500)
    ending.abort(new Error("SIGTERM"))

    const { run, exitCode } = await running

    expect(exitCode).not.toBe(0)
    expect(run.findings.map(({ detail }) => detail).join("\n")).toContain("SIGTERM; these rules had no turn: more")
    expect(run.findings.map(({ subject, cause }) => [subject, cause])).toEqual([
      ["job/cleanup", undefined],
      ["database/main/cleanup/logs", "job/cleanup"],
      ["database/main/cleanup", "job/cleanup"],
    ])
    expect(JSON.stringify(run.findings)).not.toMatch(/connection .*lost/)
    const left = await count(night)
    expect(left).toBeGreaterThan(25)
    expect(await night.database.query("select count(*)::int from logs where id < 25")).toEqual([{ count: 25 }])
  })
})
