import { describe, expect, it } from "vitest"
import { matching, planOf, problemsOf } from "../../support/planned-rule.ts"
import { withDatabase, withRole } from "../../support/postgres.ts"

const logs = `create table logs (id int primary key, level text, created_at timestamptz);
  create index on logs (created_at);
  insert into logs select i, case when i % 2 = 0 then 'debug' else 'error' end, '2026-06-15T04:00:00Z'::timestamptz - i * interval '1 day'
    from generate_series(1, 10) i`

describe("a rule that does not fit the database", () => {
  it("is refused with every problem at once, and what was probably meant", () =>
    withDatabase(logs, async (database) => {
      expect(
        await problemsOf(database, {
          table: "logs",
          column: "creatd_at",
          olderThan: "3 days",
          where: "levl = 'debug'",
        }),
      ).toEqual([
        'table public.logs has no column "creatd_at": did you mean created_at?',
        'where is no condition on public.logs: column "levl" does not exist',
      ])
      expect(await problemsOf(database, { table: "lgs", column: "a", olderThan: "3 days" })).toEqual([
        "table public.lgs does not exist: did you mean public.logs?",
      ])
    }))

  it("is refused where its SQL closes more brackets than it opens, has two statements, parameters or an open comment", () =>
    withDatabase(logs, async (database) => {
      const wrong = [
        "true) or (true",
        "true; drop table logs",
        "id = $1",
        "true /* a comment",
        "true], array[true",
        "id",
        "count(*) > 1",
        "'unclosed",
      ]
      for (const where of wrong) {
        const problems = await problemsOf(database, { table: "logs", column: "created_at", olderThan: "1 day", where })
        expect(problems, where).toEqual([expect.stringContaining("where is no condition on public.logs: ")])
      }
      expect(await database.query("select from logs")).toHaveLength(10)
    }))

  it("is refused for an age that is no time, with what to do", () =>
    withDatabase("create table t (id int primary key, at bigint, label text, clock time)", async (database) => {
      const of = (column: string) => problemsOf(database, { table: "t", column, olderThan: "1 day" })
      expect(await of("at")).toEqual([
        "column at of public.t is of type bigint, which is no time: name a timestamptz, timestamp or date, such as one made from seconds by: alter table public.t add column at_at timestamptz generated always as (to_timestamp(at)) stored",
      ])
      expect(await of("label")).toEqual([expect.stringContaining("is of type text, which is no time: name a column")])
      expect(await of("clock")).toEqual([expect.stringContaining("time without time zone, which is no time")])
    }))

  it("is refused for views, and for archives of rows that nothing identifies", () =>
    withDatabase(
      `${logs}; create view v as select * from logs; create table heap (at timestamptz)`,
      async (database) => {
        expect(await problemsOf(database, { table: "v", column: "created_at", olderThan: "1 day" })).toEqual([
          "public.v is a view, whose rows are those of other tables: name the table that holds the rows",
        ])
        expect(
          await problemsOf(database, { table: "heap", column: "at", olderThan: "1 day", action: "archive" }),
        ).toEqual([
          'table public.heap has no primary key, by which archived rows are known again: give it one, or use the action "delete"',
        ])
      },
    ))

  it("is refused for values that its columns do not take", () =>
    withDatabase(
      `create table t (id int generated always as identity primary key, at timestamptz, n int not null, m int generated always as (n + 1) stored, s text)`,
      async (database) => {
        const set = (set: Record<string, unknown>) =>
          problemsOf(database, { table: "t", column: "at", olderThan: "1 day", action: "set", set })
        expect(await set({ id: 1, m: 2, n: null, colour: 1 })).toEqual([
          'column id of public.t is "generated always as identity", which nothing can set',
          "column m of public.t is computed from other columns: set those",
          "column n of public.t takes no null: set it to another value",
          'table public.t has no column "colour": it has: id, at, n, m, s',
        ])
        expect(await set({ n: "many" })).toEqual([expect.stringContaining("invalid input syntax for type integer")])
        expect(await set({ s: { sql: "left(nme, 1)" } })).toEqual([
          'set.s.sql is no expression on public.t: column "nme" does not exist',
        ])
        expect(await set({ s: { sql: "s), n = (1" } })).toEqual([expect.stringContaining("set.s.sql is no expression")])
      },
    ))

  it("plans nothing where row security hides rows from the role", () =>
    withDatabase(`${logs}; alter table logs enable row level security`, (database) =>
      withRole(database, "pw", async (role) => {
        await database.query(`grant select, update, delete on logs to ${role}`)
        const plan = await planOf(
          database,
          { table: "logs", column: "created_at", olderThan: "1 day" },
          { url: database.urlAs(role, "pw") },
        )
        expect(plan.refusals).toEqual([
          "row security hides rows of public.logs from this role: let writeUrl connect as the table's owner, or run: alter role <role> bypassrls",
        ])
      }),
    ))
})

