import { expect, it } from "vitest"
import alert from "../../jobs/alert.ts"
import type { Job } from "../../lib/job/job.ts"
import { openLedger } from "../../lib/ledger/open.ts"
import { type Checkout, makeCheckout } from "../support/checkout.ts"
import { type GitHubServer, type NewJob, type NewRun, startGitHubServer } from "../support/github-server.ts"
import { type SlackServer, startSlackServer } from "../support/slack-server.ts"

const shop = `app: { name: "Shop" }, alerts: { slack: secret("SLACK_URL") }`

type World = {
  github: GitHubServer
  slack: SlackServer
  checkout: Checkout
  /** A run with jobs, of which alert tells. */
  tell(run: NewRun, jobs?: Omit<NewJob, "run_id">[], told?: string[]): Promise<Awaited<ReturnType<Checkout["run"]>>>
}

async function withWorld(fn: (world: World) => Promise<void>): Promise<void> {
  await using github = await startGitHubServer()
  await using slack = await startSlackServer()
  await using checkout = await makeCheckout(shop)
  github.setClock("2026-03-01T06:59:00Z")
  const access = { GITHUB_TOKEN: github.token, GITHUB_REPOSITORY: "team/app", GITHUB_API_URL: github.url }
  let minutes = 0
  await fn({
    ...{ github, slack, checkout },
    tell: async (run, jobs = [], told = []) => {
      const { id } = github.addRun(run)
      for (const job of jobs) github.addJob({ run_id: id, ...job })
      const rows = told.map((job) => ({ schema: 1, id: `${id}-1-${job}`, job, told: { incidents: "done" } }))
      const ledger = openLedger(`file://${checkout.dir}/.ops/ledger`)
      if (rows.length > 0) await ledger.append(rows.map((row) => ({ stream: "runs/2026/03/01.jsonl", row })))
      const env = { ...access, SLACK_URL: slack.url }
      return checkout.run(alert as Job, { argv: ["--run", String(id)], env, now: `2026-03-01T07:0${minutes++}:00Z` })
    },
  })
}

const pulse = ".github/workflows/pulse.yml"
const failed = { path: pulse, name: "pulse", conclusion: "failure" }
const steps = (...names: [string, string | null, string?][]) =>
  names.map(([name, conclusion, status = "completed"], index) => ({ name, conclusion, status, number: index + 1 }))
const wordsOf = ({ slack }: World) => slack.received.map((one) => JSON.stringify(one).replaceAll('\\"', '"'))

it("speaks for the second job of a machine whose first told of itself", () =>
  withWorld(async ({ tell }) => {
    const both = steps(["Keep warm", "failure"], ["Look at health", "failure"])
    const { run } = await tell(failed, [{ name: "pulse", conclusion: "failure", steps: both }], ["keep-warm"])
    expect(run.findings).toMatchObject([
      { subject: "job/health", runbook: "health", detail: expect.stringMatching(/^step "Look at health" failed/) },
    ])
  }))

it("names the step that was under way when the machine was lost", () =>
  withWorld(async ({ tell }) => {
    const lost = steps(["Keep warm", "success"], ["Look at health", null, "in_progress"])
    const { run } = await tell(failed, [{ name: "pulse", conclusion: "failure", steps: lost }], ["keep-warm"])
    expect(run.findings.map(({ subject, detail }) => [subject, /"(.*?)"/.exec(detail)?.[1]])).toEqual([
      ["job/health", "Look at health"],
    ])
  }))

it("says nothing of a run that went well, or that was started again and is not over", () =>
  withWorld(async ({ slack, tell }) => {
    const good = await tell({ ...failed, conclusion: "success" }, [{ name: "pulse", conclusion: "success" }])
    const again = await tell({ ...failed, conclusion: null, status: "in_progress", run_attempt: 2 }, [
      { name: "pulse", conclusion: "failure" },
    ])
    for (const { run, exitCode } of [good, again]) {
      expect([exitCode, run.findings, run.summary]).toEqual([0, [], expect.stringContaining("nothing to tell")])
    }
    expect(slack.received).toEqual([])
  }))

