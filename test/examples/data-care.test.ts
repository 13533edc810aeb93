import { describe, expect, it } from "vitest"
import gymtext from "../../examples/gymtext/ops.config.ts"
import { plans } from "../../lib/dbcare/plans.ts"
import { type ExampleWorld, failuresOf, findingOf, olderThan, today, withExample } from "./world.ts"

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