describe("old rows", () => {
  it("are counted with their ages, share and keys, in the order of age, and nothing is changed", () =>
    withDatabase(logs, async (database) => {
      const plan = await planOf(database, { table: "logs", column: "created_at", olderThan: "6 days" })
      expect(plan).toMatchObject({
        ...{ action: "delete", count: 4, tableRows: 10, share: 40, refusals: [], heldBack: 0, referredTo: 0 },
        ...{ oldest: "2026-06-05T04:00:00Z", newest: "2026-06-08T04:00:00Z", sampleKeys: ["10", "9", "8", "7"] },
        cutoff: new Date("2026-06-09T04:00:00Z"),
        selection: {
          walk: "ordered",
          orderBy: ['t."created_at"', 't."id"'],
          orderColumns: ["created_at", "id"],
          targets: [{ schema: "public", name: "logs", count: 4 }],
        },
      })
      expect(await matching(database, plan)).toEqual([10, 9, 8, 7])
      expect(await database.query("select from logs")).toHaveLength(10)
      expect(await database.query("select to_regnamespace('ops') as ops")).toEqual([{ ops: null }])
    }))

  it("are those for which the condition is true as well, a comment at its end included", () =>
    withDatabase(logs, async (database) => {
      const where = "level = 'debug' or id = 9 -- loud ones"
      const plan = await planOf(database, { table: "logs", column: "created_at", olderThan: "6 days", where })
      expect(await matching(database, plan)).toEqual([10, 9, 8])
    }))

  it("are never those without an age, nor those exactly as old as the limit", () =>
    withDatabase(`${logs}; insert into logs values (11, 'x', null), (12, 'x', 'infinity')`, async (database) => {
      const plan = await planOf(database, { table: "logs", column: "created_at", olderThan: "10 days" })
      expect(await matching(database, plan)).toEqual([])
      expect(plan).toMatchObject({ count: 0, refusals: [] })
      expect(plan.oldest).toBeUndefined()
    }))

  it("of a local time are read in the rule's zone, and never too early when the clock is set back", () =>
    withDatabase(
      `create table t (id int primary key, at timestamp);
       insert into t values (1, '2025-10-26 00:59'), (2, '2025-10-26 01:05'), (3, '2025-10-26 01:20'), (4, '2025-10-26 02:00')`,
      async (database) => {
        const at = async (slot: string, timezone = "Europe/London") =>
          matching(
            database,
            await planOf(
              database,
              { table: "t", column: "at", olderThan: "1 hour", timezone },
              { slot: new Date(slot) },
            ),
          )
        // 01:00 to 02:00 is shown twice: 00:00Z to 01:00Z as summer time, 01:00Z to 02:00Z as winter time.
        expect(await at("2025-10-26T01:10:00Z")).toEqual([1])
        expect(await at("2025-10-26T02:10:00Z")).toEqual([1, 2])
        expect(await at("2025-10-26T03:00:00Z")).toEqual([1, 2, 3])
        expect(await at("2025-10-26T03:01:00Z")).toEqual([1, 2, 3, 4])
        expect(await at("2025-10-26T02:10:00Z", "UTC")).toEqual([1, 2])
        expect(await at("2025-10-26T01:10:00Z", "Asia/Tokyo")).toEqual([1, 2, 3, 4])
      },
    ))

  it("of a local time are never taken before their age, whichever of two readings was meant, and at most an hour late", () =>
    withDatabase(
      `create table t (id int primary key, moment timestamptz, at timestamp);
       insert into t select row_number() over (), m, m at time zone 'Europe/London' from (
         select generate_series('2025-10-25T22:00Z'::timestamptz, '2025-10-26T05:00Z', '10 min') m
         union all select generate_series('2025-03-29T22:00Z'::timestamptz, '2025-03-30T05:00Z', '10 min')) m`,
      async (database) => {
        for (const day of ["2025-10-26", "2025-03-30"]) {
          for (let minutes = 0; minutes <= 240; minutes += 15) {
            const cutoff = new Date(Date.parse(`${day}T00:00:00Z`) + minutes * 60_000)
            const at = new Date(cutoff.getTime() + 3_600_000)
            const rule = { table: "t", column: "at", olderThan: "1 hour", timezone: "Europe/London" }
            const { selection } = await planOf(database, rule, { slot: at, showsKeys: false })
            const bounds = `'${cutoff.toISOString()}'::timestamptz`
            const [row] = await database.query(
              `select count(*) filter (where ${selection.condition} and t.moment >= ${bounds})::int as early,
                      count(*) filter (where not ${selection.condition} and t.moment < ${bounds} - interval '1 hour')::int as late from t`,
              selection.values,
            )
            expect(row, at.toISOString()).toEqual({ early: 0, late: 0 })
          }
        }
      },
    ))

  it("of a date are old when the whole day is, in the rule's zone", () =>
    withDatabase(
      "create table t (id int primary key, day date); insert into t select d, '2026-06-01'::date + d from generate_series(0, 5) d",
      async (database) => {
        const at = async (slot: string, timezone: string) =>
          matching(
            database,
            await planOf(
              database,
              { table: "t", column: "day", olderThan: "1 day", timezone },
              { slot: new Date(slot) },
            ),
          )
        expect(await at("2026-06-04T00:00:00Z", "UTC")).toEqual([0, 1])
        expect(await at("2026-06-03T23:59:00Z", "UTC")).toEqual([0])
        expect(await at("2026-06-03T23:59:00Z", "Asia/Tokyo")).toEqual([0, 1])
        expect(await at("2026-06-04T03:59:00Z", "America/New_York")).toEqual([0])
        expect(await at("2026-06-04T04:00:00Z", "America/New_York")).toEqual([0, 1])
      },
    ))

  it("take hostile names as they are", () =>
    withDatabase(
      `create schema "Ops ""2"""; create table "Ops ""2"""."Größe's" (id int primary key, "At.; drop" timestamptz default '2020-01-01', "group" text);
       insert into "Ops ""2"""."Größe's" values (1), (2)`,
      async (database) => {
        const rule = { table: `Ops "2".Größe's`, column: "At.; drop", olderThan: "1 day", where: `"group" is null` }
        expect(await planOf(database, rule)).toMatchObject({ count: 2, sampleKeys: ["1", "2"] })
      },
    ))

  it("of partitioned tables and heirs are counted where they are", () =>
    withDatabase(
      `create table events (id int, at timestamptz, primary key (id, at)) partition by range (at);
       create table events_1 partition of events for values from ('2026-01-01') to ('2026-02-01');
       create table events_2 partition of events for values from ('2026-02-01') to ('2026-03-01');
       create table events_3 partition of events for values from ('2026-06-14') to ('2026-07-01');
       insert into events values (1, '2026-02-03'), (2, '2026-01-03'), (3, '2026-01-04'), (4, '2026-06-14');
       create table notes (id int, at timestamptz); create table old_notes () inherits (notes);
       insert into notes values (1, '2026-01-01'); insert into old_notes values (2, '2025-01-01'), (3, '2025-01-01')`,
      async (database) => {
        const events = await planOf(database, { table: "events", column: "at", olderThan: "7 days" })
        expect(events).toMatchObject({ count: 3, oldest: "2026-01-03T00:00:00Z", newest: "2026-02-03T00:00:00Z" })
        expect(events.selection.targets).toMatchObject([
          { name: "events_1", count: 2 },
          { name: "events_2", count: 1 },
        ])
        const notes = await planOf(database, { table: "notes", column: "at", olderThan: "7 days" })
        expect(notes.selection.targets).toMatchObject([
          { name: "old_notes", count: 2 },
          { name: "notes", count: 1 },
        ])
      },
    ))
})

