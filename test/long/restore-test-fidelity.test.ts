import { randomBytes } from "node:crypto"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it, onTestFinished } from "vitest"
import { sleep } from "../../lib/system/clock.ts"
import { setup } from "../support/night.ts"
import { administer } from "../support/postgres.ts"
import { backUp, prove, testNewest, troubles } from "../support/proven.ts"

const folder = join(import.meta.dirname, "fidelity")
const scripts = readdirSync(folder).map((file) => {
  const sql = readFileSync(join(folder, file), "utf8")
  return { about: sql.slice(3, sql.indexOf("\n")), sql }
})
const bare = "template template0 lc_collate 'C' lc_ctype 'C'"

/** A name for roles of this test's own: all whose names end with it are dropped when the database is. */
function ownRoles(): string {
  const tag = randomBytes(4).toString("hex")
  onTestFinished(async ({ task }) => {
    if (task.result?.state === "fail") return
    await administer(`do $$ declare name text; begin
      for name in select rolname from pg_roles where rolname like '%\\_${tag}' loop execute format('drop role %I', name); end loop; end $$`)
  })
  return tag
}

describe("a database comes back equal", () => {
  it.each(scripts)("with $about", async ({ sql }) => {
    const tag = ownRoles()
    const night = await setup()
    await night.database.query(sql.replaceAll(":tag", tag).replaceAll(":db", night.database.name))
    const { receipt, set } = await prove(night)
    await night.database.query("drop subscription if exists feed")
    expect(troubles(receipt)).toEqual({})
    expect(receipt.verdict).toBe("passed")
    expect(set.manifest.leftOut).toEqual([])
  })

  it.each([
    {
      name: "nothing in it",
      sql: "",
    },
    {
      name: "LATIN1 text and names",
      database: `encoding 'LATIN1' ${bare}`,
      sql: `create table "tä" (ä text, c char(4), j json, x xml, v varchar, n name);
        insert into "tä" values ('ü', 'ö', '"é"', '<a>ß</a>', 'à', 'ñ'); comment on table "tä" is 'für é';
        create type "é" as enum ('ä', 'b'); create table en (e "é", es "é"[]); insert into en values ('ä', '{ä,b}');
        create function f() returns text language sql as 'select ''é''::text'; create index "ï" on "tä" (ä)`,
    },
    {
      name: "bytes of any kind, as SQL_ASCII allows",
      database: `encoding 'SQL_ASCII' ${bare}`,
      sql: String.raw`create table t (a text, c char(4), j json, v varchar, arr text[]);
        insert into t values (E'\xe9\xff', E'\xe9', E'"\xe9"', E'\xfc', array[E'\xe9']);
        comment on table t is E'caf\xe9'; create table "tä" (a int)`,
    },
    {
      name: "characters that have no UTF-8",
      database: `encoding 'WIN1252' ${bare}`,
      sql: "create table t (a text, c char(4), j json, arr text[]); insert into t values ('€', '€', to_json(chr(129)), array[chr(129)]), (chr(129), chr(141), null, null)",
    },
    {
      name: "partitions in the order of an ICU locale",
      database: "encoding 'UTF8' template template0 locale_provider icu icu_locale 'en-US' lc_collate 'C' lc_ctype 'C'",
      sql: `create table t (a text) partition by range (a); create table t1 partition of t for values from ('a') to ('m');
        create table t2 partition of t for values from ('m') to (maxvalue); insert into t values ('B'), ('b'), ('Z'), ('é'); create index on t (a)`,
    },
    {
      name: "the locale C.UTF-8",
      database: "encoding 'UTF8' template template0 lc_collate 'C.UTF-8' lc_ctype 'C.UTF-8'",
      sql: "create table t (a text unique); insert into t values ('é'), ('z'); create index on t (upper(a))",
    },
  ])("with $name", async ({ sql, database = "" }) => {
    const { receipt } = await prove(await setup({ sql, database }))
    expect(troubles(receipt)).toEqual({})
    expect(receipt.verdict).toBe("passed")
  })
})

