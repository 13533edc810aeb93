import { describe, expect, it } from "vitest"
import { matching, planOf, problemsOf } from "../../support/planned-rule.ts"
import { type TestDatabase, withDatabase, withRole } from "../../support/postgres.ts"

const sql = `create table logs (id int primary key, at timestamptz default '2026-01-01', note text); insert into logs values (1), (2), (3);
  create table lines (id int primary key, log int references logs on delete cascade); insert into lines values (1, 1)`
const rule = { table: "logs", column: "at", olderThan: "1 day" }

describe("a role that lacks a right", () => {
  const problems = (grants: string, more: object = {}) =>
    withDatabase(sql, (database) =>
      withRole(database, "pw", async (role) => {
        await database.query(grants.replaceAll("$role", role))
        return problemsOf({ ...database, url: database.urlAs(role, "pw") } as TestDatabase, { ...rule, ...more })
      }),
    )

  it("to lock rows is told so before anything is done, and not in the middle of the run", async () => {
    expect(await problems("grant select, delete on logs, lines to $role")).toEqual([
      'the server refuses its query of public.logs: permission denied for table logs: rows are read whole and locked before they change, which takes: grant select, update on "public"."logs" to <role>',
    ])
    expect(await problems("grant select, delete, update on logs to $role; grant select on lines to $role")).toEqual([])
  })

  it("to see rows that go along is told so", async () => {
    expect(await problems("grant select, delete, update on logs to $role")).toEqual([
      'the server refuses its query of public.logs: permission denied for table lines: rows of public.lines refer to those of the rule and must be seen, which takes: grant select on "public"."lines" to <role>',
    ])
  })

  it("to all columns of a table is told so, since legal holds may name any", async () => {
    const some = "grant select (id, at), update, delete on logs to $role; grant select on lines to $role"
    expect(await problems(some)).toEqual([expect.stringContaining('grant select, update on "public"."logs" to <role>')])
  })

  it("may set columns with the right to these alone", async () => {
    const set = { action: "set", set: { note: "gone" } }
    expect(await problems("grant select, update (note) on logs to $role", set)).toEqual([])
  })
})

describe("what the server would refuse half-way", () => {
  it("is refused at once where a rule of the table does something else instead", () =>
    withDatabase(`${sql}; create rule keep as on delete to logs do instead nothing`, async (database) => {
      expect(await problemsOf(database, rule)).toEqual([
        expect.stringContaining('cannot perform DELETE RETURNING on relation "logs"'),
      ])
    }))

  it("is refused where a domain does not take the value, or a function of the condition raises", () =>
    withDatabase(
      `${sql}; create domain short as text check (length(value) < 3); alter table logs add code short;
       create function no() returns bool immutable language plpgsql as $$begin raise exception 'secret'; end$$`,
      async (database) => {
        expect(await problemsOf(database, { ...rule, action: "set", set: { code: "long" } })).toEqual([
          expect.stringContaining('value for domain short violates check constraint "short_check"'),
        ])
        expect(await problemsOf(database, { ...rule, where: "no()" })).toEqual([
          expect.stringMatching(/^where is no condition on public.logs: a trigger or function of the database raised/),
        ])
      },
    ))

  it("keeps rows that are referred to by a key which would clear a column that takes no null", () =>
    withDatabase(
      `${sql}; create table marks (id int primary key, log int not null references logs on delete set null); insert into marks values (1, 2)`,
      async (database) => {
        const plan = await planOf(database, rule)
        expect(plan).toMatchObject({ count: 2, referredTo: 1, refusals: [] })
        expect(await matching(database, plan)).toEqual([1, 3])
      },
    ))
})
