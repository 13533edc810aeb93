import { readFile } from "node:fs/promises"
import pg from "pg"
import { describe, expect, inject, it } from "vitest"
import { mutedLog } from "../../lib/job/public-run.ts"
import { withClient } from "../../lib/postgres/connect.ts"
import { withScratchCluster } from "../../lib/postgres/scratch-cluster.ts"
import { bloatedSql } from "../support/maintenance.ts"
import { type ExampleWorld, failuresOf, findingOf, olderThan, withExample, withExampleAt } from "./world.ts"

describe("the data of YumZoom", () => {
  it("loses whole months, what is older than 90 days, sessions of 30 and uploads of 7", async () => {
    await withExample("yumzoom", async (world) => {
      const done = await world.run("cleanup", ["--without-backup"])
      expect(failuresOf(done)).toEqual([])
      const months = await world.query(
        "select inhrelid::regclass::text as month from pg_inherits where inhparent = 'user_activity'::regclass order by 1",
      )
      expect(months.map(({ month }) => month)).toEqual(
        ["08", "09", "10", "11"].map((month) => `user_activity_2026_${month}`),
      )
      for (const [table, column, days] of [
        ["user_activity", "created_at", 90],
        ["user_sessions", "last_seen_at", 30],
        ["temporary_uploads", "created_at", 7],
      ] as const) {
        expect(await world.count(`${table} where ${olderThan(column, days)}`), table).toBe(0)
        expect(await world.count(table), table).toBeGreaterThan(100)
      }
    })
  })

  it("has its tables analysed, its broken and bloated indexes rebuilt and its constraints validated, as planned and no more", async () => {
    await withExample("yumzoom", async (world) => {
      await world.query(
        `${bloatedSql} create table imports (id int primary key, code text); insert into imports values (1, 'twice'), (2, 'twice')`,
      )
      await expect(world.query("create unique index concurrently imports_code on imports (code)")).rejects.toThrow(
        "imports_code",
      )
      await world.query("update imports set code = 'once' where id = 2")
      await world.query("analyze") // on its own: rows of the same transaction would count as changed after it
      await world.query(`
        create table reviews (id int primary key, stars int not null) with (autovacuum_enabled = false);
        insert into reviews select i, 4 from generate_series(1, 100) i;
        alter table reviews add constraint stars_of_five check (stars between 1 and 5) not valid`)

      const plan = await world.run("maintenance", ["--dry-run", "--without-backup"])
      expect(plan.exitCode, plan.stdout).toBe(0)
      const planned = {
        validate: ['ALTER TABLE "public"."reviews" VALIDATE CONSTRAINT "stars_of_five"'],
        reindex: [
          'REINDEX INDEX CONCURRENTLY "public"."imports_code"',
          'REINDEX INDEX CONCURRENTLY "public"."events_id"',
        ],
        analyze: ['ANALYZE "public"."reviews"'],
      }
      for (const [kind, statements] of Object.entries(planned))
        expect(findingOf(plan, `maintenance/${kind}`)?.detail).toBe(`dry run: would run ${statements.join("; ")}`)
      expect(findingOf(plan, "maintenance/vacuum")).toBeUndefined()
      const state = `select (select indisvalid from pg_index where indexrelid = 'imports_code'::regclass) as rebuilt,
        (select convalidated from pg_constraint where conname = 'stars_of_five') as validated,
        (select last_analyze is not null from pg_stat_user_tables where relname = 'reviews') as analysed,
        pg_relation_size('events_id') < 500000 as smaller`
      expect(await world.query(state)).toEqual([{ rebuilt: false, validated: false, analysed: false, smaller: false }])

      const done = await world.run("maintenance", ["--without-backup"])
      expect(failuresOf(done)).toEqual([])
      expect(await world.query(state)).toEqual([{ rebuilt: true, validated: true, analysed: true, smaller: true }])
    })
  })

  it("is watched for queries over 1 s, connections over 80 %, large tables and indexes that nobody uses", async () => {
    const { major, binDirectories } = inject("postgres")
    const signal = new AbortController().signal
    const settings = { shared_preload_libraries: "pg_stat_statements", max_connections: "53" } // 50 for ordinary roles
    await withScratchCluster({ major, binDirectories, settings, log: mutedLog, signal }, async (cluster) => {
      const address = cluster.address("postgres")
      const schema = await readFile("examples/yumzoom/schema.sql", "utf8")
      await withClient(address, { applicationName: "tests" }, (client) => client.query(schema))
      await withExampleAt("yumzoom", address, async (world) => {
        const quiet = await world.run("database", [], await inDays(world, 1))
        expect(findingOf(quiet, "care/slow-queries")).toMatchObject({
          outcome: "unknown",
          detail: expect.stringContaining("create extension pg_stat_statements"),
        })
        const slow = () => world.query("select pg_sleep(1.05)")
        await world.query("create extension pg_stat_statements")
        await slow()
        await world.query("create index restaurants_name on restaurants (name)")
        await world.query(
          "insert into restaurants (name, cuisine) select md5(i::text), 'thai' from generate_series(1, 30000) i",
        )
        const first = await world.run("database", [], await inDays(world, 2))
        const well = (tables: string) => ({
          outcome: "ok",
          detail: expect.stringContaining(`${tables} looked at, nothing found`),
        })
        expect(findingOf(first, "care/table-sizes")).toMatchObject(well("6 things"))
        expect(findingOf(first, "care/connections")).toMatchObject(well("1 thing"))
        expect(findingOf(first, "care/unused-indexes")).toMatchObject({
          outcome: "ok",
          detail: expect.stringMatching(/use is counted for [12] days? only, 30 are wanted/),
        })

        await slow()
        const { host, port, user, database } = address
        const open = Array.from({ length: 41 }, () => new pg.Client({ host, port, user, database }))
        await Promise.all(open.map((client) => client.connect()))
        const next = await world.run("database", [], await inDays(world, 3))
        await Promise.all(open.map((client) => client.end()))
        expect(findingOf(next, "care/slow-queries")).toMatchObject({
          outcome: "warn",
          detail: expect.stringMatching(/SELECT.* 1\.\d s/),
        })
        expect(findingOf(next, "care/connections")).toMatchObject({
          outcome: "warn",
          detail: expect.stringContaining("of 50 connections are taken"),
        })
        const later = await world.run("database", ["--check", "unused-indexes"], await inDays(world, 40))
        expect(findingOf(later, "care/unused-indexes")).toMatchObject({
          outcome: "warn",
          detail: expect.stringContaining("public.restaurants_name"),
        })
      })
    })
  })
})

/** The server's own time counts for its statistics. */
async function inDays({ query }: ExampleWorld, days: number): Promise<string> {
  const [{ at } = {}] = await query(`select now() + interval '${days} days' as at`)
  return (at as Date).toISOString()
}
