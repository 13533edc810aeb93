import { describe, expect, inject, it } from "vitest"
import { type FaultyProxy, isPart, startFaultyProxy } from "../support/faulty-proxy.ts"
import {
  bulk,
  file,
  isJobStep,
  names,
  nothing,
  openUploads,
  password,
  runLines,
  stepsOf,
  type Team,
  withTeam,
} from "../support/team.ts"
import { runWorkflow, type WorkflowRun } from "../support/workflow-runner.ts"

describe.concurrent("backup.yml", () => {
  it("does nothing as long as OPS_ENABLED is not set", async () => {
    const { jobs } = await runWorkflow(file, { event: "schedule" })
    expect(jobs).toMatchObject({ backup: { result: "skipped", steps: [] }, "restore-test": { result: "skipped" } })
  })

  it("proves the night's backup, and after a red one tests the older set all the same", {
    timeout: 180_000,
  }, async () => {
    await withTeam(async (team) => {
      await goodNight(team)
      await redNight(team)
    })
  })

  it("leaves nothing behind when it is cancelled in the middle of a dump", { timeout: 120_000 }, async () => {
    const proxy = await startFaultyProxy(inject("s3").endpoint, [{ when: isPart, fault: { stall: true } }])
    const place = { endpoint: proxy.url, more: bulk }
    await withTeam((team) => cancelledDump(team, proxy), place).finally(() => proxy.stop())
  })
})

async function goodNight(team: Team): Promise<void> {
  const run = await team.run({ event: "schedule" })
  const { backup, test } = stepsOf(run)
  expect(run.runName).toBe("backup of the night, real, for the schedule")
  expect([backup.outcome, test.outcome], backup.stdout + test.stdout).toEqual(["success", "success"])
  for (const job of Object.values(run.jobs)) expect(job).toMatchObject({ result: "success", leftBehind: nothing })

  const objects = (await names(team)).map((key) => key.replace(/^main\/[\dTZ-]+\/(receipt)?.*?/, "$1"))
  const sealed = ["config.json", "dump.pgc", "proof.json", "roles.sql"].map((name) => `${name}.zst.age`)
  expect(objects).toEqual(expect.arrayContaining([...sealed, "RECOVERY.md", "manifest.json"]))
  expect(objects).toHaveLength(7)
  expect(backup.summary).toMatch(/^## backup: done.*\n\n.*1 table, 500 rows/)
  expect(test.summary).toContain("| data | passed |")
  expect(team.heartbeat.pings.map(({ kind }) => kind)).toEqual(["start", "success", "start", "success"])
  expect(team.slack.received).toEqual([])
  expect(await runLines(team)).toMatchObject([
    { job: "backup", exitCode: 0, trigger: "schedule", told: { summary: "done" } },
    { job: "restore-test", exitCode: 0, trigger: "schedule", told: { summary: "done" } },
  ])
  secretsAreApart(run)
}

function secretsAreApart(run: WorkflowRun): void {
  const { backup, test, others } = stepsOf(run)
  expect(backup.env).toHaveProperty("DATABASE_URL")
  expect(backup.env).not.toHaveProperty("BACKUP_IDENTITY")
  expect(test.env).toHaveProperty("BACKUP_IDENTITY")
  expect(test.env).not.toHaveProperty("DATABASE_URL")
  expect(others.length).toBeGreaterThan(4)
  expect(JSON.stringify(others)).not.toMatch(/AGE-SECRET-KEY|postgres:\/\/|T0NIGHT00/)
  // GitHub masks what it keeps; the password inside it only because it was told to, before anything was written.
  expect(backup.stdout.indexOf(`::add-mask::${password}\n`)).toBeGreaterThanOrEqual(0)
  const shown = [backup, test].map(
    ({ stdout, stderr, summary }) => stdout.replaceAll(/^::add-mask::.*\n/gm, "") + stderr + summary,
  )
  expect(shown.join()).not.toMatch(new RegExp(`AGE-SECRET-KEY-1|${password}|testTESTtest`))
}

async function redNight(team: Team): Promise<void> {
  const slot = "2026-03-01T03:17:00Z"
  const before = await names(team)
  const run = await team.run({
    ...{ event: "workflow_dispatch", inputs: { slot }, actor: "ada" },
    secrets: { DATABASE_URL: team.databaseUrl.replace("@", "-no-more@") },
  })
  const { backup, test } = stepsOf(run)
  expect(run.runName).toBe(`backup of ${slot}, real, for ada`)
  expect([run.jobs.backup?.result, run.jobs["restore-test"]?.result], test.stdout).toEqual(["failure", "success"])
  expect(backup.stdout).toMatch(/^::error title=backup%3A database\/main\/backup::no new set: .*password/m)
  expect(backup.summary).toContain("## backup: failed")
  expect(test.summary).toContain("| data | passed |")
  const added = (await names(team)).filter((key) => !before.includes(key))
  expect(added).toEqual([expect.stringMatching(/receipt-/)])
  const [message] = team.slack.received.map((payload) => JSON.stringify(payload))
  for (const part of [
    "database/main/backup failed",
    "My app",
    "password",
    "*Last good*  2",
    "octocat/night/actions/runs/4242",
  ])
    expect(message).toContain(part)
  const asked = { slot: "2026-03-01T03:17:00.000Z", actor: "ada" }
  expect((await runLines(team)).slice(2)).toMatchObject([
    { job: "backup", exitCode: 1, ...asked, told: { incidents: "done" } },
    { job: "restore-test", exitCode: 0, ...asked },
  ])
}

async function cancelledDump(team: Team, proxy: FaultyProxy): Promise<void> {
  const cancel = new AbortController()
  const watch = setInterval(() => proxy.requests.some(isPart) && cancel.abort(), 20)
  const { jobs } = await team.run({ event: "schedule", signal: cancel.signal }).finally(() => clearInterval(watch))
  const step = jobs.backup?.steps.find(isJobStep)
  expect([jobs.backup?.result, jobs["restore-test"]?.result], step?.stderr).toEqual(["cancelled", "cancelled"])
  expect(step?.cancelMs).toBeLessThan(5000)
  expect(step?.summary).toContain("ended early (received SIGINT)")
  expect(JSON.stringify(team.slack.received)).toContain("ended early (received SIGINT)")
  expect(jobs.backup?.leftBehind).toEqual(nothing)
  expect(await names(team)).toEqual([])
  expect(await openUploads(team)).toEqual([])
  const sessions = "select application_name from pg_stat_activity where datname = current_database()"
  expect(await team.database.query(`${sessions} and pid <> pg_backend_pid()`)).toEqual([])
}
