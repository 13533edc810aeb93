import { describe, expect, it } from "vitest"
import { withClient } from "../../../lib/postgres/connect.ts"
import { ensureOpsTables } from "../../../lib/postgres/ops-schema.ts"
import { planOf, problemsOf } from "../../support/planned-rule.ts"
import { withDatabase } from "../../support/postgres.ts"

const rule = { table: "events", column: "at", olderThan: "90 days", action: "drop" }
const months = (type: string) => `create table events (id int, at ${type}) partition by range (at);
  create table "Jan" partition of events for values from (minvalue) to ('2026-02-01');
  create table feb partition of events for values from ('2026-02-01') to ('2026-03-01');
  create table mar partition of events for values from ('2026-03-01') to ('2026-04-01');
  create table later partition of events for values from ('2026-06-01') to (maxvalue);
  create table rest partition of events default;
  insert into events values (1, '2026-01-05'), (2, '2026-01-06'), (3, '2026-02-05'), (4, '2026-03-05'), (5, '2026-07-01'), (6, '2026-05-01')`

const names = async (...args: Parameters<typeof planOf>) => (await planOf(...args)).partitions?.map(({ name }) => name)

describe("whole partitions", () => {
  it("are taken where all of their bounds lie before the cutoff, never the default one", () =>
    withDatabase(months("timestamptz"), async (database) => {
      const plan = await planOf(database, rule)
      expect(plan).toMatchObject({ count: 3, tableRows: 6, share: 50, refusals: [] })
      expect(plan.partitions).toMatchObject([
        { name: "Jan", rows: 2, parent: { schema: "public", name: "events" } },
        { name: "feb", rows: 1, bounds: expect.stringMatching(/^FOR VALUES FROM \('2026-02-01/) },
      ])
      expect((await planOf(database, { ...rule, maxShare: 20 })).refusals).toEqual([expect.stringContaining("50 %")])
    }))

  it("end at the bound itself, in the rule's zone where the column has none", () =>
    withDatabase(months("timestamp"), async (database) => {
      const at = (slot: string, timezone = "UTC") => names(database, { ...rule, timezone }, { slot: new Date(slot) })
      expect(await at("2026-05-30T00:00:00Z")).toEqual(["Jan", "feb"])
      expect(await at("2026-05-29T23:59:59Z")).toEqual(["Jan"])
      expect(await at("2026-05-30T00:00:00Z", "America/New_York")).toEqual(["Jan"])
      expect(await at("2026-05-29T23:59:59Z", "Asia/Tokyo")).toEqual(["Jan", "feb"])
    }))

  it("of dates are taken when their last day is old", () =>
    withDatabase(months("date"), async (database) => {
      expect(await names(database, rule, { slot: new Date("2026-05-30T00:00:00Z") })).toEqual(["Jan", "feb"])
      expect(await names(database, rule, { slot: new Date("2026-05-29T23:59:59Z") })).toEqual(["Jan"])
    }))

  it("stay whole when a row of them is on legal hold", () =>
    withDatabase(months("timestamptz"), async (database) => {
      await withClient(database.address, { applicationName: "tests" }, (client) =>
        ensureOpsTables(client, ["legal_hold"]),
      )
      await database.query(
        `insert into ops.legal_hold (table_name, row_key, reason) values ('events', '{"id": 2}', 'a case')`,
      )
      const plan = await planOf(database, rule)
      expect(plan.partitions).toMatchObject([{ name: "feb" }])
      expect(plan).toMatchObject({
        heldBack: 1,
        count: 1,
        notes: ["public.Jan stays whole: 1 row of it is on legal hold"],
      })
    }))

  it("need a table that is partitioned by ranges of the column alone", () =>
    withDatabase(
      `create table plain (id int, at timestamptz);
       create table lists (id int, at timestamptz) partition by list (at);
       create table pairs (id int, at timestamptz) partition by range (at, id);
       create table other (at timestamptz, made timestamptz) partition by range (made)`,
      async (database) => {
        const of = (table: string) => problemsOf(database, { ...rule, table })
        expect(await of("plain")).toEqual([
          'table public.plain has no partitions to drop or detach: use the action "delete", or "archive"',
        ])
        expect(await of("lists")).toEqual([
          'table public.lists is partitioned by list, which tells no age: use the action "delete"',
        ])
        expect(await of("pairs")).toEqual([
          'table public.pairs is partitioned by at, id, not by at alone: use the action "delete"',
        ])
        expect(await of("other")).toEqual([
          'table public.other is partitioned by made, not by at alone: set column to "made", or use the action "delete"',
        ])
      },
    ))
})
