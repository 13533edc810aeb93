import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { generateX25519Identity, identityToRecipient } from "age-encryption"
import { describe, expect, it } from "vitest"
import cleanupJob from "../../jobs/cleanup.ts"
import databaseJob from "../../jobs/database.ts"
import decayJob from "../../jobs/decay.ts"
import maintenanceJob from "../../jobs/maintenance.ts"
import type { Job } from "../../lib/job/job.ts"
import { type Checkout, directoryUrl, makeCheckout, moduleUrl } from "../support/checkout.ts"
import { createDatabase, type TestDatabase } from "../support/postgres.ts"
import { startSlackServer } from "../support/slack-server.ts"

const jobs = {
  cleanup: cleanupJob as Job,
  database: databaseJob as Job,
  decay: decayJob as Job,
  maintenance: maintenanceJob as Job,
}
const today = "2026-11-16T05:11:00Z"

type World = {
  query: TestDatabase["query"]
  checkout: Checkout
  run(job: keyof typeof jobs, argv?: string[], at?: string): Promise<Awaited<ReturnType<Checkout["run"]>>>
}

/** An example's own configuration against its own tables, with a directory as the store. */
async function withExample(name: string, fn: (world: World) => Promise<void>): Promise<void> {
  const database = await createDatabase(await readFile(`examples/${name}/schema.sql`, "utf8"))
  await using checkout = await makeCheckout()
  await checkout.write(
    "ops.config.ts",
    `export { default } from ${JSON.stringify(moduleUrl(`examples/${name}/ops.config.ts`))}\n`,
  )
  const recipient = await identityToRecipient(await generateX25519Identity())
  const env = {
    DATABASE_URL: database.url,
    DATABASE_WRITE_URL: database.url,
    BACKUP_RECIPIENTS: recipient,
    BACKUP_STORE: directoryUrl(join(checkout.dir, "bucket")),
  }
  await using slack = await startSlackServer()
  const told = { SLACK_WEBHOOK_URL: slack.url, HEARTBEAT_URL: slack.url }
  try {
    const run: World["run"] = (job, argv = [], at = today) =>
      checkout.run(jobs[job], { argv, now: at, env: { ...env, ...told } })
    await fn({ query: database.query, checkout, run })
  } finally {
    await database.drop()
  }
}

const count = async ({ query }: World, sql: string) =>
  Number(Object.values((await query(`select count(*) from ${sql}`))[0] ?? {})[0])
const findingOf = ({ run }: Awaited<ReturnType<World["run"]>>, subject: string) =>
  run.findings.find((finding) => finding.subject === `database/main/${subject}`)

describe("the retention of GymText", () => {
  it("archives messages, takes old rows, forgets who left, and tells repeated notes without touching them", async () => {
    await withExample("gymtext", async (world) => {
      const refused = await world.run("cleanup")
      expect(refused.exitCode).toBe(1)
      expect(refused.run.summary).toContain("backup")
      expect(await count(world, "messages")).toBe(2500)

      const done = await world.run("cleanup", ["--without-backup"])
      expect(done.run.findings.filter(({ outcome }) => outcome === "fail")).toEqual([])
      const kept = await Promise.all(
        ["messages", "workouts", "error_logs", "application_logs", "metrics", "profile_changes"].map((table) =>
          count(world, table),
        ),
      )
      expect(kept).toEqual([2154, 364, 714, 1984, 364, 300])
      expect(
        await count(world, "messages where created_at < timestamptz '2026-11-16 05:11Z' - interval '90 days'"),
      ).toBe(0)
      expect(await count(world, "users where email is null and phone_hash = 'left-' || id")).toBe(18)
      expect(await count(world, "coach_notes where user_id > 200")).toBe(0)
      expect(await count(world, "coach_notes where user_id is null")).toBe(15)
      expect(findingOf(done, "cleanup/repeated-notes")).toMatchObject({ outcome: "warn" })
      expect(findingOf(done, "cleanup/messages")).toMatchObject({ outcome: "ok" })

      const again = await world.run("cleanup", ["--without-backup", "--again"])
      expect(again.run.findings.filter(({ outcome }) => outcome === "fail")).toEqual([])
      expect(await count(world, "messages")).toBe(2154)
    })
  })
})

