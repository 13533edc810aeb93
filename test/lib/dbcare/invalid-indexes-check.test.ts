import { describe, expect, it } from "vitest"
import { invalidIndexesCheck } from "../../../lib/dbcare/invalid-indexes-check.ts"
import { withClient } from "../../../lib/postgres/connect.ts"
import { askDone, itemsOf, namesOf } from "../../support/care.ts"
import { withDatabase } from "../../support/postgres.ts"

const doubles = `create table "Öl ""x""" (id int primary key, kind text, v text);
  insert into "Öl ""x""" select i, 'k' || i % 3, repeat('x', 3000) from generate_series(1, 100) i`

describe("invalid indexes", () => {
  it("that a failed build left are found, and their statements mend it", async () => {
    await withDatabase(doubles, async (database) => {
      const build = database.query(`create unique index concurrently "Öl ""i""" on "Öl ""x""" (kind)`)
      await expect(build).rejects.toThrow("could not create unique index")
      const [item] = await itemsOf(invalidIndexesCheck, database.url)
      expect(item).toMatchObject({ item: 'public.Öl "i"', outcome: "warn", evidence: { unique: "yes" } })
      for (const statement of item?.remedy?.undo ?? []) await database.query(statement)
      expect(await namesOf(invalidIndexesCheck, database.url)).toEqual([])
    })
  })

  it("that a cut rebuild left beside one in use are dropped, not rebuilt, and can be made again", async () => {
    await withDatabase(doubles, async (database) => {
      await database.query(`create index good on "Öl ""x""" (kind)`)
      const rebuild = database.query("set statement_timeout = 300; reindex index concurrently good")
      await expect(rebuild).rejects.toThrow() // a batch of two statements is one transaction, in which it may not run
      await withClient(database.address, { applicationName: "tests" }, async (reader) => {
        await reader.query(`begin isolation level repeatable read; select count(*) from "Öl ""x"""`)
        await withClient(database.address, { applicationName: "tests", statementTimeoutMs: 500 }, async (client) => {
          await expect(client.query(`reindex table concurrently "Öl ""x"""`)).rejects.toThrow("statement timeout")
        })
      })
      const items = await itemsOf(invalidIndexesCheck, database.url)
      const names = items.map(({ item }) => item)
      expect(names).toContain("public.good_ccnew")
      expect(names.some((name) => name.startsWith("pg_toast.") && name.endsWith("_ccnew"))).toBe(true)
      const leftover = items.find(({ item }) => item === "public.good_ccnew")
      expect(leftover?.remedy?.run).toEqual([`drop index concurrently "public"."good_ccnew"`])
      expect(leftover?.remedy?.undo?.[0]).toMatch(/^CREATE INDEX CONCURRENTLY good_ccnew ON public\./)
      for (const { remedy } of items) for (const statement of remedy?.run ?? []) await database.query(statement)
      expect(await namesOf(invalidIndexesCheck, database.url)).toEqual([])
    })
  })

  it("that are being built right now are left alone, and mentioned", async () => {
    await withDatabase(doubles, async (database) => {
      await withClient(database.address, { applicationName: "tests" }, async (writer) => {
        await writer.query(`begin; insert into "Öl ""x""" values (1000, 'k', '')`)
        const build = database.query(`create index concurrently slow on "Öl ""x""" (v)`)
        await expect
          .poll(() => database.query("select from pg_index where indexrelid = to_regclass('slow')"))
          .toHaveLength(1)
        const result = await askDone(invalidIndexesCheck, database.url)
        expect(result.items).toEqual([])
        expect(result.notes).toEqual(["1 index build left alone: still going on"])
        await writer.query("rollback")
        await build
      })
    })
  })

  it("of a partitioned table wait for those of its partitions", async () => {
    const sql = `create table e (at date) partition by range (at);
      create table e1 partition of e for values from ('2026-01-01') to ('2027-01-01');
      create index e_at on only e (at)`
    await withDatabase(sql, async (database) => {
      const [item] = await itemsOf(invalidIndexesCheck, database.url)
      expect(item).toMatchObject({ item: "public.e_at", detail: expect.stringContaining("some partitions") })
    })
  })
})