describe("orphans", () => {
  it("are rows whose parent is gone; a reference to nothing is none", () =>
    withDatabase(
      `create table users (id int primary key, code text unique); insert into users values (1, 'a'), (2, 'b');
       create table files (id int primary key, owner int, code text);
       insert into files values (1, 1, 'a'), (2, 3, 'b'), (3, null, null), (4, 9, 'z')`,
      async (database) => {
        const found = await planOf(database, { table: "files", orphans: { column: "owner", of: "users" } })
        expect(found).toMatchObject({ action: "report", count: 2, selection: { walk: "listed" } })
        expect(await matching(database, found)).toEqual([2, 4])
        const byCode = { table: "files", orphans: { column: "code", of: "users", key: "code" }, action: "delete" }
        expect(await matching(database, await planOf(database, byCode))).toEqual([4])
        expect(await problemsOf(database, { table: "files", orphans: { column: "ownr", of: "usrs" } })).toEqual([
          "table public.usrs does not exist: did you mean public.users?",
        ])
        expect(await problemsOf(database, { table: "files", orphans: { column: "code", of: "users" } })).toEqual([
          expect.stringContaining("operator does not exist"),
        ])
      },
    ))

  it("are refused where row security hides the parents", () =>
    withDatabase(
      `create table users (id int primary key); create table files (id int primary key, owner int);
       alter table users enable row level security; insert into users values (1); insert into files values (1, 1)`,
      (database) =>
        withRole(database, "pw", async (role) => {
          await database.query(`grant all on users, files to ${role}`)
          const rule = { table: "files", orphans: { column: "owner", of: "users" } }
          const plan = await planOf(database, rule, { url: database.urlAs(role, "pw") })
          expect(plan.refusals).toEqual([expect.stringContaining("row security hides rows of public.users")])
        }),
    ))
})

