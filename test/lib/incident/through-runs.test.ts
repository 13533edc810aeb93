import { describe, expect, it } from "vitest"
import type { Finding } from "../../../lib/core/finding.ts"
import type { Job } from "../../../lib/job/job.ts"
import { recordActions } from "../../support/actions-output.ts"
import { type Checkout, makeCheckout } from "../../support/checkout.ts"
import { type GitHubServer, startGitHubServer } from "../../support/github-server.ts"
import { type SlackServer, startSlackServer } from "../../support/slack-server.ts"

/* What people hear of whole runs, from the job's findings to GitHub and Slack. */

type World = {
  github: GitHubServer
  slack: SlackServer
  checkout: Checkout
  /** A run of the watching job that finds this. */
  look(at: string, findings: Finding[], changes?: Changes): Promise<Awaited<ReturnType<Checkout["run"]>>>
  /** What people read, message by message. */
  heard(): string[]
}
type Changes = { job?: Partial<Job>; env?: Record<string, string>; argv?: string[]; signal?: AbortSignal }

async function withWorld(fn: (world: World) => Promise<void>, more = ""): Promise<void> {
  await using github = await startGitHubServer()
  await using slack = await startSlackServer()
  await using checkout = await makeCheckout(`app: { name: "Shop" }, alerts: { slack: secret("SLACK_URL"), ${more} }`)
  const access = { GITHUB_TOKEN: github.token, GITHUB_REPOSITORY: "team/app", GITHUB_API_URL: github.url }
  const env = { ...access, SLACK_URL: slack.url, INCIDENTS: "github:team/app" }
  await fn({
    ...{ github, slack, checkout },
    heard: () => slack.received.map(({ blocks }) => JSON.stringify(blocks)),
    look: async (at, findings, { job, env: added, ...changes } = {}) => {
      const now = `2026-03-01T${at}:00Z`
      github.setClock(now)
      const config = () => ({})
      const run = async () => ({ summary: "looked", findings })
      const watch: Job = { ...{ name: "watch", about: "Looks", observer: true, config, run }, ...job }
      return checkout.run(watch, { now, env: { ...env, ...added }, ...changes })
    },
  })
}

const secretive = "db-7.internal answered 503 --> <!channel> @here"
const down = (changes: Partial<Finding> = {}): Finding => ({
  ...{ subject: "service/api", outcome: "fail", detail: secretive, class: "status" },
  ...{ runbook: "service-status", isConfirmed: true, ...changes },
})
const up: Finding = { subject: "service/api", outcome: "ok", detail: "answered 200" }

