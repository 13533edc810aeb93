import { randomBytes } from "node:crypto"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { setup } from "../support/night.ts"
import { prove, troubles } from "../support/proven.ts"

const folder = join(import.meta.dirname, "fidelity")
const scripts = readdirSync(folder).map((file) => {
  const sql = readFileSync(join(folder, file), "utf8")
  return { about: sql.slice(3, sql.indexOf("\n")), sql }
})
const bare = "template template0 lc_collate 'C' lc_ctype 'C'"

describe("a database comes back equal", () => {
  it.each(scripts)("with $about", async ({ sql }) => {
    const night = await setup()
    const own = sql.replaceAll(":tag", randomBytes(4).toString("hex")).replaceAll(":db", night.database.name)
    await night.database.query(own)
    const { receipt, set } = await prove(night)
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