describe("duplicates", () => {
  const sql = `create table hits (id int primary key, a text, b int, at timestamptz, kind text);
    insert into hits values (1, 'x', 1, '2026-01-01', 'm'), (2, 'x', 1, '2026-01-03', 'n'), (3, 'x', 1, '2026-01-02', 'm'), (4, 'x', 2, null, 'm'),
      (5, null, 1, '2026-01-01', 'm'), (6, null, 1, '2026-01-01', 'm'), (7, 'y', 1, null, 'm'), (8, 'y', 1, null, 'm'), (9, 'y', 1, '2020-01-01', 'm')`

  it("are all but the newest, or the oldest, by time and then by key; nothing equals nothing", () =>
    withDatabase(sql, async (database) => {
      const of = async (rule: object) =>
        matching(database, await planOf(database, { table: "hits", duplicates: { by: ["a", "b"] }, ...rule }))
      expect(await of({ column: "at" })).toEqual([1, 3, 7, 8])
      expect(await of({ column: "at", duplicates: { by: ["a", "b"], keep: "oldest" } })).toEqual([2, 3, 8, 9])
      expect(await of({})).toEqual([1, 2, 7, 8])
      expect(await of({ column: "at", where: "kind = 'm'" })).toEqual([1, 7, 8])
    }))

  it("are found without a primary key, one of each staying", () =>
    withDatabase(
      "create table t (id int, a int); insert into t select i, i % 3 from generate_series(1, 9) i",
      async (database) => {
        const plan = await planOf(database, { table: "t", duplicates: { by: ["a"] } })
        expect(await matching(database, plan)).toHaveLength(6)
        expect(plan).toMatchObject({ count: 6, sampleKeys: [] })
      },
    ))
})

