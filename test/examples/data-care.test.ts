import { readFile } from "node:fs/promises"
import pg from "pg"
import { describe, expect, inject, it } from "vitest"
import gymtext from "../../examples/gymtext/ops.config.ts"
import { plans } from "../../lib/dbcare/plans.ts"
import { mutedLog } from "../../lib/job/public-run.ts"
import { withClient } from "../../lib/postgres/connect.ts"
import { withScratchCluster } from "../../lib/postgres/scratch-cluster.ts"
import { bloatedSql } from "../support/maintenance.ts"
import { type ExampleWorld, failuresOf, findingOf, today, withExample, withExampleAt } from "./world.ts"

const olderThan = (column: string, days: number) => `${column} < timestamptz '${today}' - interval '${days} days'`

describe("the data of GymText", () => {
  it("is not touched without a verified backup; then messages are archived and what is old leaves, each by its own time", async () => {
    await withExample("gymtext", async (world) => {
      const refused = await world.run("cleanup")
      expect(refused.exitCode).toBe(1)
      expect(refused.run.summary).toContain("backup")
      expect(await world.count("messages")).toBe(2500)

      const done = await world.run("cleanup", ["--without-backup"])
      expect(failuresOf(done)).toEqual([])
      const tables = [
        "messages",
        "workouts",
        "error_logs",
        "application_logs",
        "metrics",
        "audit_log",
        "profile_changes",
      ]
      expect(await Promise.all(tables.map(world.count))).toEqual([2154, 364, 714, 1984, 364, 364, 300])
      expect(await world.count(`messages where ${olderThan("created_at", 90)}`)).toBe(0)
      expect(await world.count(`audit_log where ${olderThan("at", 365)}`)).toBe(0)
      expect(await world.count("users where email is null and phone_hash = 'left-' || id")).toBe(18)
      expect(findingOf(done, "cleanup/messages")).toMatchObject({
        outcome: "ok",
        detail: expect.stringContaining("archived and then deleted 346 rows of public.messages"),
      })

      const again = await world.run("cleanup", ["--without-backup", "--again"])
      expect(failuresOf(again)).toEqual([])
      expect(await world.count("messages")).toBe(2154)
    })
  })

  it("is told of orphans, of what is there twice and of messages that hang; orphans alone are taken", async () => {
    await withExample("gymtext", async (world) => {
      await world.query(`insert into messages (user_id, direction, body, delivery, created_at)
        select 1, 'out', 'go', 'queued', timestamptz '${today}' - make_interval(mins => 10 * i) from generate_series(1, 4) i`)
      const done = await world.run("cleanup", ["--without-backup"])
      expect(findingOf(done, "cleanup/orphaned-notes")).toMatchObject({
        outcome: "ok",
        facts: { matched: 10, removed: 10 },
      })
      expect(await world.count("coach_notes where user_id > 200")).toBe(0)
      expect(await world.count("coach_notes where user_id is null")).toBe(15)
      expect(findingOf(done, "cleanup/repeated-notes")).toMatchObject({ outcome: "warn", facts: { matched: 19 } })
      expect(await world.count("coach_notes")).toBe(490)
      // Those of 20, 30 and 40 minutes ago: the one of 10 may still be on its way.
      expect(findingOf(done, "cleanup/hanging-messages")).toMatchObject({ outcome: "warn", facts: { matched: 3 } })
      expect(await world.count("messages where delivery = 'queued'")).toBe(4)
    })
  })

  it("is consistent before and after a cleanup, and an audit log that somebody changed is found out", async () => {
    await withExample("gymtext", async (world) => {
      expect(await violatedOf(world)).toEqual([])
      await world.run("cleanup", ["--without-backup"])
      expect(await violatedOf(world)).toEqual([])

      const chain = "no entry of the audit log was changed or taken out"
      await world.query("insert into audit_log (actor, operation, user_id, at) values ('coach 9', 'export', 1, now())")
      expect(await violatedOf(world)).toEqual([])
      await world.query("update audit_log set actor = 'nobody' where id = 390")
      expect(await violatedOf(world)).toEqual([chain])
      await world.query("update audit_log set actor = 'coach ' || 389 % 5 where id = 390")
      expect(await violatedOf(world)).toEqual([])
      await world.query("delete from audit_log where id = 380")
      await world.query("update users set email = 'back@example.com' where id = 200")
      expect(await violatedOf(world)).toEqual(["who left is forgotten wholly", chain])
    })
  })
})

