import { describe, expect, it } from "vitest"
import { constraintsCheck } from "../../../lib/dbcare/constraints-check.ts"
import { withClient } from "../../../lib/postgres/connect.ts"
import { askDone, itemsOf, namesOf } from "../../support/care.ts"
import { withDatabase, withRole } from "../../support/postgres.ts"

const sql = `create schema ext; create extension citext with schema ext;
  create table p (code ext.citext primary key, a int, b int, unique (a, b)); insert into p values ('One', 1, 2);
  create table "Ça ""va" (code ext.citext, a int, b int, n int);
  insert into "Ça ""va" values ('ONE', 1, 2, 5), ('two', 1, 3, -5), (null, null, 9, null);
  alter table "Ça ""va" add constraint "clé" foreign key (code) references p not valid;
  alter table "Ça ""va" add constraint pair foreign key (a, b) references p (a, b) not valid;
  alter table "Ça ""va" add constraint positive check (n > 0 and n < 100) not valid;
  alter table "Ça ""va" add constraint small check (n < 1000) not valid;
  alter table "Ça ""va" add constraint good check (n < 1001)`

describe("constraints", () => {
  it("that are not valid are found, with the number of rows that violate each, as validating them would say", async () => {
    await withDatabase(sql, async (database) => {
      const items = await itemsOf(constraintsCheck, database.url)
      const violations = Object.fromEntries(items.map(({ item, evidence }) => [item, evidence.violations]))
      expect(violations).toEqual({
        'public.Ça "va.clé': 1,
        'public.Ça "va.pair': 1,
        'public.Ça "va.positive': 1,
        'public.Ça "va.small': 0,
      })
      for (const { remedy, evidence } of items) {
        const validate = database.query(remedy?.run?.[0] ?? "")
        if (evidence.violations === 0) await validate
        else await expect(validate).rejects.toThrow(/violate/)
      }
      expect(await namesOf(constraintsCheck, database.url)).not.toContain('public.Ça "va.small')
      for (const { remedy } of items) for (const statement of remedy?.undo ?? []) await database.query(statement)
      expect(await namesOf(constraintsCheck, database.url)).toHaveLength(4)
      const failing = await itemsOf(constraintsCheck, database.url, { fail: 1 })
      expect(failing.filter(({ outcome }) => outcome === "fail")).toHaveLength(3)
    })
  })

  it("never run a function of somebody else, nor read what the role may not", async () => {
    const trap = `create table t (i int); insert into t values (1);
      create function trap(i int) returns bool language plpgsql as $$ begin raise 'it ran'; end $$;
      alter table t add constraint trapped check (trap(i)) not valid;
      create domain d as int check (trap(value)); alter table t add constraint hidden check ((i::d) > 0) not valid`
    await withDatabase(trap, async (database) => {
      const items = await itemsOf(constraintsCheck, database.url)
      expect(items.map(({ detail }) => detail)).toEqual(
        Array(2).fill(expect.stringContaining("not counted: its condition calls functions of this database")),
      )
    })
    await withDatabase(sql, async (database) =>
      withRole(database, "secret", async (role) => {
        const items = await itemsOf(constraintsCheck, database.urlAs(role, "secret"))
        expect(items).toHaveLength(4)
        for (const { detail } of items) expect(detail).toContain("not counted: this role may not read all rows")
        await database.query(
          `grant select on all tables in schema public to ${role}; alter table "Ça ""va" enable row level security`,
        )
        const guarded = await itemsOf(constraintsCheck, database.urlAs(role, "secret"))
        for (const { detail } of guarded) expect(detail).toContain("not counted: this role may not read all rows")
      }),
    )
  })

  it("whose condition breaks on a row, or whose table is held, are told all the same", async () => {
    const broken = `create table t (i int); insert into t values (0); alter table t add constraint c check (1 / i > 0) not valid`
    await withDatabase(broken, async (database) => {
      expect((await itemsOf(constraintsCheck, database.url))[0]?.detail).toContain("its condition fails on a row")
      await withClient(database.address, { applicationName: "tests" }, async (holder) => {
        await holder.query("begin; lock table t in access exclusive mode")
        const result = await askDone(constraintsCheck, database.url)
        expect(result).toMatchObject({
          items: [],
          notes: [expect.stringContaining("1 table not looked at: somebody holds a lock")],
        })
      })
    })
  })

  it("of a partitioned table are told once", async () => {
    const parts = `create table e (at date, n int) partition by range (at);
      create table e1 partition of e for values from ('2026-01-01') to ('2027-01-01');
      alter table e add constraint c check (n > 0) not valid`
    await withDatabase(parts, async (database) => {
      expect(await namesOf(constraintsCheck, database.url)).toEqual(["public.e.c"])
    })
  })
})