it.each([
  ["gone", undefined, "job/nightly"],
  ["no workflow", "on: [\njobs:\n  x:\n    run: exec node lib/job/main.ts health\n", "job/health"],
])("tells of a run whose workflow file is %s", async (_what, text, subject) => {
  await withWorld(async (world) => {
    const file = text === undefined ? "nightly.yml" : await world.checkout.write("broken.yml", text)
    const path = text === undefined ? `.github/workflows/${file}` : file
    const { run, exitCode } = await world.tell({ ...failed, path, conclusion: "startup_failure" })
    expect([exitCode, run.findings.map((one) => one.subject), world.slack.received.length]).toEqual([0, [subject], 1])
    expect(run.findings[0]?.runbook).toBe(text === undefined ? "alert" : "health")
  })
})

it("gives each failure of a matrix a line, and knows its time limit", () =>
  withWorld(async (world) => {
    const times = { started_at: "2026-03-01T03:00:00Z", completed_at: "2026-03-01T03:10:00Z" }
    const leg = (name: string, conclusion: string) => {
      return { name: `pulse (${name})`, conclusion, steps: steps(["Look at health", conclusion]), ...times }
    }
    const { run } = await world.tell(failed, [leg("eu, 1", "cancelled"), leg("us", "failure")])
    expect(run.findings.map(({ detail }) => detail.replace(/;.*/, ""))).toEqual([
      'step "Look at health" came to its time limit of 10 minutes',
      'step "Look at health" failed after 10 min',
    ])
    expect(wordsOf(world)).toEqual([expect.stringMatching(/came to its time limit.*failed after 10 min/s)])
  }))

it("names the command to start it again and the last success however much the log says", () =>
  withWorld(async (world) => {
    const { github, tell } = world
    github.setClock("2026-02-28T06:00:00Z")
    github.addRun({ ...failed, conclusion: "success" })
    github.setClock("2026-03-01T06:00:00Z")
    const log = Array.from({ length: 9 }, (_, line) => `${line} ${"npm error ".repeat(1000)}`).join("\n")
    const { run } = await tell(failed, [
      { name: "pulse", conclusion: "failure", log, steps: steps(["Look at health", "failure"]) },
    ])
    const [words] = wordsOf(world)
    expect(words).toMatch(
      /\*First action\* {2}open the run, then start it again: gh run rerun \d+ --failed --repo team\/app/,
    )
    expect(words).toContain("*Last good*  2026-02-28 06:00 UTC")
    expect(words).toMatch(/actions\/runs\/\d+\|open the run/)
    expect(run.findings[0]?.detail.length).toBeLessThan(2500)
  }))

it("tells although the ledger cannot be read", () =>
  withWorld(async ({ checkout, tell }) => {
    await checkout.write(".ops/ledger", "no directory")
    const { run } = await tell(failed, [
      { name: "pulse", conclusion: "failure", steps: steps(["Look at health", "failure"]) },
    ])
    expect([run.findings.map(({ subject }) => subject), run.told.incidents]).toEqual([["job/health"], "done"])
  }))

it("rings for a drill by hand without a token, and fails where it can ring nobody", async () => {
  await using slack = await startSlackServer()
  await using checkout = await makeCheckout(shop)
  const drill = { argv: ["--drill"], now: "2026-03-01T07:00:00Z" }
  const deaf = await checkout.run(alert as Job, drill)
  expect([deaf.exitCode, deaf.stdout]).toEqual([3, expect.stringContaining("the drill rang nobody")])
  const rung = await checkout.run(alert as Job, { ...drill, env: { SLACK_URL: slack.url } })
  expect([rung.exitCode, slack.received.length]).toEqual([0, 1])
})

it("is itself well again after a run that told, and makes no incident of what was typed wrongly", () =>
  withWorld(async ({ github, slack, checkout, tell }) => {
    github.on("GET", /runs/, "not_found")
    expect((await tell(failed)).exitCode).toBe(1)
    await tell(failed, [{ name: "pulse", conclusion: "failure", steps: steps(["Look at health", "failure"]) }])
    expect(slack.received.map(({ text }) => String(text).replace(/,.*/s, ""))).toEqual([
      "P2: alert did not do its work",
      "P2: health did not do its work",
      expect.stringMatching(/^recovered after .*: job\/alert$/),
    ])
    const typed = await checkout.run(alert as Job, { now: "2026-03-01T07:10:00Z", env: { SLACK_URL: slack.url } })
    expect([typed.exitCode, typed.run.told, slack.received.length]).toEqual([2, {}, 3])
  }))
