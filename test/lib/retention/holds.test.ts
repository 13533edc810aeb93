import { describe, expect, it } from "vitest"
import { withClient } from "../../../lib/postgres/connect.ts"
import { ensureOpsTables } from "../../../lib/postgres/ops-schema.ts"
import { readHolds } from "../../../lib/retention/holds.ts"
import { matching, planOf, slot } from "../../support/planned-rule.ts"
import { type TestDatabase, withDatabase } from "../../support/postgres.ts"

const messages = `create table messages (id bigint primary key, user_id uuid, amount numeric(10,2), at timestamptz, erased_at timestamptz);
  create index on messages (at);
  insert into messages select i, ('0000000a-0000-0000-0000-00000000000' || i)::uuid, i, '2026-01-01'::timestamptz + i * interval '1 hour', null
    from generate_series(1, 5) i`
const rule = { table: "messages", column: "at", olderThan: "1 day" }

async function hold(database: TestDatabase, ...holds: [table: string | null, row: object, more?: string][]) {
  await withClient(database.address, { applicationName: "tests" }, (client) => ensureOpsTables(client, ["legal_hold"]))
  for (const [table, row, more = "null, null"] of holds)
    await database.query(
      `insert into ops.legal_hold (table_name, row_key, reason, until, released_at) values ($1, $2, 'a case', ${more})`,
      [table, JSON.stringify(row)],
    )
}

