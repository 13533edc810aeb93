import { describe, expect, it } from "vitest"
import { withClient } from "../../lib/postgres/connect.ts"
import { type Night, type NightRun, setup } from "../support/night.ts"
import { until } from "../support/processes.ts"

const at = "2025-06-15T04:23:00Z"

async function prepare(rules: string[], sql: string): Promise<Night> {
  const settings = `writeUrl: secret("DATABASE_WRITE_URL"), verifiedBackupWithin: false, cleanup: [${rules.join(", ")}]`
  return setup({ sql, settings })
}

const clean = (night: Night, argv: string[] = []): Promise<NightRun> =>
  night.run("cleanup", at, { DATABASE_WRITE_URL: night.database.url }, argv)

const twins = (more = "") =>
  `{ name: "twins", table: "hits", column: "at", duplicates: { by: ["a", "b"] }, action: "delete", maxShare: 90 ${more} }`
const hits = (key: string, groups: number, copies: number) => `
  create table hits (n int ${key}, a int, b text, at timestamptz);
  insert into hits select i, i % ${groups}, 'x', '2025-01-01'::timestamptz + i * interval '1 s' from generate_series(0, ${groups * copies - 1}) i;
  create index on hits (a, b)`
const groupsOf = async ({ database }: Night) =>
  (await database.query("select count(distinct a)::int as groups, count(*)::int as rows from hits"))[0]

/** Each delete of the job takes its time. */
const slowly = (table: string) => `
  create function slow() returns trigger language plpgsql as
    $$begin if current_setting('application_name') = 'nightshift/cleanup' then perform pg_sleep(0.002); end if; return old; end$$;
  create trigger slow before delete on ${table} for each row execute function slow()`

describe("duplicates", () => {
  it.each(["primary key", ""])(
    "keep their last row when the app is just deleting the one that would stay (n int %s)",
    (key) =>
      withNight([twins()], hits(key, 20, 3), async (night) => {
        await withClient(night.database.address, { applicationName: "the app" }, async (app) => {
          await app.query("begin; delete from hits where a in (3, 7) and n >= 40")
          const running = clean(night)
          await until("all that is free to be gone", async () => (await groupsOf(night))?.rows === 18 + 4)
          await app.query("commit")
          const { run } = await running
          expect(run.findings).toMatchObject([{ subject: "database/main/cleanup/twins" }])
        })
        expect(await groupsOf(night)).toMatchObject({ groups: 20 })
        expect((await clean(night, ["--again"])).run.findings).toMatchObject([{ outcome: "ok", facts: { left: 0 } }])
        expect(await groupsOf(night)).toEqual({ groups: 20, rows: 20 })
      }),
  )

  it("keep one row of each group while an app deletes and changes all but the last one itself", () =>
    withNight([twins(", where: \"b = 'x'\"")], `${hits("primary key", 150, 5)}; ${slowly("hits")}`, async (night) => {
      let stopped = false
      const deleter = withClient(night.database.address, { applicationName: "the app" }, async (app) => {
        for (let group = 0; !stopped; group = (group + 1) % 150) {
          await app.query("begin")
          const { rows } = await app.query(
            "select n from hits where a = $1 and b = 'x' order by at desc limit 1 for update",
            [group],
          )
          const { rows: all } = await app.query("select from hits where a = $1 and b = 'x'", [group])
          const change = group % 2 === 0 ? "delete from hits where n = $1" : "update hits set b = 'y' where n = $1"
          if (all.length > 1) await app.query(change, [rows[0]?.n])
          await app.query("commit")
        }
      })
      const { run } = await clean(night)
      stopped = true
      await deleter
      expect(run.findings[0]).toMatchObject({ outcome: "ok", facts: { left: 0 } })
      const left = await night.database.query(
        "select count(*)::int as rows, count(distinct a)::int as groups from hits where b = 'x'",
      )
      expect(left).toEqual([{ rows: 150, groups: 150 }])
    }))
})

const slowLogs = `
  create table logs (id int primary key, at timestamptz, owner int); create index on logs (at);
  insert into logs select i, '2025-01-01'::timestamptz + i * interval '1 s', i % 10 from generate_series(1, 1500) i;
  ${slowly("logs")}`
const logs = `{ name: "logs", table: "logs", column: "at", olderThan: "30 days", maxShare: 100 }`
const logsLeft = async ({ database }: Night) => Number((await database.query("select count(*) from logs"))[0]?.count)

