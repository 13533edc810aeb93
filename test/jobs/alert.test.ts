import { expect, it } from "vitest"
import alert from "../../jobs/alert.ts"
import type { Job } from "../../lib/job/job.ts"
import { openLedger } from "../../lib/ledger/open.ts"
import { type Checkout, makeCheckout } from "../support/checkout.ts"
import { type GitHubServer, startGitHubServer } from "../support/github-server.ts"
import { type SlackServer, startSlackServer } from "../support/slack-server.ts"

const job = alert as Job
const now = "2026-03-01T07:00:00Z"
const shop = `app: { name: "Shop" }, alerts: { slack: secret("SLACK_URL") }`
const steps = (...names: [string, string | null][]) =>
  names.map(([name, conclusion], index) => ({ name, conclusion, status: "completed", number: index + 1 }))

type World = { github: GitHubServer; slack: SlackServer; checkout: Checkout }

async function withWorld(fn: (world: World) => Promise<void>): Promise<void> {
  await using github = await startGitHubServer()
  await using slack = await startSlackServer()
  await using checkout = await makeCheckout(shop)
  github.setClock("2026-03-01T06:59:00Z")
  await fn({ github, slack, checkout })
}

/** A night of backup.yml that ended in some way; its restore test went well. */
function night({ github }: World, conclusion: string, hours = 3): number {
  const run = github.addRun({ path: ".github/workflows/backup.yml", name: "backup", conclusion })
  github.addJob({
    run_id: run.id,
    name: "backup",
    conclusion,
    started_at: "2026-03-01T03:17:00Z",
    completed_at: new Date(Date.parse("2026-03-01T03:17:00Z") + hours * 3600_000).toISOString(),
    steps: steps(["Set up job", "success"], ["Back up", conclusion]),
  })
  github.addJob({
    run_id: run.id,
    name: "restore-test",
    conclusion: "success",
    steps: steps(["Restore and compare", "success"]),
  })
  return run.id
}

/** Incidents are kept in a directory, which is quicker, unless they must be issues. */
async function tell(world: World, argv: string[], more: Record<string, string> = {}) {
  const { github, slack, checkout } = world
  const env = {
    GITHUB_TOKEN: github.token,
    GITHUB_REPOSITORY: "team/app",
    GITHUB_API_URL: github.url,
    SLACK_URL: slack.url,
  }
  return checkout.run(job, { argv, env: { ...env, ...more }, now })
}

it("says what is missing when it cannot ask GitHub, and when it is not told what to do", async () => {
  await using checkout = await makeCheckout()
  const blind = await checkout.run(job, { argv: ["--run", "5"], now })
  expect(blind.exitCode).toBe(2)
  expect(blind.stdout).toContain("GITHUB_TOKEN is missing")
  await withWorld(async (world) => {
    expect(await tell(world, [])).toMatchObject({ exitCode: 2, stdout: expect.stringContaining("--run NUMBER") })
    expect((await tell(world, ["--run", "5"])).stdout).toMatch(/read run 5.*404/)
  })
})

it.each([
  ["cancelled", 1, /step "Back up" was cancelled after 60 min|step "Back up" was cancelled after 1 h/],
  ["cancelled", 3, /step "Back up" came to its time limit of 180 minutes/],
  ["timed_out", 3, /step "Back up" came to its time limit/],
  ["failure", 1, /step "Back up" failed after .*: the disk is full/],
])("tells of a run that ended by %s after %i h, once", async (conclusion, hours, words) => {
  await withWorld(async (world) => {
    const id = night(world, conclusion, hours)
    const [failed] = world.github.repository().jobs
    if (failed && conclusion === "failure") {
      const place = { path: ".github", start_line: 1, end_line: 1, title: null }
      world.github.repository().annotations.set(failed.id, [
        { ...place, annotation_level: "failure", message: "the disk is full" },
        { ...place, annotation_level: "failure", message: "Process completed with exit code 1." },
      ])
    }
    const first = await tell(world, ["--run", String(id)])
    expect([first.exitCode, first.run.told.incidents], first.stderr).toEqual([0, "done"])
    expect(first.run.findings).toMatchObject([
      { subject: "job/backup", outcome: "fail", detail: expect.stringMatching(words) },
    ])
    const [message = ""] = world.slack.received.map((one) => JSON.stringify(one).replaceAll('\\"', '"'))
    expect(message).toMatch(words)
    expect(message).toContain(`gh run rerun ${id} --failed --repo team/app`)
    await tell(world, ["--run", String(id)])
    expect(world.slack.received.length).toBe(1)
  })
})