describe("a legal hold", () => {
  it("keeps its row, and the plan says how many are kept", () =>
    withDatabase(messages, async (database) => {
      await hold(database, ["public.messages", { id: 2 }], ["messages", { id: "4" }])
      const plan = await planOf(database, rule)
      expect(plan).toMatchObject({ count: 3, heldBack: 2, selection: { hasHolds: true } })
      expect(await matching(database, plan)).toEqual([1n, 3n, 5n].map(String))
    }))

  it("holds nothing once it is released or over, and nothing of other tables or of columns that a table lacks", () =>
    withDatabase(`${messages}; create table other (id int)`, async (database) => {
      await hold(
        database,
        ["messages", { id: 1 }, "null, '2026-01-01'"],
        ["messages", { id: 2 }, "'2026-06-15T03:59Z', null"],
        ["other", { id: 3 }],
        [null, { id: 4, account: 7 }],
        ["Messages", { id: 5 }],
      )
      expect(await planOf(database, rule)).toMatchObject({ count: 5, heldBack: 0 })
    }))

  it("without a table holds the rows of every table that has its columns, whatever the form of the value", () =>
    withDatabase(messages, async (database) => {
      await hold(
        database,
        [null, { user_id: "0000000A-0000-0000-0000-000000000001" }],
        [null, { amount: 2, erased_at: null }, "'2026-06-15T04:01Z', null"],
        [null, { amount: "3.00" }],
        [null, { amount: 4, id: 5 }],
      )
      expect(await matching(database, await planOf(database, rule))).toEqual(["4", "5"])
    }))

  it("is honoured by rules that write columns, and only counted by none that report", () =>
    withDatabase(messages, async (database) => {
      await hold(database, ["messages", { id: 1 }])
      expect(await planOf(database, { ...rule, action: "anonymise", set: { user_id: null } })).toMatchObject({
        count: 4,
        heldBack: 1,
      })
      expect(await planOf(database, { ...rule, action: "archive" })).toMatchObject({ count: 4, heldBack: 1 })
      expect(await planOf(database, { ...rule, action: "report" })).toMatchObject({ count: 5, heldBack: 0 })
    }))

  it("that is placed after the plan is in the condition already", () =>
    withDatabase(messages, async (database) => {
      await hold(database)
      const plan = await planOf(database, rule)
      expect(plan.count).toBe(5)
      await hold(database, ["messages", { id: 3 }])
      expect(await matching(database, plan)).toEqual(["1", "2", "4", "5"])
    }))

  it("on a row that would go along keeps the row above it, however deep", () =>
    withDatabase(
      `${messages};
       create table files (id int primary key, message bigint references messages on delete cascade); create index on files (message);
       create table pages (id int primary key, file int references files on delete cascade); create index on pages (file);
       create table marks (id int primary key, message bigint references messages on delete set null); create index on marks (message);
       insert into files values (10, 1), (20, 2), (30, 3); insert into pages values (100, 10), (200, 20); insert into marks values (1000, 4)`,
      async (database) => {
        await hold(database, ["pages", { id: 100 }], ["files", { id: 30 }], ["marks", { id: 1000 }])
        const plan = await planOf(database, rule)
        expect(await matching(database, plan)).toEqual(["2", "5"])
        expect(plan.heldBack).toBe(3)
        expect(plan.cascades).toEqual([
          { schema: "public", name: "files", through: "files_message_fkey", effect: "deleted", count: 1 },
          { schema: "public", name: "pages", through: "pages_file_fkey", effect: "deleted", count: 1 },
        ])
      },
    ))

  it("on a row of a tree keeps all rows above it", () =>
    withDatabase(
      `create table notes (id int primary key, parent int references notes on delete cascade, at timestamptz default '2026-01-01');
       create index on notes (parent); create index on notes (at);
       insert into notes values (1, null), (2, 1), (3, 2), (4, 3), (5, null), (6, 5), (7, 1)`,
      async (database) => {
        await hold(database, ["notes", { id: 3 }])
        const plan = await planOf(database, { ...rule, table: "notes" })
        expect(await matching(database, plan)).toEqual([4, 5, 6, 7])
        expect(plan).toMatchObject({ heldBack: 3, cascades: [] })
      },
    ))

  it("of a partition's name or its parent's holds the row in either", () =>
    withDatabase(
      `create table events (id int, at timestamptz) partition by range (at);
       create table events_1 partition of events for values from ('2026-01-01') to ('2026-02-01');
       insert into events values (1, '2026-01-01'), (2, '2026-01-02'), (3, '2026-01-03')`,
      async (database) => {
        await hold(database, ["events_1", { id: 1 }], ["public.events", { id: 2 }])
        expect(await matching(database, await planOf(database, { ...rule, table: "events" }))).toEqual([3])
        expect(await matching(database, await planOf(database, { ...rule, table: "events_1" }))).toEqual([3])
      },
    ))

  it("of a table that does not exist is warned of", () =>
    withDatabase(messages, async (database) => {
      await hold(database, ["mesages", { id: 1 }], ["public.messages", { id: 1 }], ["gone", { id: 1 }, "null, now()"])
      const { warnings } = await withClient(database.address, { applicationName: "tests" }, (client) =>
        readHolds(client, slot),
      )
      expect(warnings).toEqual([
        'legal hold 1 names the table "mesages", which does not exist, and so holds nothing: correct its table_name in ops.legal_hold (such as public.messages), or release it',
      ])
    }))

  it("costs next to nothing where there is none", () =>
    withDatabase(
      "create table t (id int primary key, at timestamptz); insert into t select i, '2026-01-01' from generate_series(1, 1000) i",
      async (database) => {
        await hold(database)
        const { selection } = await planOf(database, { ...rule, table: "t" })
        const rows = await database.query(
          `explain (analyze, timing off, summary off) select from t where ${selection.condition}`,
          selection.values,
        )
        const text = rows.map((row) => row["QUERY PLAN"]).join("\n")
        expect(text).toMatch(/never executed/)
      },
    ))

  it("is found among thousands", () =>
    withDatabase(
      `create table t (id int primary key, user_id int, body text, at timestamptz); create index on t (at);
       insert into t select i, i % 4000, repeat('x', 100), '2026-01-01' from generate_series(1, 20000) i; analyze t`,
      async (database) => {
        await hold(database)
        await database.query(
          `insert into ops.legal_hold (table_name, row_key, reason) select 't', jsonb_build_object('user_id', i), 'a case' from generate_series(1, 2000) i;
           insert into ops.legal_hold (row_key, reason) select jsonb_build_object('id', i, 'user_id', i % 4000), 'a case' from generate_series(19001, 20000) i`,
        )
        expect(await planOf(database, { ...rule, table: "t" }, { showsKeys: false })).toMatchObject({
          count: 9000,
          heldBack: 11_000,
        })
      },
    ))
})
