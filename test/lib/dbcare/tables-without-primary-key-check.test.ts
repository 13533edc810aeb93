import { describe, expect, it } from "vitest"
import { tablesWithoutPrimaryKeyCheck } from "../../../lib/dbcare/tables-without-primary-key-check.ts"
import { itemsOf, namesOf } from "../../support/care.ts"
import { withDatabase } from "../../support/postgres.ts"

describe("tables without primary key", () => {
  it("are found, and their statements give them one and take it away", async () => {
    const sql = `create table "Ein ""Log" (id int, line text); insert into "Ein ""Log" values (1, 'a'), (1, 'b');
      create table codes (code text not null, note text); create unique index codes_code on codes (code);
      create table maybe (code text unique)`
    await withDatabase(sql, async (database) => {
      const items = await itemsOf(tablesWithoutPrimaryKeyCheck, database.url)
      expect(items.map(({ item }) => item).sort()).toEqual(['public.Ein "Log', "public.codes", "public.maybe"])
      const codes = items.find(({ item }) => item === "public.codes")
      expect(codes?.remedy?.run).toEqual([`alter table "public"."codes" add primary key using index "codes_code"`])
      for (const { remedy } of items) for (const statement of remedy?.run ?? []) await database.query(statement)
      expect(await namesOf(tablesWithoutPrimaryKeyCheck, database.url)).toEqual([])
      for (const { remedy } of items) for (const statement of remedy?.undo ?? []) await database.query(statement)
      expect(await namesOf(tablesWithoutPrimaryKeyCheck, database.url)).toHaveLength(3)
    })
  })

  it("are not partitions, tables of an extension, of the schema ops, of a provider, or temporary ones", async () => {
    const sql = `create table e (at date) partition by range (at);
      create table e1 partition of e for values from ('2026-01-01') to ('2027-01-01');
      create schema ops; create table ops.watermark (rule text);
      create table owned (i int); alter extension plpgsql add table owned;
      create view v as select 1; create temp table t (i int)`
    await withDatabase(sql, async (database) => {
      expect(await namesOf(tablesWithoutPrimaryKeyCheck, database.url)).toEqual(["public.e"])
    })
  })

  it("are listed up to fifty, the largest first, and the rest is counted", async () => {
    const sql = `do $$ begin for i in 1..60 loop execute format('create table t%s (i int)', i); end loop; end $$;
      insert into t60 select generate_series(1, 10); analyze t60`
    await withDatabase(sql, async (database) => {
      const names = await namesOf(tablesWithoutPrimaryKeyCheck, database.url)
      expect(names).toHaveLength(50)
      expect(names[0]).toBe("public.t60")
    })
  })
})
