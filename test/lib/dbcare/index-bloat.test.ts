import { describe, expect, it } from "vitest"
import { judgeBloat, liveRowsOf, liveShareOf, worthBytes } from "../../../lib/dbcare/index-bloat.ts"
import { leftoverBase } from "../../../lib/dbcare/leftovers.ts"
import { readMaintenanceState } from "../../../lib/dbcare/maintenance-state.ts"
import { withClient } from "../../../lib/postgres/connect.ts"
import { withDatabase } from "../../support/postgres.ts"

describe("the estimate of dead space", () => {
  it("is near nothing for new indexes of many kinds of column, and never takes one for half dead", () =>
    withDatabase(
      `create table a (id int, big bigint, word text, at timestamptz, flag boolean, maybe int, key uuid) with (autovacuum_enabled = false);
       insert into a select i, i * 7, 'word ' || i, now() + i * interval '1 second', i % 2 = 0, case when i % 3 = 0 then i end, gen_random_uuid() from generate_series(1, 30000) i;
       analyze a; create index on a (id); create index on a (big); create index on a (word); create index on a (at); create index on a (maybe);
       create index on a (key); create index on a (id, word); create index on a (lower(word)); create index on a (flag); create index on a (id) where flag;
       create index packed on a (big) with (fillfactor = 60); analyze a;`,
      async ({ address }) => {
        const state = await withClient(address, { applicationName: "tests" }, readMaintenanceState)
        const [table] = state.tables
        if (!table) throw new Error("no table")
        const large = state.indexes.filter(({ sizeBytes }) => Number(sizeBytes) >= worthBytes)
        expect(large.length).toBeGreaterThan(8)
        for (const index of large) {
          const percent = judgeBloat(index, table)?.percent
          expect([index.name, percent !== undefined && percent < 20]).toEqual([index.name, true])
        }
      },
    ))
})

describe("the entries of a partial index", () => {
  const index = {
    ...{ oid: "1", tableOid: "2", schema: "public", name: "i", method: "btree", isValid: true, isPartial: true },
    ...{ isExclusion: false, isBeingBuilt: false, definition: "", sizeBytes: 4_000_000, fillFactor: 90 },
    columns: [{ widthBytes: 8, nullShare: 0 }],
  }
  const counts = { wasAnalyzed: true, estimatedRows: 100_000, liveRows: 1_000_000, deadRows: 0 }

  it("grow with the table since both were counted, and are unknown where none was", () => {
    const share = judgeBloat({ ...index, estimatedRows: 20_000 }, counts)
    expect(share?.percent).toBeLessThan(5)
    expect(judgeBloat({ ...index, estimatedRows: 20_000 }, { ...counts, liveRows: 100_000 })?.percent).toBeGreaterThan(
      85,
    )
    expect(judgeBloat({ ...index, estimatedRows: 0 }, counts)).toBeUndefined()
    expect(judgeBloat({ ...index, estimatedRows: -1 }, counts)).toBeUndefined()
  })
})

describe("rows that are there", () => {
  const table = { wasAnalyzed: true, estimatedRows: 100, liveRows: 10, deadRows: 90 }

  it("are those of the statistics, unless these were reset", () => {
    expect(liveRowsOf(table)).toBe(10)
    expect(liveRowsOf({ ...table, wasAnalyzed: false })).toBe(100)
    expect(liveRowsOf({ ...table, wasAnalyzed: false, estimatedRows: -1 })).toBe(10)
    expect(liveShareOf(table)).toBe(0.1)
    expect(liveShareOf({ ...table, liveRows: 0, deadRows: 0 })).toBe(1)
  })
})

describe("a leftover", () => {
  const base = { name: "events_id", isValid: true, tableOid: "1", definition: "f 1" }
  const left = { ...base, name: "events_id_ccnew", isValid: false }

  it("is invalid, has the suffix, and stands beside a valid index of its name, table and definition", () => {
    expect(leftoverBase(left, [base, left])).toBe("events_id")
    expect(leftoverBase({ ...left, name: "events_id_ccold2" }, [base])).toBe("events_id")
  })

  it.each([
    ["it is valid", { ...left, isValid: true }, base],
    ["it has no suffix", { ...left, name: "events_id_new" }, base],
    ["its base is invalid", left, { ...base, isValid: false }],
    ["its base is of another table", left, { ...base, tableOid: "2" }],
    ["its base is another index", left, { ...base, definition: "f 2" }],
    ["its base has another name", left, { ...base, name: "events" }],
  ])("is none when %s", (_, index, other) => {
    expect(leftoverBase(index, [other, index])).toBeUndefined()
  })

  it("is known by a name that the server had to cut", () => {
    const long = "a".repeat(63)
    const cut = { ...left, name: `${"a".repeat(57)}_ccnew` }
    expect(leftoverBase(cut, [{ ...base, name: long }])).toBe(long)
  })
})
