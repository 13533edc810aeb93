import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type ColumnWidth, expectedBtreePages, expectedHeapPages } from "../../../lib/dbcare/expected-size.ts"
import { indexBloatCheck } from "../../../lib/dbcare/index-bloat-check.ts"
import { tableBloatCheck } from "../../../lib/dbcare/table-bloat-check.ts"
import { askCheck, askDone, itemsOf } from "../../support/care.ts"
import { type TestDatabase, withDatabase, withRole } from "../../support/postgres.ts"

/** A table of 15 MB, of which one row in ten is left; and one that is whole. */
const bloated = `create table "Voll ""er Luft" (id bigint, kind text, filler text) with (autovacuum_enabled = false);
  insert into "Voll ""er Luft" select i, 'kind ' || i, repeat('x', 50) from generate_series(1, 160000) i;
  create index "Luft ""idx" on "Voll ""er Luft" (kind, filler);
  create index expression on "Voll ""er Luft" ((kind || filler));
  create table whole (id bigint primary key, kind text, n int, m bigint, filler text);
  insert into whole select i, case when i % 3 > 0 then 'kind ' || i end, i, i, repeat('x', 40) from generate_series(1, 160000) i;
  delete from "Voll ""er Luft" where id % 10 <> 0`

async function settle(database: TestDatabase): Promise<void> {
  await database.query(`vacuum (analyze, index_cleanup on) "Voll ""er Luft"`)
  await database.query("analyze whole")
}

const luft = 'public.Voll "er Luft'

describe("bloat", () => {
  it("is estimated from statistics alone, called an estimate, and gone after the remedy", async () => {
    await withDatabase(bloated, async (database) => {
      await settle(database)
      const items = await itemsOf(tableBloatCheck, database.url)
      expect(items.map(({ item }) => item)).toEqual([luft])
      expect(items[0]?.detail).toMatch(/^(8[5-9]|9[0-3]) % of .* is dead or empty \(estimate\)$/)
      const indexes = await itemsOf(indexBloatCheck, database.url)
      expect(indexes.map(({ item }) => item).sort()).toEqual(['public.Luft "idx', "public.expression"])
      for (const { detail } of indexes) expect(detail).toContain("(estimate)")
      for (const { remedy } of [...indexes, ...items])
        for (const statement of remedy?.run ?? []) await database.query(statement)
      expect(await itemsOf(tableBloatCheck, database.url)).toEqual([])
      expect(await itemsOf(indexBloatCheck, database.url)).toEqual([])
    })
  })

  it("is measured where pgstattuple is there and the role may call it", async () => {
    await withDatabase(bloated, async (database) =>
      withRole(database, "secret", async (role) => {
        await settle(database)
        await database.query("create schema ext; create extension pgstattuple schema ext")
        const both = async (url: string) => [
          ...(await itemsOf(tableBloatCheck, url)),
          ...(await itemsOf(indexBloatCheck, url)),
        ]
        const measured = await both(database.url)
        expect(measured.map(({ evidence }) => evidence.method)).toEqual(["pgstattuple", "pgstatindex", "pgstatindex"])
        for (const { evidence } of measured) {
          expect(evidence.percent).toBeGreaterThan(70)
          expect(evidence.percent).toBeLessThan(95)
        }
        await database.query(`grant select on all tables in schema public to ${role}`)
        const url = database.urlAs(role, "secret")
        expect((await both(url)).map(({ evidence }) => evidence.method)).toEqual(["estimate", "estimate"])
        expect((await askDone(indexBloatCheck, url)).notes).toEqual([expect.stringContaining("1 B-tree not looked at")])
        await database.query(`grant usage on schema ext to ${role}; grant pg_stat_scan_tables to ${role}`)
        expect((await both(url)).map(({ evidence }) => evidence.method)).toEqual(["pgstattuple", "pgstatindex"])
      }),
    )
  })

  it("is not looked for where statistics are hidden, or not there, and that is said", async () => {
    await withDatabase(bloated, async (database) =>
      withRole(database, "secret", async (role) => {
        await database.query("analyze whole")
        const url = database.urlAs(role, "secret")
        for (const check of [tableBloatCheck, indexBloatCheck])
          expect(await askCheck(check, url)).toMatchObject({
            status: "skipped",
            reason: expect.stringContaining("SELECT"),
          })
        await settle(database)
        await database.query(`grant select on whole to ${role}`)
        const result = await askDone(tableBloatCheck, url)
        expect(result).toMatchObject({
          looked: 1,
          items: [],
          notes: [expect.stringContaining("1 table not looked at")],
        })
        await database.query("delete from pg_statistic where starelid = 'whole'::regclass", [])
        const blank = await askDone(tableBloatCheck, database.url)
        expect(blank.notes).toEqual([expect.stringContaining("run ANALYZE")])
      }),
    )
  })
})

describe("the expected size", () => {
  const column = (width: number | null, nullShare = 0, align = "d", length = 8): ColumnWidth => ({
    width,
    nullShare,
    align,
    length,
  })
  const of = (rows: number, columns: ColumnWidth[], fillPercent = 100) => ({
    rows,
    columns,
    blockBytes: 8192,
    fillPercent,
  })

  it("is that of a freshly written table or index, within a tenth", async () => {
    const sql = `create table t (a int, b bigint, c text, d smallint, e timestamptz);
      insert into t select i, i, repeat('x', i % 50), case when i % 2 = 0 then 1 end, now() from generate_series(1, 50000) i;
      create unique index i on t (b, c); analyze t`
    await withDatabase(sql, async (database) => {
      const [real] = await database.query(
        "select (select relpages from pg_class where relname = 't') as heap, (select relpages from pg_class where relname = 'i') as btree",
      )
      const text = column(25, 0, "i", -1)
      const heap = expectedHeapPages(
        of(50000, [column(4, 0, "i", 4), column(8), text, column(2, 0.5, "s", 2), column(8)]),
      )
      const btree = expectedBtreePages(of(50000, [column(8), text], 90))
      expect(Math.abs(Number(heap) / Number(real?.heap) - 1)).toBeLessThan(0.1)
      expect(Math.abs(Number(btree) / Number(real?.btree) - 1)).toBeLessThan(0.1)
    })
  })

  it("grows with rows and widths, and is unknown without statistics", () => {
    const drawn = fc.array(
      fc.record({
        width: fc.integer({ min: 1, max: 2000 }),
        nullShare: fc.double({ min: 0, max: 1, noNaN: true }),
        align: fc.constantFrom("c", "s", "i", "d"),
        length: fc.constantFrom(-1, 8),
      }),
      { minLength: 1, maxLength: 6 },
    )
    fc.assert(
      fc.property(drawn, fc.integer({ min: 1, max: 1e6 }), fc.integer({ min: 1, max: 1e6 }), (columns, rows, more) => {
        for (const pages of [expectedHeapPages, expectedBtreePages]) {
          const fewer = pages(of(rows, columns)) ?? Number.NaN
          expect(pages(of(rows + more, columns))).toBeGreaterThanOrEqual(fewer)
          const wider = columns.map((one) => ({ ...one, width: one.width + 200 }))
          expect(pages(of(rows, wider))).toBeGreaterThanOrEqual(fewer)
          expect(pages(of(rows, [...columns, column(null)]))).toBeUndefined()
        }
      }),
    )
  })
})
