import { describe, expect, it } from "vitest"
import { planOf } from "../../support/planned-rule.ts"
import { withDatabase, withRole } from "../../support/postgres.ts"

const events = `create table events (id int, at timestamptz, primary key (id, at)) partition by range (at);
  create table events_1 partition of events for values from ('2026-01-01') to ('2026-02-01');
  create table events_6 partition of events for values from ('2026-06-01') to ('2026-07-01');
  insert into events values (1, '2026-01-02'), (2, '2026-06-02');`
const drop = { table: "events", column: "at", olderThan: "90 days", action: "drop" }
const detach = { ...drop, action: "detach" }

describe("whole partitions", () => {
  it("are not dropped where a foreign key or a view of others needs them, which the plan names", () =>
    withDatabase(
      `${events} create table notes (id int, at timestamptz, constraint "notes""fk" foreign key (id, at) references events);
       create view seen as select * from events_1; create view all_of_them as select * from events`,
      async (database) => {
        expect((await planOf(database, drop)).refusals).toEqual([
          'public.events_1 cannot be dropped, since the foreign key notes"fk of public.notes refers to it: take that away first, or use the action "delete"',
          'public.events_1 cannot be dropped, since the view public.seen reads it: take that away first, or use the action "delete"',
        ])
        expect((await planOf(database, detach)).refusals).toEqual([])
        await database.query("insert into notes values (2, '2026-06-02')")
        expect((await planOf(database, detach)).refusals).toEqual([])
        await database.query("insert into notes values (1, '2026-01-02')")
        expect((await planOf(database, detach)).refusals).toEqual([
          'public.events_1 cannot be detached, since rows of public.notes refer to it (foreign key notes"fk): remove or change those first',
        ])
      },
    ))

  it("may refer to their own table", () =>
    withDatabase(
      `${events} alter table events add column before int, add column before_at timestamptz,
         add foreign key (before, before_at) references events; create table events_2 partition of events for values from ('2026-02-01') to ('2026-03-01')`,
      async (database) => {
        await database.query("update events set before = 1, before_at = '2026-01-02' where id = 1")
        const plan = await planOf(database, detach)
        expect(plan.partitions).toHaveLength(2)
      },
    ))

  it("are taken by their owner alone, which the plan says of a role that is not", () =>
    withDatabase(events, (database) =>
      withRole(database, "pw", async (role) => {
        const url = database.urlAs(role, "pw")
        const refusals = async (rule: typeof drop) => (await planOf(database, rule, { url })).refusals
        await database.query(`grant select on all tables in schema public to ${role}`)
        const [owner] = await database.query("select current_user as name")
        expect(await refusals(drop)).toEqual([
          `public.events_1 belongs to ${owner?.name}, and only its owner may drop it: let writeUrl connect as ${owner?.name}`,
          'this role may not lock public.events, from which partitions are taken: run: grant delete on "public"."events" to <role>',
        ])
        expect(await refusals(detach)).toEqual([
          `public.events belongs to ${owner?.name}, and only its owner may detach partitions: let writeUrl connect as ${owner?.name}`,
        ])
        await database.query(`alter table events_1 owner to ${role}; grant delete on events to ${role}`)
        expect(await refusals(drop)).toEqual([])
        await database.query(`alter table events owner to ${role}`)
        expect(await refusals(detach)).toEqual([])
      }),
    ))
})
