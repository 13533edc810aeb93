import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { percentUsed, sequencesCheck } from "../../../lib/dbcare/sequences-check.ts"
import { withClient } from "../../../lib/postgres/connect.ts"
import { askCheck, askDone, itemsOf, namesOf } from "../../support/care.ts"
import { withDatabase, withRole } from "../../support/postgres.ts"

describe("sequences", () => {
  it("near the end of their column are found by its type, whatever their own is", async () => {
    const sql = `create table old (id serial primary key); select setval('old_id_seq', 2000000000);
      create table "Neu ""1" (id smallint generated always as identity primary key);
      create table child (parent smallint references "Neu ""1");
      alter table "Neu ""1" alter id restart with 25000; insert into "Neu ""1" default values;
      create sequence wide; create table plain (id int default nextval('wide')); select setval('wide', 2100000000);
      create table fine (id bigserial primary key); select setval('fine_id_seq', 2100000000)`
    await withDatabase(sql, async (database) => {
      const items = await itemsOf(sequencesCheck, database.url)
      expect(items.map(({ item, outcome }) => [item, outcome])).toEqual([
        ["public.wide", "fail"],
        ["public.old_id_seq", "fail"],
        ['public.Neu "1_id_seq', "warn"],
      ])
      expect(items[2]?.remedy?.advice).toContain("1 foreign key to it")
      for (const { remedy } of items) for (const statement of remedy?.run ?? []) await database.query(statement)
      expect(await namesOf(sequencesCheck, database.url)).toEqual([])
      for (const { remedy } of items) for (const statement of remedy?.undo ?? []) await database.query(statement)
      expect(await namesOf(sequencesCheck, database.url)).toHaveLength(3)
    })
  })

  it("near a bound of their own are found, upwards and downwards, but not those that begin again", async () => {
    const sql = `create sequence up maxvalue 100; select setval('up', 95);
      create sequence down increment -1 minvalue -100 maxvalue -1 start -1; select setval('down', -80);
      create sequence round maxvalue 100 cycle; select setval('round', 99);
      create sequence narrow as smallint; select setval('narrow', 30000);
      create sequence unused maxvalue 2`
    await withDatabase(sql, async (database) => {
      const items = await itemsOf(sequencesCheck, database.url)
      expect(items.map(({ item, outcome }) => [item, outcome])).toEqual([
        ["public.up", "fail"],
        ["public.narrow", "fail"],
        ["public.down", "warn"],
      ])
      for (const { remedy } of items) for (const statement of remedy?.run ?? []) await database.query(statement)
      expect(await namesOf(sequencesCheck, database.url)).toEqual([])
      for (const { remedy } of items) for (const statement of remedy?.undo ?? []) await database.query(statement)
      expect(await namesOf(sequencesCheck, database.url)).toHaveLength(3)
    })
  })

  it("that the role may not read are told, and the check is skipped when there is no other", async () => {
    const sql = "create sequence a maxvalue 10; select setval('a', 10); create sequence b"
    await withDatabase(sql, async (database) =>
      withRole(database, "secret", async (role) => {
        const url = database.urlAs(role, "secret")
        expect(await askCheck(sequencesCheck, url)).toEqual({
          status: "skipped",
          reason: `${role} may read no sequence: grant it SELECT on them`,
        })
        await database.query(`grant select on sequence b to ${role}`)
        const result = await askDone(sequencesCheck, url)
        expect(result).toMatchObject({
          looked: 1,
          items: [],
          notes: [expect.stringContaining("1 sequence not looked at")],
        })
      }),
    )
  })

  it("that somebody is altering are left out, and not waited for", async () => {
    await withDatabase("create sequence a maxvalue 10; select setval('a', 10); create sequence b", async (database) =>
      withClient(database.address, { applicationName: "tests" }, async (holder) => {
        await holder.query("begin; alter sequence a maxvalue 20")
        expect(await askDone(sequencesCheck, database.url)).toMatchObject({
          looked: 1,
          items: [],
          notes: [expect.stringContaining("altering")],
        })
      }),
    )
  })

  it("are used by a share that grows with their value, from 0 to 100", () => {
    const value = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
    fc.assert(
      fc.property(fc.uniqueArray(value, { minLength: 3, maxLength: 3 }), (drawn) => {
        const [low = 0n, middle = 0n, high = 0n] = drawn.toSorted((a, b) => (a < b ? -1 : 1))
        for (const [first, limit] of [
          [low, high],
          [high, low],
        ] as const) {
          expect(percentUsed(first, first, limit)).toBe(0)
          expect(percentUsed(first, limit, limit)).toBe(100)
          expect(percentUsed(first, middle, limit)).toBeGreaterThanOrEqual(0)
          expect(percentUsed(first, middle, limit)).toBeLessThanOrEqual(100)
        }
      }),
    )
  })
})