describe("a condition that asks another table", () => {
  it("keeps a row that got what keeps it after the batch had begun to look", () =>
    withNight(
      [
        `{ name: "logs", table: "logs", column: "at", olderThan: "30 days", maxShare: 100,
           where: "not exists (select from orders o where o.log = t.id) and pg_sleep(0.01) is not null" }`,
      ],
      `create table logs (id int primary key, at timestamptz); create index on logs (at);
       insert into logs select i, '2025-01-01'::timestamptz + i * interval '1 s' from generate_series(1, 100) i;
       create table orders (log int)`,
      async (night) => {
        const looking = `select from pg_stat_activity where datname = current_database() and application_name = 'nightshift/cleanup'
          and wait_event = 'PgSleep' and (query like 'select count(*)::int%' or query like 'delete from%')`
        const running = clean(night)
        await until("a batch to look", async () => (await night.database.query(looking)).length > 0)
        await withClient(night.database.address, { applicationName: "the app" }, async (app) => {
          await app.query("begin; select from logs where id = 100 for share; insert into orders values (100); commit")
        })
        const { run } = await running
        expect(run.findings).toMatchObject([{ outcome: "ok", facts: { removed: 99, left: 0 } }])
        expect(await night.database.query("select id from logs")).toEqual([{ id: 100 }])
      },
    ))
})

describe("a rule of many batches", () => {
  it("honours a legal hold that is placed while it goes on, from the next batch on", () =>
    withNight([logs], slowLogs, async (night) => {
      const running = clean(night)
      await until("the first batch", async () => (await logsLeft(night)) < 1500)
      await night.database.query(
        "insert into ops.legal_hold (table_name, row_key, reason) values ('logs', '{\"owner\": 7}', 'a case')",
      )
      const held = await night.database.query("select id from logs where owner = 7 order by id")
      expect(held.length).toBeGreaterThan(20)
      const { run, exitCode } = await running
      expect(exitCode).toBe(0)
      expect(run.findings).toMatchObject([
        { outcome: "ok", facts: { removed: 1500 - held.length, heldBack: held.length, left: 0 } },
      ])
      expect(await night.database.query("select id from logs order by id")).toEqual(held)
    }))

  it("says once that the connection was lost, which rules were not begun, and the next run does the rest", () =>
    withNight(
      [logs, logs.replace(`name: "logs"`, `name: "more"`), logs.replace(`name: "logs"`, `name: "most"`)],
      slowLogs,
      async (night) => {
        const running = clean(night)
        await until("the first batch", async () => (await logsLeft(night)) < 1500)
        await night.database.query(
          "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'nightshift/cleanup' and datname = current_database()",
        )
        const { run, exitCode } = await running
        expect(run.findings).toMatchObject([
          { subject: "database/main/cleanup/logs", outcome: "fail" },
          { subject: "database/main/cleanup", outcome: "fail" },
        ])
        // Whether the batch or the lock hears of it first is chance.
        const lost =
          /^stopped: (the lock nightshift\/main is lost: its connection broke|the connection to the database was lost): /
        expect(run.findings[0]?.detail).toMatch(lost)
        expect(run.findings[1]?.detail).toMatch(/its connection broke: .*; these rules had no turn: more, most$/)
        expect(exitCode).toBe(1)
        const again = await clean(night, ["--again"])
        expect(again.exitCode).toBe(0)
        expect(await logsLeft(night)).toBe(0)
      },
    ))

  it("says once that a dry run lost its connection", () =>
    withNight(
      [
        logs.replace(`maxShare`, `where: "pg_sleep(0.01) is not null", maxShare`),
        logs.replace(`name: "logs"`, `name: "more"`),
      ],
      slowLogs,
      async (night) => {
        const running = clean(night, ["--dry-run"])
        await until(
          "the connection to be ended",
          async () =>
            (
              await night.database.query(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'nightshift/cleanup' and datname = current_database() and query like '%count%'",
              )
            ).length > 0,
        )
        const { run, exitCode } = await running
        expect(run.findings).toMatchObject([{ subject: "database/main/cleanup", outcome: "fail" }])
        expect(run.findings[0]?.detail).toMatch(/^the connection to .* was lost: terminating connection/)
        expect(exitCode).toBe(1)
      },
    ))
})

async function withNight(rules: string[], sql: string, fn: (night: Night) => Promise<void>): Promise<void> {
  await fn(await prepare(rules, sql))
}
