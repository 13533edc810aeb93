import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { matching, planOf, problemsOf } from "../../support/planned-rule.ts"
import { createDatabase, type TestDatabase, withDatabase } from "../../support/postgres.ts"

const rule = { table: "events", column: "at", olderThan: "1 day" }

describe("a large table", () => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await createDatabase(
      `create table events (id int primary key, at timestamptz, user_id int, kind text);
       insert into events select i, '2026-01-01'::timestamptz + i * interval '100 s', i % 1000, 'k' || i % 5 from generate_series(1, 130000) i;
       create table users (id int primary key); insert into users select generate_series(1, 999);
       create table lines (id int primary key, event int references events on delete cascade);
       insert into lines select i, i from generate_series(1, 110000) i; analyze`,
    )
  })
  afterAll(() => database.drop())

  it("is not read from end to end by every batch: the index that is missing is named, with the way back", async () => {
    const { refusals, explain } = await planOf(database, rule)
    expect(refusals).toEqual([
      expect.stringMatching(
        /^each batch would read public\.events from end to end \(130,000 rows, [\d.]+ MB\): run: create index concurrently "events_at_idx" on "public"\."events" \("at"\) \(undo: drop index concurrently "public"\."events_at_idx"\)$/,
      ),
      expect.stringMatching(
        /^the foreign key lines_event_fkey of public\.lines \([\d.]+ MB\) has no index, so that each deleted row would read that table from end to end: run: create index concurrently "lines_event_idx" on "public"\."lines" \("event"\) \(undo: /,
      ),
    ])
    expect(explain.lines.join("\n")).toContain("Seq Scan on events t")
    expect(explain.statement).toContain("for update of t skip locked")
  })

  it("may go on when the statements that were named have run", async () => {
    const { refusals } = await planOf(database, rule)
    for (const refusal of refusals) {
      const sql = refusal.match(/run: (.*) \(undo/)?.[1] ?? ""
      await database.query(sql)
    }
    expect((await planOf(database, rule)).refusals).toEqual([])
    for (const refusal of refusals) await database.query(refusal.match(/\(undo: (.*)\)$/)?.[1] ?? "")
    expect(await planOf(database, rule)).toMatchObject({ refusals })
  })

  it("without a single row to take is only remarked on", async () => {
    const plan = await planOf(database, { ...rule, olderThan: "900 days" })
    expect(plan).toMatchObject({ count: 0, refusals: [] })
    expect(plan.notes).toEqual([
      expect.stringContaining("each batch would read public.events"),
      expect.stringContaining("the foreign key lines_event_fkey"),
    ])
  })

  it("is listed once for orphans, whose parents must have an index", async () => {
    const orphans = {
      table: "events",
      orphans: { column: "user_id", of: "users" },
      action: "set",
      set: { user_id: null },
    }
    expect(await planOf(database, orphans)).toMatchObject({ count: 130, refusals: [], selection: { walk: "listed" } })
  })

  it("needs an index for duplicates", async () => {
    const rule = { table: "events", duplicates: { by: ["user_id", "kind"] }, action: "set", set: { kind: null } }
    const without = await planOf(database, rule)
    expect(without.refusals).toEqual([expect.stringContaining('on "public"."events" ("user_id", "kind")')])
    await database.query("create index pairs on events (user_id, kind)")
    expect((await planOf(database, rule)).refusals).toEqual([])
    await database.query("drop index pairs")
  })
})

describe("rows of other tables", () => {
  it("that refer without an action keep what they refer to, with the number", () =>
    withDatabase(
      `create table events (id int primary key, at timestamptz); create index on events (at);
       insert into events select i, '2026-01-01' from generate_series(1, 6) i;
       create table bills (id int primary key, event int references events); insert into bills values (1, 1), (2, 2), (3, null);
       create table lines (id int primary key, event int references events on delete cascade); insert into lines values (7, 3), (8, 4);
       create table stamps (line int references lines on delete restrict); insert into stamps values (7)`,
      async (database) => {
        const plan = await planOf(database, rule)
        expect(plan).toMatchObject({ count: 3, referredTo: 3, refusals: [] })
        expect(await matching(database, plan)).toEqual([4, 5, 6])
        expect(plan.cascades).toMatchObject([{ name: "lines", effect: "deleted", count: 1 }])
        await database.query(`delete from events t where ${plan.selection.condition}`, plan.selection.values)
        expect(await database.query("select id from events order by 1")).toEqual([{ id: 1 }, { id: 2 }, { id: 3 }])
        expect(await database.query("select id from lines")).toEqual([{ id: 7 }])
      },
    ))

  it("that lose their reference are counted", () =>
    withDatabase(
      `create table events (id int primary key, at timestamptz default '2026-01-01'); create index on events (at); insert into events values (1), (2);
       create table a (id int, event int references events on delete set null); insert into a values (1, 1), (2, 1), (3, 2);
       create table b (id int, event int default 2 references events on delete set default)`,
      async (database) => {
        const plan = await planOf(database, { ...rule, where: "id = 1" })
        expect(plan.cascades).toEqual([
          { schema: "public", name: "a", through: "a_event_fkey", effect: "set null", count: 2 },
        ])
      },
    ))

  it("of the same table free each other from below, and a row that refers to itself is in nobody's way", () =>
    withDatabase(
      `create table events (id int primary key, at timestamptz default '2026-01-01', parent int references events); create index on events (parent);
       insert into events (id, parent) values (1, null), (2, 1), (3, 2), (4, 4)`,
      async (database) => {
        const plan = await planOf(database, rule)
        const remove = `delete from events t where ${plan.selection.condition} returning id`
        expect(await database.query(remove, plan.selection.values)).toEqual([{ id: 3 }, { id: 4 }])
        expect(await database.query(remove, plan.selection.values)).toEqual([{ id: 2 }])
        expect(await database.query(remove, plan.selection.values)).toEqual([{ id: 1 }])
      },
    ))

  it("that cascade in a circle are refused", () =>
    withDatabase(
      `create table events (id int primary key, at timestamptz, b int); create table b (id int primary key, event int references events on delete cascade);
       alter table events add foreign key (b) references b on delete cascade`,
      async (database) => {
        expect(await problemsOf(database, rule)).toEqual([
          'deletes cascade in a circle (public.events <- public.b <- public.events), which cannot be followed: take "on delete cascade" off one of these keys',
        ])
      },
    ))

  it("and the table's own triggers are said", () =>
    withDatabase(
      `create table events (id int primary key, at timestamptz default '2026-01-01'); insert into events values (1);
       create function f() returns trigger language plpgsql as 'begin return old; end';
       create trigger tell after delete on events for each row execute function f()`,
      async (database) => {
        expect((await planOf(database, rule)).notes).toEqual(["each row runs the table's own delete triggers: tell"])
      },
    ))
})