describe("the retention of YumZoom", () => {
  it("drops months, takes what is older than 90 days, sessions of 30 and uploads of 7", async () => {
    await withExample("yumzoom", async (world) => {
      const done = await world.run("cleanup", ["--without-backup"])
      expect(done.run.findings.filter(({ outcome }) => outcome === "fail")).toEqual([])
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
      ]) {
        const old = `${column} < timestamptz '2026-11-16 05:11Z' - interval '${days} days'`
        expect(await count(world, `${table} where ${old}`), String(table)).toBe(0)
        expect(await count(world, String(table)), String(table)).toBeGreaterThan(100)
      }
    })
  })

  it("is asked for slow queries, connections, large tables and unused indexes, and cared for weekly", async () => {
    await withExample("yumzoom", async (world) => {
      const asked = await world.run("database")
      for (const check of ["slow-queries", "connections", "table-sizes", "unused-indexes"])
        expect(findingOf(asked, `care/${check}`), check).toBeDefined()
      const plan = await world.run("maintenance", ["--dry-run", "--without-backup"])
      expect(plan.exitCode).toBe(0)
    })
  })
})

describe("the meal planner", () => {
  it("keeps logs 90, 30 and 7 days by level, and ends executions that nobody works on", async () => {
    await withExample("meal-planner", async (world) => {
      const done = await world.run("cleanup", ["--without-backup"])
      expect(done.run.findings.filter(({ outcome }) => outcome === "fail")).toEqual([])
      const byLevel = await world.query("select level, count(*)::int as n from logs group by 1 order by 1")
      expect(byLevel.map(({ level, n }) => [level, n])).toEqual([
        ["debug", 54],
        ["error", 718],
        ["info", 238],
      ])
      expect(
        await world.query("select status, error from job_executions where started_at > '2026-11-15 23:00Z'"),
      ).toContainEqual({ status: "running", error: null })
      expect(await count(world, "job_executions where status = 'failed' and error = 'nobody finished it'")).toBe(9)
      expect(findingOf(done, "cleanup/queue-waits")).toMatchObject({ outcome: "ok" })
    })
  })

  it("lets quality fade from what it was when bought, and marks what is old, twice as once", async () => {
    await withExample("meal-planner", async (world) => {
      const expected =
        "greatest(0, quality_at_purchase - 0.05 * floor(extract(epoch from timestamptz '2026-11-16Z' - bought_at) / 86400))"
      for (let time = 0; time < 2; time++) {
        const done = await world.run("decay", time > 0 ? ["--rule", "quality"] : [])
        expect(done.run.findings.filter(({ outcome }) => outcome === "fail")).toEqual([])
        expect(await count(world, `pantry where abs(quality - ${expected}) > 0.0001`)).toBe(0)
        expect(await count(world, "pantry where (quality <= 0.2) <> (state = 'old')")).toBe(0)
      }
    })
  })
})

describe("the MVP", () => {
  it("hears how near its free plan's limits are, and that a trend wants a week", async () => {
    await withExample("mvp", async (world) => {
      const asked = await world.run("database")
      expect(findingOf(asked, "care/limits")).toMatchObject({
        outcome: "ok",
        detail: expect.stringContaining("not enough data"),
      })
      for (let day = 1; day <= 8; day++) await world.run("database", ["--again"], `2026-11-${16 + day}T06:23:00Z`)
      const later = await world.run("database", ["--again"], "2026-11-25T06:23:00Z")
      expect(findingOf(later, "care/limits")?.detail).not.toContain("database size: not enough data")
    })
  })
})