/* Between two writes to GitHub lies a second, so the tests run beside each other. */
describe.concurrent("whole runs", () => {
  it("tells an outage of several runs once, while GitHub is away in the middle again with its key, and its end once", () =>
    withWorld(async ({ github, slack, look, heard }) => {
      await look("03:00", [up])
      expect((await look("03:30", [down()])).exitCode).toBe(0)
      github.always("forbidden")
      const blind = await look("04:00", [down()])
      expect([blind.exitCode, blind.run.told.incidents]).toEqual([3, expect.stringMatching(/^failed/)])
      github.always("ok")
      for (const at of ["04:20", "05:00"]) expect((await look(at, [down()])).exitCode).toBe(0)
      for (const at of ["05:30", "06:00", "06:30"]) await look(at, [up])
      expect(slack.received.map(({ text }) => String(text).slice(0, 30))).toEqual([
        expect.stringMatching(/^P1: service\/api is down/),
        expect.stringMatching(/^P1: service\/api is down/),
        expect.stringMatching(/^P1, still after 1 h 30 min/),
        expect.stringMatching(/^recovered after/),
      ])
      const keys = heard().map((text) => /key `(.*?)`/.exec(text)?.[1])
      expect(keys).toEqual(Array(4).fill("service/api@2026-03-01T03:30Z"))
      expect(heard()[1]).toContain("may be a repeat")
      const [issue] = github.issues()
      expect([github.issues().length, issue?.state, issue?.labels.map(({ name }) => name)]).toEqual([
        1,
        "closed",
        ["incident", "P1"],
      ])
      const [closing] = github.comments(issue?.number ?? 0).map(({ body }) => body)
      expect(closing).toMatch(/Postmortem.*\| told \| 2026-03-01 03:30 UTC/s)
    }))

  it("does what people with write access ask for, and nothing that others ask for", () =>
    withWorld(async ({ github, slack, look, heard }) => {
      github.setRole("ann", "write")
      await look("03:00", [down()])
      github.addComment(1, "eve", "/silence 2d nothing to see")
      github.addComment(1, "ann", "/ack 4h")
      await look("03:30", [])
      await look("08:30", [down()])
      expect(heard().map((text) => /DRILL|is down|still|closed by/.exec(text)?.[0])).toEqual(["is down", "still"])
      github.addComment(1, "ann", "/resolve the host is gone")
      expect((await look("09:00", [])).run.told.incidents).toBe("done")
      expect(heard()[2]).toContain("closed by ann")
      const answers = github.comments(1).filter(({ user }) => user?.type === "Bot")
      expect(answers.map(({ body }) => body.split(" ").slice(0, 2).join(" "))).toEqual([
        "ann: acknowledged",
        "ann: closed.",
      ])
      await look("09:30", [down()])
      expect([slack.received.length, github.issue(1).state]).toEqual([4, "open"])
      github.closeIssue(1, "ann")
      await look("10:00", [down()])
      await look("10:30", [down()])
      expect([slack.received.length, github.issue(1).state, github.issues().length]).toEqual([4, "closed", 1])
    }))

  it("shows everyone in a public repository no more than subject, outcome and times", () =>
    withWorld(async ({ github, look, heard, checkout }) => {
      const page = recordActions(`${checkout.dir}/summary.md`)
      const actions = { GITHUB_ACTIONS: "true", GITHUB_EVENT_NAME: "workflow_dispatch", GITHUB_RUN_ID: "77" }
      const event = await checkout.write("event.json", `{ "repository": { "private": false } }`)
      const env = { ...actions, GITHUB_EVENT_PATH: event, GITHUB_STEP_SUMMARY: `${checkout.dir}/summary.md` }
      const shown: string[] = []
      const show = async (at: string, finding: Finding) => {
        const { stdout, stderr } = await look(at, [finding], { env })
        shown.push(stdout, stderr)
      }
      await show("03:00", down({ outcome: "warn", cause: "service/db" }))
      await show("03:30", down())
      await show("04:00", up)
      await show("04:30", up)
      const api = github.repository()
      shown.push(JSON.stringify([[...api.issues.values()], api.comments, [...api.labels], page.annotations]))
      shown.push(JSON.stringify(await checkout.ledger("2026-03-01")))
      expect(github.issues().map(({ state, title }) => [state, title])).toEqual([["closed", "service/api: fail"]])
      for (const text of shown) expect(text).not.toMatch(/answered|db-7|internal|service-status|"class"/)
      expect(heard()[0]).toContain("db-7.internal answered 503")
      expect(heard()[0]).toContain("service-status")
    }))

  it("rings nobody's phone and tears no text, whatever a failing server says", () =>
    withWorld(async ({ github, look, heard }) => {
      await look("03:00", [down({ detail: `${secretive} \u{1F4A5} @ann #12 \`\`\`x\`\`\` | </details>`.repeat(40) })])
      const { body = "" } = github.issue(1)
      expect(body).not.toMatch(/(?<![\w`/.@-])@(?=ann|here)/)
      expect(body?.match(/-->/g)).toHaveLength(2)
      expect(heard()[0]).not.toMatch(/<!channel>|@here/)
      await look("03:30", [up])
      await look("04:00", [up])
      expect(github.issue(1).state).toBe("closed")
    }))

  it("says what was left with the next run of any job: of one that finds nothing, and of one whose slot is done", () =>
    withWorld(async ({ slack, look }) => {
      const nightly = { name: "nightly", observer: false }
      const argv = ["--slot=2026-03-01T02:00:00Z"]
      expect((await look("02:10", [], { job: nightly, argv })).exitCode).toBe(0)
      slack.always("invalid_token")
      expect((await look("03:00", [down()])).exitCode).toBe(3)
      slack.always("ok")
      const again = await look("03:20", [], { job: nightly, argv })
      expect([again.run.summary, again.run.told.incidents, slack.received.length]).toEqual([
        expect.stringContaining("already done"),
        "done",
        1,
      ])
      slack.always("invalid_token")
      await look("03:30", [down({ subject: "service/web" })])
      slack.always("ok")
      await look("03:40", [], { job: { name: "other", observer: true } })
      expect(slack.received).toHaveLength(2)
    }))

  it("ends within 5 s of a signal while Slack does not answer, and the next run says it", () =>
    withWorld(async ({ slack, look, heard }) => {
      slack.always("hang")
      const stop = new AbortController()
      const running = look("03:00", [down()], { signal: stop.signal })
      while (slack.requests() === 0) await new Promise((resolve) => setTimeout(resolve, 20))
      const began = performance.now()
      stop.abort(new Error("received SIGTERM"))
      const { exitCode, run } = await running
      expect(performance.now() - began).toBeLessThan(5000)
      expect([exitCode, run.told]).toEqual([
        3,
        { ...run.told, incidents: expect.stringMatching(/^failed/), ledger: "done" },
      ])
      slack.always("ok")
      await look("03:30", [down()])
      expect(heard()).toEqual([expect.stringContaining("may be a repeat")])
    }))

  it("takes the severity that the settings give, also for what opened before", () =>
    withWorld(async ({ github, look, heard }) => {
      await look("03:00", [down({ subject: "service/shop/cart" })])
      expect([heard()[0], github.issue(1).labels.at(-1)?.name]).toEqual([expect.stringContaining("P0: "), "P0"])
    }, `severities: { "service/shop/*": "P0" }`))
})
