import { describe, expect, it } from "vitest"
import { isJobStep, names, nothing, runLines, stepsOf, type Team, withTeam } from "../support/team.ts"

describe("backup.yml", () => {
  it("changes nothing when dry, and leaves no server behind when a restore is cancelled", {
    timeout: 240_000,
  }, async () => {
    await withTeam(async (team) => {
      await cancelledRestore(team)
      await dryRun(team)
    })
  })
})

async function dryRun(team: Team): Promise<void> {
  const before = await names(team)
  const run = await team.run({ event: "workflow_dispatch", inputs: { "dry-run": true } })
  const { backup, test } = stepsOf(run)
  expect(run.runName).toBe("backup of the night, dry, for octocat")
  expect([backup.outcome, test.outcome], backup.stdout + test.stdout).toEqual(["success", "success"])
  for (const { summary } of [backup, test]) expect(summary).toContain("(dry run: nothing was changed)")
  expect(await names(team)).toEqual(before)
  expect((await runLines(team)).slice(2)).toMatchObject([{ dryRun: true }, { dryRun: true }])
}

async function cancelledRestore(team: Team): Promise<void> {
  const { jobs } = await team.run({
    event: "schedule",
    debug: true,
    cancelWhen: ({ job, output }) => job === "restore-test" && output.includes("scratch server of PostgreSQL"),
  })
  const job = jobs["restore-test"]
  const step = job?.steps.find(isJobStep)
  expect([jobs.backup?.result, job?.result], step?.stderr).toEqual(["success", "cancelled"])
  expect(step?.cancelMs).toBeLessThan(5000)
  expect(step?.summary).toContain("ended early (received SIGINT)")
  expect(job?.leftBehind).toEqual(nothing)
  expect(await names(team)).not.toContainEqual(expect.stringContaining("receipt-"))
}
