import { readFile } from "node:fs/promises"
import pg from "pg"
import { describe, expect, it } from "vitest"
import { uncommentedConfig } from "../../lib/config/commented-defaults.ts"
import { findJob } from "../../lib/job/find.ts"
import { makeCheckout, moduleUrl } from "../support/checkout.ts"
import { type DataWorkflow, type DataWorld, fileOf, withData } from "../support/data-world.ts"
import type { WorkflowOptions } from "../support/workflow-runner.ts"

type Inputs = Record<string, string | boolean>
type Dispatched = Partial<WorkflowOptions> & { asTexts?: true }

const settings = { HEARTBEAT_URL: "http://127.0.0.1:1/" }

const dispatch = (world: DataWorld, workflow: DataWorkflow, inputs: Inputs = {}, more: Dispatched = {}) =>
  world.run(workflow, { ...more, event: "workflow_dispatch", inputs })

const why = { reason: "the tests want it" }

describe("decay.yml", () => {
  it("shows, lets values fade once a slot, keeps the reason, and knows a slot that is done", async () => {
    await withData(async (world) => {
      const dry = await dispatch(world, "decay", { ...why, "dry-run": true })
      expect([dry.result, dry.runName], dry.output).toEqual(["success", "decay of the day, dry, for octocat"])
      expect(dry.step.summary).toContain("(dry run: nothing was changed)")
      expect(dry.step.summary).toContain("| would change | 20 |")
      expect(await stateOf(world)).toEqual(untouched)

      const slot = minutesAgo(2 * 24 * 60)
      const real = await dispatch(world, "decay", { ...why, slot, rule: "freshness", "catch-up": true })
      expect([real.result, real.runName], real.output).toEqual(["success", `decay of ${slot}, real, for octocat`])
      // Three whole days, or four when it is just past midnight, of a half-life of three.
      expect([0.5, 0.5 ** (4 / 3)]).toContainEqual(expect.closeTo((await stateOf(world)).freshness as number))
      expect(await world.lines()).toMatchObject([
        { job: "decay", dryRun: true, reason: why.reason },
        { job: "decay", dryRun: false, reason: why.reason, slot, actor: "octocat", exitCode: 0 },
      ])

      const scheduled = await world.run("decay")
      expect([scheduled.result, scheduled.runName], scheduled.output).toEqual([
        "success",
        "decay of the day, real, for the schedule",
      ])
      await expectDone(world, "decay")
      expectSecrets(dry.step.env, world, ["DATABASE_WRITE_URL"])
    })
  })
})

describe("cleanup.yml", () => {
  it("refuses without a fresh verified backup, goes on when told to, within its limit and its caps", async () => {
    await withData(async (world) => {
      const refused = await world.run("cleanup")
      expect([refused.result, refused.step.exitCode]).toEqual(["failure", 1])
      expect(refused.step.summary).toContain(
        "nothing was changed: a verified backup of main not older than 48 hours is",
      )
      expect(world.github.issues("octocat/night")).toMatchObject([{ title: expect.stringContaining("cleanup") }])
      expect(await stateOf(world)).toEqual(untouched)

      // Inputs are texts to the step, never commands of it.
      const reason = "$(touch owned) `id`; \"'\n::add-mask::x"
      const withoutBackup = { reason, "without-backup": true }
      const limited = await dispatch(world, "cleanup", { ...withoutBackup, limit: "2", rule: "sessions" })
      expect(limited.result, limited.output).toBe("success")
      expect(await stateOf(world)).toMatchObject({ sessions: 33 })

      await world.database.query("update user_sessions set expires_at = expires_at - interval '20 days'")
      const capped = await dispatch(world, "cleanup", { ...withoutBackup, "dry-run": true })
      expect([capped.step.exitCode, capped.runName]).toEqual([1, "cleanup of the day, dry, for octocat"])
      expect(capped.step.summary).toContain("--allow-large")
      expect(await stateOf(world)).toMatchObject({ sessions: 33 })
      const large = await dispatch(world, "cleanup", { ...withoutBackup, "allow-large": true })
      expect(large.result, large.output).toBe("success")
      expect((await stateOf(world)).sessions).toBeLessThan(15)
      expect((await world.lines()).slice(1)).toMatchObject([{ reason }, { reason, dryRun: true }, { reason }])
      expect(limited.output).not.toMatch(/^::add-mask::x/m)
    })
  })

  it("waits for a backup that holds the database and names it, tells when it is cancelled, and runs once a slot", async () => {
    await withData(async (world) => {
      await world.verify()
      await using backup = await holdLock(world)
      const waiting = (output: string) =>
        /waiting for the lock nightshift\/main, held by nightshift\/backup/.test(output)
      const cancelled = await world.run("cleanup", { cancelWhen: ({ output }) => waiting(output) })
      expect(cancelled.result, cancelled.output).toBe("cancelled")
      expect(cancelled.step.cancelMs).toBeLessThan(5000)
      expect(await stateOf(world)).toEqual(untouched)
      expect(world.github.issues("octocat/night").map(({ title }) => title)).toContainEqual(
        expect.stringContaining("cleanup did not do its work"),
      )

      const done = await world.run("cleanup", {
        cancelWhen({ output }) {
          if (waiting(output)) void backup.release()
          return false
        },
      })
      expect(waiting(done.output)).toBe(true)
      expect(done.result, done.output).toBe("success")
      expect(await stateOf(world)).toMatchObject({ sessions: 30 })
      await expectDone(world, "cleanup")
      expectSecrets(done.step.env, world, ["DATABASE_WRITE_URL"])
    })
  })
})