describe("stuck rows and columns to set", () => {
  const sql = `create table jobs (id int primary key, status text, started_at timestamptz, meta json);
    insert into jobs values (1, 'running', '2026-06-15 01:00Z'), (2, 'running', '2026-06-15 03:30Z'), (3, 'done', '2026-06-01'), (4, 'running', null)`
  const stuck = { table: "jobs", column: "started_at", stuck: { longerThan: "2 hours", where: "status = 'running'" } }

  it("are rows too long in their state", () =>
    withDatabase(sql, async (database) => {
      const plan = await planOf(database, stuck)
      expect(plan.action).toBe("report")
      expect(await matching(database, plan)).toEqual([1])
    }))

  it("leave out rows that are so already, so that twice is once", () =>
    withDatabase(sql, async (database) => {
      const rule = { ...stuck, action: "set", set: { status: "failed", meta: { sql: `'{"by": "cleanup"}'` } } }
      const plan = await planOf(database, rule)
      expect(plan).toMatchObject({ count: 1, set: { status: "failed" } })
      expect(await matching(database, plan)).toEqual([1])
      const anonymise = {
        table: "jobs",
        column: "started_at",
        olderThan: "1 hour",
        action: "anonymise",
        set: { status: "gone" },
      }
      expect((await planOf(database, anonymise)).count).toBe(2)
      await database.query("update jobs set status = 'gone' where id = 3")
      expect(await matching(database, await planOf(database, anonymise))).toEqual([1])
    }))
})

describe("the caps", () => {
  const rule = { table: "logs", column: "created_at", olderThan: "6 days" }

  it("refuse what is more than a share of the table, or a number of rows, until told otherwise", () =>
    withDatabase(logs, async (database) => {
      expect((await planOf(database, { ...rule, maxShare: 20 })).refusals).toEqual([
        "it would take 40 % of the table, and maxShare is 20 %: look at the plan, then start with --allow-large",
      ])
      expect((await planOf(database, { ...rule, maxRows: 3 })).refusals).toEqual([
        "it would take 4 rows, and maxRows is 3: look at the plan, then start with --allow-large",
      ])
      const allowed = await planOf(database, { ...rule, maxShare: 20 }, { allowLarge: true })
      expect(allowed).toMatchObject({ refusals: [], notes: [expect.stringContaining("allowed by --allow-large")] })
      expect((await planOf(database, { ...rule, maxShare: 20 }, { limit: 2 })).refusals).toEqual([])
      expect((await planOf(database, { ...rule, maxShare: 40, maxRows: 4 })).refusals).toEqual([])
    }))

  it("count what goes along by cascade", () =>
    withDatabase(
      `${logs}; create table lines (id int primary key, log int references logs on delete cascade);
       insert into lines select i, 1 + i % 10 from generate_series(0, 99) i; create index on lines (log)`,
      async (database) => {
        const plan = await planOf(database, { ...rule, maxRows: 40, maxShare: 39 })
        expect(plan.cascades).toEqual([
          { schema: "public", name: "lines", through: "lines_log_fkey", effect: "deleted", count: 40 },
        ])
        expect(plan.refusals).toEqual([
          expect.stringContaining("it would take 44 rows (40 of them in other tables, by cascade), and maxRows is 40"),
          expect.stringContaining("it would take 40 % of the table"),
          expect.stringContaining("by cascade it would take 40 % of public.lines, and maxShare is 39 %"),
        ])
      },
    ))
})
