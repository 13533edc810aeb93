import { describe, expect, it } from "vitest"
import { growthOf, tableSizesCheck } from "../../../lib/dbcare/table-sizes-check.ts"
import { withClient } from "../../../lib/postgres/connect.ts"
import { askDone, itemsOf } from "../../support/care.ts"
import { withDatabase, withRole } from "../../support/postgres.ts"

const now = new Date("2026-03-29T04:00:00Z")
const daysAgo = (days: number) => new Date(now.getTime() - days * 86_400_000)

const sql = `create table "Große ""T""" (id int primary key, body text);
  alter table "Große ""T""" alter body set storage external;
  insert into "Große ""T""" select i, repeat('x', 4000) from generate_series(1, 200) i;
  create table e (at date, n int) partition by range (at); create index on e (n);
  create table e1 partition of e for values from ('2025-01-01') to ('2026-01-01');
  create table e2 partition of e for values from ('2026-01-01') to ('2027-01-01');
  insert into e select date '2025-01-01' + i % 700, i from generate_series(1, 20000) i;
  create table tiny (i int); analyze`

describe("table sizes", () => {
  it("are those of Postgres, with indexes, toast and partitions, for every role", async () => {
    await withDatabase(sql, async (database) =>
      withRole(database, "secret", async (role) => {
        const [sizes] = await database.query(`select pg_total_relation_size('"Große ""T"""')::int as large,
          (pg_total_relation_size('e1') + pg_total_relation_size('e2'))::int as parts`)
        for (const url of [database.url, database.urlAs(role, "secret")]) {
          const result = await askDone(tableSizesCheck, url, { warn: 500_000, fail: 1_000_000_000 })
          // The free space map and the visibility map of a relation, 24 to 40 kB, do not count.
          const [parts, large] = result.items
          expect(result.items).toHaveLength(2)
          expect(parts).toMatchObject({ item: "public.e", outcome: "warn", evidence: { partitions: 2, rows: 20000 } })
          expect(large).toMatchObject({ item: 'public.Große "T"', outcome: "warn" })
          for (const [item, real] of [
            [parts, sizes?.parts],
            [large, sizes?.large],
          ] as const)
            expect(Math.abs(Number(item?.evidence.bytes) - Number(real))).toBeLessThan(200_000)
          expect(result.numbers).toMatchObject({
            "table.public.e.bytes": parts?.evidence.bytes,
            "table.public.tiny.bytes": 0,
          })
          expect(result.looked).toBe(3)
        }
      }),
    )
  })

  it("come with what was added since a week ago", async () => {
    await withDatabase(sql, async (database) => {
      const earlier = [{ at: daysAgo(7), numbers: { "table.public.e.bytes": 1000 } }]
      const items = await itemsOf(tableSizesCheck, database.url, { warn: 500_000, now, earlier })
      const of = (name: string) => items.find(({ item }) => item === name)
      expect(of("public.e")?.detail).toMatch(/, up by .* in 7 days$/)
      expect(of('public.Große "T"')?.evidence).not.toHaveProperty("grownBytes")
    })
  })

  it("do not wait for a table that somebody holds for itself", async () => {
    await withDatabase(sql, async (database) =>
      withClient(database.address, { applicationName: "tests" }, async (holder) => {
        await holder.query("begin; lock table e in access exclusive mode")
        expect((await itemsOf(tableSizesCheck, database.url, { warn: 500_000 })).map(({ item }) => item)).toContain(
          "public.e",
        )
      }),
    )
  })
})

describe("growth", () => {
  const sample = (days: number, bytes: number) => ({ at: daysAgo(days), numbers: { n: bytes } })

  it("is counted from the sample nearest to a week ago, and from none that is younger than a day", () => {
    expect(growthOf("n", 500, [sample(20, 1), sample(8, 100), sample(1, 450)], now)).toEqual({ bytes: 400, days: 8 })
    expect(growthOf("n", 500, [sample(0.5, 450)], now)).toBeUndefined()
    expect(growthOf("other", 500, [sample(7, 450)], now)).toBeUndefined()
  })
})
