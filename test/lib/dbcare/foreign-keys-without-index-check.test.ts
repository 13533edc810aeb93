import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { foreignKeysWithoutIndexCheck } from "../../../lib/dbcare/foreign-keys-without-index-check.ts"
import { withClient } from "../../../lib/postgres/connect.ts"
import { askDone, itemsOf, namesOf } from "../../support/care.ts"
import { createDatabase, type TestDatabase } from "../../support/postgres.ts"

const tables = `create table p (a int, b int, primary key (a, b), unique (a));
  create table c (id int, a int, b int, x int); insert into c (id) select generate_series(1, 50);`
const simple = "alter table c add constraint k foreign key (a) references p (a);"
const double = "alter table c add constraint k foreign key (a, b) references p;"

let database: TestDatabase
beforeAll(async () => {
  database = await createDatabase()
})
afterAll(() => database.drop())

async function prepare(sql: string): Promise<void> {
  await database.query(`drop schema public cascade; create schema public; ${tables} ${sql}`)
}

async function found(sql: string, warn = 0): Promise<string[]> {
  await prepare(sql)
  return namesOf(foreignKeysWithoutIndexCheck, database.url, { warn })
}

describe("foreign keys without index", () => {
  it("are found, with statements that go both ways", async () => {
    await prepare(`create table "Käufe""" (id int primary key, "wer?" int constraint "K ""1""" references p (a))`)
    const items = await itemsOf(foreignKeysWithoutIndexCheck, database.url, { warn: 0 })
    expect(items).toMatchObject([{ item: 'public.Käufe".K "1"', outcome: "warn", evidence: { refersTo: "public.p" } }])
    for (const statement of items[0]?.remedy?.run ?? []) await database.query(statement)
    expect(await namesOf(foreignKeysWithoutIndexCheck, database.url, { warn: 0 })).toEqual([])
    for (const statement of items[0]?.remedy?.undo ?? []) await database.query(statement)
    expect(await namesOf(foreignKeysWithoutIndexCheck, database.url, { warn: 0 })).toHaveLength(1)
  })

  it("are served by an index that begins with their columns in any order, or leaves out their nulls only", async () => {
    for (const index of ["(a, x)", "(a) where a is not null", "using hash (a)", "(a) include (x)"])
      expect({ index, found: await found(`${simple} create index on c ${index}`) }).toEqual({ index, found: [] })
    for (const index of ["(a, b)", "(b, a)", "(b, a, x)", "(a, b) where b is not null"])
      expect({ index, found: await found(`${double} create index on c ${index}`) }).toEqual({ index, found: [] })
  })

  it("are not served by one that begins otherwise, or holds a part of the rows", async () => {
    for (const index of ["(x, a)", "(a) where x > 1", "using brin (a)", "((a + 0))"])
      expect({ index, found: await found(`${simple} create index on c ${index}`) }).toEqual({
        index,
        found: ["public.c.k"],
      })
    for (const index of ["(a)", "(a, x, b)", "(a) include (b)"])
      expect({ index, found: await found(`${double} create index on c ${index}`) }).toEqual({
        index,
        found: ["public.c.k"],
      })
  })

  it("of small tables are not worth a word", async () => {
    expect(await found(simple, 8193)).toEqual([])
    expect(await found(simple, 8192)).toEqual(["public.c.k"])
  })

  it("of a partitioned table are told once, with the size of all partitions", async () => {
    const sql = `create table e (at date, a int constraint k references p (a)) partition by range (at);
      create table e1 partition of e for values from ('2025-01-01') to ('2026-01-01');
      create table e2 partition of e for values from ('2026-01-01') to ('2027-01-01');
      insert into e (at) values ('2025-05-05'), ('2026-06-06')`
    await prepare(sql)
    const items = await itemsOf(foreignKeysWithoutIndexCheck, database.url, { warn: 0 })
    expect(items).toMatchObject([{ item: "public.e.k", evidence: { bytes: 16384 } }])
    for (const statement of items[0]?.remedy?.run ?? []) await database.query(statement)
    expect(await namesOf(foreignKeysWithoutIndexCheck, database.url, { warn: 0 })).toEqual([])
  })

  it("get an index whose name the server can hold, however long theirs are", async () => {
    const name = "ß".repeat(31)
    await prepare(`create table "${name}" ("${name}" int references p (a))`)
    const [item] = await itemsOf(foreignKeysWithoutIndexCheck, database.url, { warn: 0 })
    for (const statement of [...(item?.remedy?.run ?? []), ...(item?.remedy?.undo ?? [])])
      await database.query(statement)
  })

  it("of a table that somebody holds for itself are left out, and not waited for", async () => {
    await prepare(`${simple} create index on c (a) where a > 1`)
    await withClient(database.address, { applicationName: "tests" }, async (holder) => {
      await holder.query("begin; lock table c in access exclusive mode")
      const result = await askDone(foreignKeysWithoutIndexCheck, database.url, { warn: 0 })
      expect(result).toMatchObject({ items: [], notes: [expect.stringContaining("1 table not looked at")] })
    })
  })
})