it("a database comes back equal although it was written to, tables came and went and sequences were in use", async () => {
  const night = await setup({
    sql: `create table busy (id bigserial primary key, v text); insert into busy (v) select md5(i::text) from generate_series(1, 30000) i;
      create table cleared (a int); insert into cleared select i from generate_series(1, 5000) i;
      create sequence down increment -2 maxvalue 1000000 start 1000000 minvalue -1000000; create sequence round maxvalue 1009 start 1000 cycle`,
  })
  let isOver = false
  const writers = [
    "insert into busy (v) select md5(random()::text) from generate_series(1, 50); update busy set v = v || 'x' where id % 97 = 0; delete from busy where id in (select id from busy limit 20)",
    "set lock_timeout = '50ms'; truncate cleared",
    "create table if not exists passing_by (a serial); insert into passing_by default values",
    "set lock_timeout = '50ms'; drop table if exists passing_by",
    "select nextval('down'), nextval('round'), nextval('busy_id_seq')",
  ].map(async (sql) => {
    let rounds = 0
    for (; !isOver; rounds++) {
      await night.database.query(sql).catch(expectRefusal)
      await sleep(10)
    }
    return rounds
  })
  const { set } = await backUp(night, "2026-03-01T03:17:00Z")
  isOver = true
  expect(Math.min(...(await Promise.all(writers)))).toBeGreaterThan(1)
  expect(set.manifest.totals.rows).toBeGreaterThan(30_000)
  const { receipt } = await testNewest(night)
  const { data = [], ...others } = troubles(receipt)
  expect(others).toEqual({})
  expect(data.filter((line) => !line.startsWith("sequence public.round: it starts over"))).toEqual([])
  expect(receipt.verdict).not.toBe("failed")
})

/** Writers meet the locks of the backup, and each other. */
function expectRefusal(error: Error): void {
  expect(error.message).toMatch(/lock timeout|"passing_by" does not exist|duplicate key|relation with OID|deadlock/)
}

describe("what cannot come back equal is said", () => {
  it("a materialized view that asks for the time, or whose query fails by now", async () => {
    const night = await setup({
      sql: `create table t (a int); insert into t values (1), (2);
        create function volatile_one() returns int language sql as 'select (random() * 1000000)::int';
        create materialized view clock as select now() as at, a from t; create materialized view dice as select random() as r from t;
        create materialized view own as select volatile_one() as one; create materialized view divided as select 1 / a as x from t;
        insert into t values (0)`,
    })
    const { receipt, set } = await prove(night)
    expect(set.manifest.leftOut).toEqual([
      "rows of materialized view public.divided: its query fails with SQLSTATE 22012",
    ])
    expect(receipt.levels.data).toMatchObject({
      outcome: "failed",
      differences: ["public.divided: expected rows, found no rows yet"],
      exceptions: [
        "rows of materialized view public.divided: its query fails with SQLSTATE 22012",
        "public.clock: its query asks for now, so it cannot come back equal",
        "public.dice: its query asks for random, so it cannot come back equal",
        "public.own: its query asks for the function volatile_one, so it cannot come back equal",
      ],
    })
    expect(receipt.levels.restore.differences.join()).toContain("division by zero")
  })

  it("event triggers that forbid everything stop neither the restore nor its test", async () => {
    const night = await setup({
      sql: `create table t (a int); insert into t values (1); create materialized view m as select * from t;
        create function forbid() returns event_trigger language plpgsql as $$ begin raise 'no changes here'; end $$;
        create event trigger forbidden on ddl_command_start execute function forbid(); alter event trigger forbidden enable always;
        comment on event trigger forbidden is 'stays'`,
    })
    const { receipt } = await prove(night)
    expect(troubles(receipt)).toEqual({})
    expect(receipt.levels.restore.detail).toContain("event triggers after all else")
    expect(receipt.levels.integrity.detail).toContain("read by pg_amcheck")
  })
})