it("is silent about a job that told of itself, and speaks for its neighbour that did not", async () => {
  await withWorld(async (world) => {
    const id = night(world, "failure")
    const ledger = openLedger(`file://${world.checkout.dir}/.ops/ledger`)
    const row = { schema: 1, id: `${id}-1-backup`, job: "backup", told: { summary: "done", incidents: "done" } }
    await ledger.append([{ stream: "runs/2026/03/01.jsonl", row }])
    const silent = await tell(world, ["--run", String(id)])
    expect([silent.run.findings, world.slack.received.length]).toEqual([[], 0])
    expect(silent.run.summary).toContain("told of itself")
    world.github.addJob({
      ...{ run_id: id, name: "restore-test", conclusion: "cancelled" },
      steps: steps(["Restore and compare", "cancelled"]),
    })
    const second = await tell(world, ["--run", String(id)])
    expect(second.run.findings.map(({ subject }) => subject)).toEqual(["job/restore-test"])
  })
})

it("tells of a run whose own telling failed", async () => {
  await withWorld(async (world) => {
    const id = night(world, "failure")
    const row = { schema: 1, id: `${id}-1-backup`, job: "backup", told: { incidents: "failed (no network)" } }
    await openLedger(`file://${world.checkout.dir}/.ops/ledger`).append([{ stream: "runs/2026/03/01.jsonl", row }])
    expect((await tell(world, ["--run", String(id)])).run.findings).toHaveLength(1)
  })
})

it("tells of a run that never started, which has no jobs", async () => {
  await withWorld(async (world) => {
    const run = world.github.addRun({
      path: ".github/workflows/backup.yml",
      name: "backup",
      conclusion: "startup_failure",
    })
    const { run: told } = await tell(world, ["--run", String(run.id)])
    expect(told.findings).toMatchObject([{ subject: "job/backup", detail: expect.stringContaining("could not start") }])
  })
})

it("tells what it knows when annotations and log cannot be read", async () => {
  await withWorld(async (world) => {
    const id = night(world, "failure")
    world.github.on("GET", /annotations/, "forbidden")
    world.github.on("GET", /logs/, "forbidden")
    const { run, exitCode } = await tell(world, ["--run", String(id)])
    expect([exitCode, run.findings.length]).toEqual([0, 1])
  })
})

it("rings everybody for a drill, says that it is one, and records who answered", async () => {
  await withWorld(async (world) => {
    world.github.setRole("ada", "write")
    const inIssues = { INCIDENTS: "github:team/app" }
    const drill = await tell(world, ["--drill"], inIssues)
    expect([drill.exitCode, drill.run.told.incidents]).toEqual([0, "done"])
    expect(JSON.stringify(world.slack.received)).toContain("DRILL: nothing is broken")
    const [issue] = world.github.issues()
    expect(issue?.title).toMatch(/drill/i)
    world.github.setClock("2026-03-01T07:04:00Z")
    world.github.addComment(issue?.number ?? 0, "ada", "/ack 1h")
    const { checkout, github, slack } = world
    const env = {
      GITHUB_TOKEN: github.token,
      GITHUB_REPOSITORY: "team/app",
      GITHUB_API_URL: github.url,
      SLACK_URL: slack.url,
    }
    const run = github.addRun({ path: ".github/workflows/backup.yml", name: "backup", conclusion: "success" })
    await checkout.run(job, {
      argv: ["--run", String(run.id)],
      env: { ...env, INCIDENTS: "github:team/app" },
      now: "2026-03-01T07:10:00Z",
    })
    expect(github.issues()[0]?.state).toBe("closed")
    expect(
      github
        .comments(issue?.number ?? 0)
        .map(({ body }) => body)
        .join("\n"),
    ).toContain("answered by ada")
  })
})