describe("maintenance.yml", () => {
  it("refuses without a fresh verified backup, takes the actions and the table that are named, once a slot", async () => {
    await withData(async (world) => {
      const refused = await world.run("maintenance")
      expect(refused.step.exitCode).toBe(1)
      expect(refused.step.summary).toContain("nothing was done: a verified backup of main not older than 48 hours is")
      expect(await analysed(world)).toEqual([])

      const inputs = { ...why, action: "analyze vacuum", table: "events" }
      const dry = await dispatch(world, "maintenance", { ...inputs, "without-backup": true, "dry-run": true })
      expect([dry.result, dry.runName], dry.output).toEqual(["success", "maintenance of the week, dry, for octocat"])
      expect(await analysed(world)).toEqual([])
      const slot = minutesAgo(5)
      const real = await dispatch(world, "maintenance", { ...inputs, slot, "without-backup": true })
      expect(real.result, real.output).toBe("success")
      expect(await analysed(world)).toEqual(["events"])
      expect((await world.lines()).at(-1)).toMatchObject({ job: "maintenance", reason: why.reason, slot })

      await world.verify()
      expect((await world.run("maintenance")).result).toBe("success")
      await expectDone(world, "maintenance")
      expectSecrets(real.step.env, world, ["DATABASE_WRITE_URL"])
    })
  })
})

describe("database.yml", () => {
  it("asks what it is told to with the address for reading alone, and looks again whenever it is started", async () => {
    await withData(async (world) => {
      const chosen = await dispatch(world, "database", { check: "connections sequences", "dry-run": true })
      expect([chosen.result, chosen.runName], chosen.output).toEqual([
        "success",
        "database of the day, dry, for octocat",
      ])
      expect(chosen.step.summary).toContain("database/main/care/connections")
      expect(chosen.step.summary).not.toContain("database/main/care/settings")
      expectSecrets(chosen.step.env, world, ["DATABASE_URL"])
      for (const _ of ["once", "twice"]) {
        const all = await world.run("database")
        expect(all.result, all.output).toBe("success")
        expect(all.step.summary).toContain("database/main/care/settings")
        expect(all.output).not.toContain("already done")
      }
    })
  })
})

describe("alert.yml", () => {
  it.each(["cancelled", "timed_out"])("speaks for a cleanup that was %s before it could", async (conclusion) => {
    await withData(async ({ run, github, slack }) => {
      const name = "cleanup"
      const ended = github.addRun({ path: fileOf(name), name, conclusion }, "octocat/night")
      const steps = [{ name: "Take what is done with", conclusion, status: "completed", number: 3 }]
      const log = "2026-03-01T05:20:00.0000000Z ##[error]The operation was canceled."
      github.addJob({ run_id: ended.id, name, conclusion, log, steps }, "octocat/night")
      const told = await run("alert", { event: "workflow_run", ended: { id: ended.id, name, conclusion } })
      expect(told.result, told.output).toBe("success")
      expect(github.issues("octocat/night")).toMatchObject([
        { state: "open", title: expect.stringContaining("cleanup did not do its work") },
      ])
      expect(slack.received).toHaveLength(1)
      expect(JSON.stringify(slack.received)).toContain("Take what is done with")
      expectSecrets(told.step.env, { urls: { reading: "", writing: "" } }, [])
    })
  })
})

type Wrong = [DataWorkflow, Inputs, string[]]

