import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import {
  type ComparedIndex,
  duplicateIndexesCheck,
  findRedundant,
} from "../../../lib/dbcare/duplicate-indexes-check.ts"
import { itemsOf, namesOf } from "../../support/care.ts"
import { createDatabase, type TestDatabase, withDatabase } from "../../support/postgres.ts"

const table = `create table t (a int not null, b text, c timestamptz, d int);
  insert into t select i, i::text, now(), i from generate_series(1, 100) i;`

let database: TestDatabase
beforeAll(async () => {
  database = await createDatabase()
})
afterAll(() => database.drop())

/** What is found in a schema of its own. */
async function found(sql: string, warn = 0): Promise<string[]> {
  await database.query(`drop schema public cascade; create schema public; ${table} ${sql}`)
  return namesOf(duplicateIndexesCheck, database.url, { warn })
}

describe("duplicate indexes", () => {
  it("are found once, the younger of the two, with statements that go both ways", async () => {
    await withDatabase(
      `${table} create index one on t (a, b); create index "Zwei ""2""" on t (a, b)`,
      async (database) => {
        const [item, ...rest] = await itemsOf(duplicateIndexesCheck, database.url)
        expect(rest).toEqual([])
        expect(item).toMatchObject({ item: 'public.Zwei "2"', detail: expect.stringContaining("equal to one") })
        const all = [...(item?.remedy?.run ?? []), ...(item?.remedy?.undo ?? [])]
        for (const statement of all) await database.query(statement)
        expect(await namesOf(duplicateIndexesCheck, database.url)).toEqual(['public.Zwei "2"'])
      },
    )
  })

  it("are those that a key, a unique or a longer index covers", async () => {
    expect(await found("create unique index u on t (a); create index i on t (a)")).toEqual(["public.i"])
    expect(await found("alter table t add primary key (a); create index i on t (a)")).toEqual(["public.i"])
    expect(await found("alter table t add primary key (a); create unique index i on t (a)")).toEqual(["public.i"])
    expect(await found("create index long on t (a, b, c); create index short on t (a, b)")).toEqual(["public.short"])
    expect(await found("create index i on t (lower(b)); create index j on t (lower(b))")).toEqual(["public.j"])
    expect(await found("create index i on t (a) where d > 1; create index j on t (a) where d > 1")).toEqual([
      "public.j",
    ])
    expect(await found("create index i on t using hash (a); create index j on t using hash (a)")).toEqual(["public.j"])
    expect(await found("create index i on t (a) include (d); create index j on t (a)")).toEqual(["public.j"])
  })

  it("are not those that guard something, or differ in what they can do", async () => {
    for (const sql of [
      "create unique index u on t (a); create index i on t (a, b)",
      "alter table t add unique (a); alter table t add unique (a, d)",
      "create index i on t (a) where d > 1; create index j on t (a)",
      "create index i on t (b); create index j on t (b text_pattern_ops)",
      `create index i on t (b); create index j on t (b collate "C")`,
      "create index i on t (c); create index j on t (c desc)",
      "create index i on t (a); create index j on t using hash (a)",
      "create index i on t (a, b); create index j on t (b)",
      "create index i on t (a, b); create index j on t (a) include (d)",
      "create index i on t using brin (a); create index j on t using brin (a, d)",
      "alter table t add constraint k unique (a) deferrable; create unique index u on t (a)",
      "create index i on t (a, b); create unique index u on t (a); create table r (a int references t (a))",
      "create unique index i on t (a); alter table t replica identity using index i; create index j on t (a, b)",
    ])
      expect({ sql, found: await found(sql) }).toEqual({ sql, found: [] })
  })

  it("count at any size when they are equal, and from a size on when a longer one covers them", async () => {
    expect(await found("create index i on t (a); create index j on t (a, b)", 1_000_000)).toEqual([])
    expect(await found("create index i on t (a); create index j on t (a)", 1_000_000)).toEqual(["public.j"])
  })

  it("of partitioned tables are told once, for the whole", async () => {
    const sql = `create table e (at date, k int) partition by range (at);
      create table e1 partition of e for values from ('2026-01-01') to ('2027-01-01');
      create index one on e (k); create index two on e (k)`
    await withDatabase(sql, async (database) => {
      const [item, ...rest] = await itemsOf(duplicateIndexesCheck, database.url)
      expect(rest).toEqual([])
      expect(item?.item).toBe("public.two")
      for (const statement of [...(item?.remedy?.run ?? []), ...(item?.remedy?.undo ?? [])])
        await database.query(statement)
      expect(await namesOf(duplicateIndexesCheck, database.url)).toEqual(["public.two"])
    })
  })

  it("leave, for each that could go, one that stays and begins with its columns; what guards always stays", () => {
    const key = fc.constantFrom("1 a", "2 a", "3 a")
    const index = fc.record({
      keys: fc.uniqueArray(key, { minLength: 1, maxLength: 3 }),
      isUnique: fc.boolean(),
      guards: fc.boolean(),
      predicate: fc.constantFrom(null, "(d > 1)"),
      tableOid: fc.constantFrom("1", "2"),
    })
    const named = (one: Partial<ComparedIndex>, oid: number): ComparedIndex => ({
      oid,
      schema: "public",
      name: `i${oid}`,
      tableOid: "1",
      table: "t",
      method: "btree",
      isPartitioned: false,
      keys: [],
      included: [],
      predicate: null,
      isUnique: false,
      isImmediate: true,
      nullsEqual: false,
      guards: false,
      bytes: 0,
      scans: 0,
      ...one,
    })
    fc.assert(
      fc.property(fc.array(index, { maxLength: 8 }), (drawn) => {
        const indexes = drawn.map(named)
        const redundant = findRedundant(indexes)
        const going = new Set(redundant.map(({ index }) => index.oid))
        for (const { index, by } of redundant) {
          expect(index.guards || going.has(by.oid)).toBe(false)
          expect(by.tableOid).toBe(index.tableOid)
          expect(by.keys.slice(0, index.keys.length)).toEqual(index.keys)
          expect(!index.isUnique || by.isUnique).toBe(true)
        }
      }),
    )
  })
})
