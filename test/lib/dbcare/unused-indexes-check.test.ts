import { describe, expect, it } from "vitest"
import { daysWithoutUse, unusedIndexesCheck } from "../../../lib/dbcare/unused-indexes-check.ts"
import { askDone, itemsOf, namesOf } from "../../support/care.ts"
import { type TestDatabase, withDatabase } from "../../support/postgres.ts"

const dayMs = 86_400_000
const inDays = (days: number) => new Date(Date.now() + days * dayMs)

/** Large enough to be worth the question: 1.7 MB an index. */
const large = `create table people (id int primary key);
  create table "Große ""T""" (id int primary key, person int references people, n int, u int unique, q int);
  insert into "Große ""T""" (id, n, u, q) select i, i, i, i from generate_series(1, 70000) i;
  create index "Ungenutzt ""n""" on "Große ""T""" (n); create index used on "Große ""T""" (q);
  create index person on "Große ""T""" (person); create index small on people (id);
  analyze; select pg_stat_reset()`

async function use(database: TestDatabase): Promise<void> {
  await database.query(`set enable_seqscan = off; select from "Große ""T""" where q = 7`)
  await expect
    .poll(() => database.query("select from pg_stat_user_indexes where indexrelname = 'used' and idx_scan > 0"))
    .toHaveLength(1)
}

describe("unused indexes", () => {
  it("are large ones that nothing read for long, and neither keys nor those that serve a foreign key", async () => {
    await withDatabase(large, async (database) => {
      await use(database)
      const result = await askDone(unusedIndexesCheck, database.url, { now: inDays(40) })
      expect(result.items.map(({ item }) => item)).toEqual(['public.Ungenutzt "n"'])
      const [item] = result.items
      expect(item).toMatchObject({ outcome: "warn", evidence: { scans: 0, unusedDays: expect.any(Number) } })
      expect(result.numbers).toMatchObject({ "index.public.used.scans": 1 })
      expect(result.notes?.join()).toContain("made lately")
      for (const statement of [...(item?.remedy?.run ?? []), ...(item?.remedy?.undo ?? [])])
        await database.query(statement)
      expect(await namesOf(unusedIndexesCheck, database.url, { now: inDays(40) })).toEqual(['public.Ungenutzt "n"'])
    })
  })

  it("are not told of while counting is young, and that is said", async () => {
    await withDatabase(large, async (database) => {
      const result = await askDone(unusedIndexesCheck, database.url, { now: inDays(10) })
      expect(result.items).toEqual([])
      expect(result.notes).toEqual(["use is counted for 10 days only, 30 are wanted"])
    })
  })

  it("are not those that an earlier sample did not know yet", async () => {
    await withDatabase(large, async (database) => {
      const now = inDays(40)
      const at = inDays(5)
      const result = await askDone(unusedIndexesCheck, database.url, { now })
      const newest = result.numbers?.["indexes.newestOid"] ?? 0
      expect(
        await namesOf(unusedIndexesCheck, database.url, {
          now,
          earlier: [{ at, numbers: { "indexes.newestOid": newest } }],
        }),
      ).toHaveLength(2)
      const young = [
        { at, numbers: { "indexes.newestOid": 1 } },
        { at: inDays(30), numbers: { "indexes.newestOid": 1 } },
      ]
      expect(await namesOf(unusedIndexesCheck, database.url, { now, earlier: young })).toEqual([])
    })
  })

  it("are those as well whose count did not grow for long", async () => {
    await withDatabase(large, async (database) => {
      await use(database)
      const earlier = [1, 8, 20].map((days) => ({
        at: inDays(days),
        numbers: { "index.public.used.scans": 1, "indexes.newestOid": 4_000_000_000 },
      }))
      const items = await itemsOf(unusedIndexesCheck, database.url, { now: inDays(40), earlier })
      expect(items.map(({ item }) => item).sort()).toEqual(['public.Ungenutzt "n"', "public.used"])
    })
  })

  it("of a partitioned table count as one", async () => {
    const sql = `create table e (at date, k int) partition by range (at);
      create table e1 partition of e for values from ('2026-01-01') to ('2027-01-01');
      insert into e select '2026-02-02', i from generate_series(1, 60000) i; create index whole on e (k); select pg_stat_reset()`
    await withDatabase(sql, async (database) => {
      const [item, ...rest] = await itemsOf(unusedIndexesCheck, database.url, { now: inDays(40) })
      expect(rest).toEqual([])
      expect(item).toMatchObject({ item: "public.whole", remedy: { run: ['drop index "public"."whole"'] } })
      for (const statement of [...(item?.remedy?.run ?? []), ...(item?.remedy?.undo ?? [])])
        await database.query(statement)
      expect(await namesOf(unusedIndexesCheck, database.url, { now: inDays(40) })).toEqual(["public.whole"])
    })
  })
})

describe("days without use", () => {
  const now = new Date("2026-06-30T00:00:00Z")
  const index = { oid: 100, schema: "public", name: "i", scans: 5, lastScan: null }
  const daysAgo = (days: number, scans: number) => ({
    at: new Date(now.getTime() - days * dayMs),
    numbers: { "index.public.i.scans": scans },
  })
  const of = (earlier: ReturnType<typeof daysAgo>[], countedDays = 100) =>
    daysWithoutUse(index, { countedDays, earlier, now })

  it("are counted from the first sample since which nothing changed", () => {
    expect(of([daysAgo(35, 4), daysAgo(20, 5), daysAgo(2, 5)])).toBe(20)
    expect(of([daysAgo(35, 5), daysAgo(20, 4), daysAgo(2, 5)])).toBe(2)
    expect(of([daysAgo(35, 5), daysAgo(2, 4)])).toBe(0)
    expect(of([])).toBe(0)
  })

  it("never reach beyond a reset, for the same number may have been counted anew", () => {
    expect(of([daysAgo(35, 5), daysAgo(10, 5)], 15)).toBe(10)
  })

  it("follow the server's own time of the last use where it has one", () => {
    const lastScan = new Date(now.getTime() - 50 * dayMs)
    expect(daysWithoutUse({ ...index, lastScan }, { countedDays: 90, earlier: [], now })).toBe(50)
  })
})