describe("inputs that are wrong", () => {
  const unread: Wrong[] = [
    [
      "decay",
      { slot: "yesterday", "catch-up": "yes", "dry-run": "yes", "allow-large": "1" },
      ['OPS_SLOT is "yesterday"', 'OPS_CATCH_UP is "yes"', 'OPS_DRY_RUN is "yes"', 'OPS_ALLOW_LARGE is "1"'],
    ],
    [
      "cleanup",
      { limit: "many", slot: "2026-13-01T00:00:00Z", "without-backup": "maybe" },
      ["--limit: ", 'OPS_SLOT is "2026-13-01T00:00:00Z"', 'OPS_WITHOUT_BACKUP is "maybe"'],
    ],
    ["maintenance", { action: "analyze defrag", "without-backup": "true" }, ["--action: "]],
    ["database", { check: "conections" }, ["conections", "did you mean connections?"]],
  ]

  it("end a workflow with 2, are named, and change nothing", async () => {
    await withData(async (world) => {
      for (const [workflow, inputs, words] of unread) {
        const given = workflow === "database" ? inputs : { ...why, ...inputs }
        const wrong = await dispatch(world, workflow, given, { asTexts: true })
        const about = `${workflow} with ${JSON.stringify(inputs)}: ${wrong.output}`
        expect([wrong.result, wrong.step.exitCode], about).toEqual(["failure", 2])
        for (const word of words) expect(wrong.output, about).toContain(word)
      }
      expect(await stateOf(world)).toEqual(untouched)
      expect(await analysed(world)).toEqual([])
    })
  })

  const withoutBackup = { OPS_WITHOUT_BACKUP: "true" }
  const read: [string, Record<string, string>, string][] = [
    ["decay", { OPS_RULE: "freshnes" }, "--rule freshnes: no decay rule of that name (there is freshness)"],
    ["decay", { OPS_DATABASE: "mian" }, "--database mian: no database of that name"],
    ["cleanup", { ...withoutBackup, OPS_LIMIT: "0" }, "--limit: "],
    ["cleanup", { ...withoutBackup, OPS_LIMIT: "1.5" }, "--limit: "],
    ["cleanup", { ...withoutBackup, OPS_LIMIT: "1e9 -- all" }, "--limit: "],
    ["cleanup", { ...withoutBackup, OPS_LIMIT: "0x10" }, "--limit: "],
    ["cleanup", { ...withoutBackup, OPS_RULE: "sessions sesions" }, "--rule sesions: there is no such rule"],
    ["cleanup", { ...withoutBackup, OPS_ALLOW_LARGE: "TRUE" }, 'OPS_ALLOW_LARGE is "TRUE": it takes true or false'],
    ["maintenance", { ...withoutBackup, OPS_TABLE: "events; drop table events" }, "main has no such table"],
    ["maintenance", { ...withoutBackup, OPS_TABLE: "evnts" }, "public.evnts"],
    ["database", { OPS_DATABASE: "main; --" }, "--database main; --"],
  ]

  it("end a job with 2 however they are wrong", async () => {
    await withData(async (world) => {
      await using checkout = await makeCheckout()
      const config = uncommentedConfig(await readFile("ops.config.ts", "utf8"))
      await checkout.write(
        "ops.config.ts",
        config.replaceAll("./lib/config/define.ts", moduleUrl("lib/config/define.ts")),
      )
      const env = { ...settings, DATABASE_URL: world.urls.reading, DATABASE_WRITE_URL: world.urls.writing }
      for (const [job, inputs, words] of read) {
        const options = { env: { ...env, SLACK_WEBHOOK_URL: world.slack.url, ...inputs } }
        const { exitCode, stdout, stderr } = await checkout.run(await findJob(process.cwd(), job), options)
        const about = `${job} with ${JSON.stringify(inputs)}: ${stdout}${stderr}`
        expect(exitCode, about).toBe(2)
        expect(stdout, about).toContain(words)
      }
      expect(await stateOf(world)).toEqual(untouched)
    })
  })
})

const untouched = { sessions: 35, freshness: 1, ops: null }

async function stateOf({ database }: DataWorld): Promise<Record<string, unknown>> {
  const [row = {}] = await database.query(
    "select (select count(*)::int from user_sessions) as sessions, (select avg(freshness) from fridge_items) as freshness, to_regnamespace('ops')::text as ops",
  )
  return row
}

async function analysed({ database }: DataWorld): Promise<unknown[]> {
  const rows = await database.query("select relname from pg_stat_user_tables where last_analyze is not null order by 1")
  return rows.map(({ relname }) => relname)
}

function minutesAgo(minutes: number): string {
  return new Date(Date.now() - minutes * 60_000).toISOString()
}

/** A schedule that fires again for a slot that is done. */
async function expectDone(world: DataWorld, workflow: DataWorkflow): Promise<void> {
  const before = await stateOf(world)
  const again = await world.run(workflow)
  expect(again.result, again.output).toBe("success")
  expect(again.output).toMatch(/slot .* already done by run /)
  expect(await stateOf(world)).toEqual(before)
}

/** The step has these of the team's addresses and keys, and none of the others. */
function expectSecrets(env: Record<string, string>, { urls }: Pick<DataWorld, "urls">, wanted: string[]): void {
  const known = /^(?:DATABASE_|BACKUP_|STORE_|AWS_)/
  expect(Object.keys(env).filter((name) => known.test(name))).toEqual(wanted)
  const values = { DATABASE_URL: urls.reading, DATABASE_WRITE_URL: urls.writing }
  for (const name of wanted) expect(env[name]).toBe(values[name as keyof typeof values])
  expect(Object.values(env).join()).not.toMatch(/AGE-SECRET-KEY/)
}

/** The lock of the database, as a running backup holds it. */
async function holdLock({ database }: DataWorld): Promise<AsyncDisposable & { release(): Promise<unknown> }> {
  const backup = new pg.Client({ connectionString: database.url, application_name: "nightshift/backup" })
  await backup.connect()
  await backup.query("select pg_advisory_lock(hashtextextended('nightshift/main', 0))")
  return {
    release: () => backup.query("select pg_advisory_unlock_all()"),
    [Symbol.asyncDispose]: () => backup.end(),
  }
}