/** Assertions of GymText that do not hold. */
async function violatedOf({ query }: ExampleWorld): Promise<string[]> {
  const violated: string[] = []
  for (const { name, sql } of gymtext.databases?.main?.assertions ?? [])
    if ((await query(sql)).length > 0) violated.push(name)
  return violated
}

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
      await world.query(`${bloatedSql} analyze events;
        create table reviews (id bigint generated always as identity primary key, user_id uuid not null, stars int) with (autovacuum_enabled = false);
        insert into reviews (user_id, stars) select id, 4 from users;
        create table imports (id int primary key, code text not null); insert into imports values (1, 'twice'), (2, 'twice')`)
      await world.query("alter table reviews add constraint stars_of_five check (stars between 1 and 5) not valid")
      await expect(world.query("create unique index concurrently imports_code on imports (code)")).rejects.toThrow(
        "imports_code",
      )
      await world.query("update imports set code = 'once' where id = 2; analyze imports")

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
        expect(findingOf(plan, `maintenance/${kind}`)?.detail, kind).toContain(`would run ${statements.join("; ")}`)
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
    const settings = { shared_preload_libraries: "pg_stat_statements", max_connections: "23" } // 20 for ordinary roles
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
        const open = Array.from({ length: 16 }, () => new pg.Client({ host, port, user, database }))
        await Promise.all(open.map((client) => client.connect()))
        const next = await world.run("database", [], await inDays(world, 3))
        await Promise.all(open.map((client) => client.end()))
        expect(findingOf(next, "care/slow-queries")).toMatchObject({
          outcome: "warn",
          detail: expect.stringMatching(/SELECT.* 1\.\d s/),
        })
        expect(findingOf(next, "care/connections")).toMatchObject({
          outcome: "warn",
          detail: expect.stringContaining("of 20 connections are taken"),
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

describe("the data of the meal planner", () => {
  it("has logs of 90, 30 and 7 days by level, and executions that nobody works on are ended", async () => {
    await withExample("meal-planner", async (world) => {
      const done = await world.run("cleanup", ["--without-backup"])
      expect(failuresOf(done)).toEqual([])
      const byLevel = await world.query("select level, count(*)::int as n from logs group by 1 order by 1")
      expect(byLevel.map(({ level, n }) => [level, n])).toEqual([
        ["debug", 54],
        ["error", 718],
        ["info", 238],
      ])
      expect(
        await world.query("select status, error from job_executions where started_at > '2026-11-15 23:00Z'"),
      ).toContainEqual({ status: "running", error: null })
      expect(await world.count("job_executions where status = 'failed' and error = 'nobody finished it'")).toBe(9)
    })
  })

  it("is told of a long queue, of retries, of kinds that fail and of weeks that are not complete, and nothing is changed", async () => {
    await withExample("meal-planner", async (world) => {
      const rules = ["queue-waits", "retries", "failing-kinds", "incomplete-weeks"]
      const look = async () => {
        const done = await world.run("cleanup", [
          ...rules.flatMap((rule) => ["--rule", rule]),
          "--without-backup",
          "--again",
        ])
        return rules.map((rule) => {
          const finding = findingOf(done, `cleanup/${rule}`)
          return [finding?.outcome, finding?.facts?.matched]
        })
      }
      expect(await look()).toEqual([
        ["ok", 0],
        ["warn", 3],
        ["warn", 1],
        ["warn", 1],
      ])
      await world.query(`insert into job_executions (job_id, status, attempts, started_at)
        select 1, 'queued', 1, timestamptz '${today}' - interval '20 minutes' from generate_series(1, 11);
        insert into job_executions (job_id, status, attempts, started_at)
        values (2, 'running', 3, timestamptz '${today}' - interval '2 hours'), (2, 'running', 3, timestamptz '${today}' - interval '30 minutes'),
               (3, 'failed', 1, timestamptz '${today}' - interval '2 hours'), (39, 'done', 1, timestamptz '${today}' - interval '2 hours')`)
      const before = await world.count("job_executions where status = 'queued' or attempts = 3")
      expect(await look()).toEqual([
        ["warn", 11],
        ["warn", 4],
        ["warn", 2],
        ["ok", 0],
      ])
      expect(await world.count("job_executions where status = 'queued' or attempts = 3")).toBe(before)

      // A kind that somebody paused is known.
      await world.query("update scheduled_jobs set status = 'paused' where kind = 'weekly-plan'")
      expect((await look())[2]).toEqual(["warn", 1])
    })
  })

  it("fades from what it was when bought, and what is old is marked, twice as once", async () => {
    await withExample("meal-planner", async (world) => {
      const expected =
        "greatest(0, quality_at_purchase - 0.05 * floor(extract(epoch from timestamptz '2026-11-16Z' - bought_at) / 86400))"
      for (let time = 0; time < 2; time++) {
        const done = await world.run("decay", time > 0 ? ["--rule", "quality"] : [])
        expect(failuresOf(done)).toEqual([])
        expect(await world.count(`pantry where abs(quality - ${expected}) > 0.0001`)).toBe(0)
        expect(await world.count("pantry where (quality <= 0.2) <> (state = 'old')")).toBe(0)
        expect(await world.count("pantry where state = 'old'")).toBeGreaterThan(30)
      }
    })
  })
})

describe("the data of the MVP", () => {
  it("has logs of 30 days, and all else", async () => {
    await withExample("mvp", async (world) => {
      const done = await world.run("cleanup", ["--without-backup"])
      expect(failuresOf(done)).toEqual([])
      expect(findingOf(done, "cleanup/logs")).toMatchObject({ outcome: "ok", facts: { removed: 126, left: 0 } })
      expect(await world.count(`logs where ${olderThan('"timestamp"', 30)}`)).toBe(0)
      expect(await Promise.all(["logs", "requests", "users"].map(world.count))).toEqual([714, 3000, 50])
    })
  })

  it("is measured against the free plan, and after a week people hear how many days are left and what happens then", async () => {
    const grownBytes = 400_000
    const room = (databaseBytes: number) => ({
      limits: { connections: 40, databaseBytes: databaseBytes + 26 * grownBytes },
    })
    await withExample(
      "mvp",
      async (world) => {
        const look = async (day: number) => {
          // 49 rows, each of which fills a page of 8 KiB.
          await world.query(`create table if not exists growth (filler text); alter table growth alter filler set storage plain;
            insert into growth select string_agg(md5(i || '.' || j || '.${day}'), '') from generate_series(1, 49) i, generate_series(1, 240) j group by i`)
          return findingOf(
            await world.run("database", ["--check", "limits"], `2026-11-${16 + day}T06:23:00Z`),
            "care/limits",
          )
        }
        expect(await look(0)).toMatchObject({
          outcome: "ok",
          detail: expect.stringContaining("days until the limit of database size: not enough data (1 of 7 days)"),
        })
        for (let day = 1; day < 6; day++) expect((await look(day))?.outcome).toBe("ok")
        const last = await look(6)
        expect(last?.outcome).toBe("warn")
        const [, days] = last?.detail.match(/database size: .* (\d+) days left at the present pace/) ?? []
        expect(Number(days), last?.detail).toBeGreaterThanOrEqual(18)
        expect(Number(days), last?.detail).toBeLessThanOrEqual(20)
        expect(last?.detail).toContain(plans["supabase-free"].atLimit)
      },
      room,
    )
  })
})
