import { readdir } from "node:fs/promises"
import { describe, expect, it } from "vitest"
import { z } from "zod"
import type { Finding } from "../../../lib/core/finding.ts"
import { type Context, defineJob, type Job } from "../../../lib/job/job.ts"
import { recordActions } from "../../support/actions-output.ts"
import { makeCheckout, moduleUrl } from "../../support/checkout.ts"
import { startHeartbeatServer } from "../../support/heartbeat-server.ts"
import { startSlackServer } from "../../support/slack-server.ts"

const day = "2026-03-01"
const now = `${day}T03:19:00Z`
const alerts = `app: { name: "Shop" }, alerts: { slack: secret("SLACK_URL"), heartbeat: variable("PING_URL") }`
const commit = "0123456789abcdef0123456789abcdef01234567"

/** What GitHub sets for a dispatched run. */
const actions = {
  ...{ GITHUB_ACTIONS: "true", CI: "true", GITHUB_EVENT_NAME: "workflow_dispatch", GITHUB_SHA: commit },
  ...{
    GITHUB_REPOSITORY: "acme/shop",
    GITHUB_RUN_ID: "77",
    GITHUB_RUN_ATTEMPT: "2",
    GITHUB_SERVER_URL: "https://github.com",
  },
}

function aJob(run: (context: Context<unknown>) => Promise<Finding[]>, fields: Partial<Job> = {}): Job {
  return {
    ...{ name: "count", about: "Count the rows of every table", config: () => ({}) },
    async run(context) {
      const findings = await run(context as Context<unknown>)
      return {
        summary: `counted, ${findings.length} findings`,
        findings,
        records: [{ stream: "counts/main.jsonl", row: { rows: 7 } }],
      }
    },
    ...fields,
  }
}

const fine = async (): Promise<Finding[]> => [{ subject: "table/users", outcome: "ok", detail: "7 rows" }]
const bad = async (): Promise<Finding[]> => [
  { subject: "table/users", outcome: "fail", detail: "no rows: restore yesterday's backup", runbook: "count" },
]

describe("a run that goes wrong", () => {
  it("turns an exception into a finding of the job, tells Slack and the ledger, and is red", async () => {
    await using slack = await startSlackServer()
    await using heartbeat = await startHeartbeatServer()
    await using checkout = await makeCheckout(alerts)
    const job = aJob(async () => {
      throw new Error("counting failed", { cause: new Error("connection refused") })
    })
    const env = { SLACK_URL: slack.url, PING_URL: heartbeat.url }
    const { run, exitCode, stdout } = await checkout.run(job, { env, now })
    expect(exitCode).toBe(1)
    expect(run.findings).toEqual([
      { subject: "job/count", outcome: "fail", detail: "counting failed: connection refused" },
    ])
    expect(run.told).toEqual({ summary: "skipped (not in Actions)", incidents: "done", ledger: "done" })
    expect(JSON.stringify(slack.received)).toContain("counting failed: connection refused")
    expect(heartbeat.pings.map((ping) => ping.kind)).toEqual(["start", "fail"])
    expect(await checkout.ledger(day)).toMatchObject([{ job: "count", exitCode: 1, told: { incidents: "done" } }])
    expect(stdout).toMatch(/^count failed in .*: counting failed: connection refused\n$/)
  })

  it("names all settings that are wrong or missing at once, before the job does anything", async () => {
    await using slack = await startSlackServer()
    await using checkout = await makeCheckout(alerts)
    let hasRun = false
    const job = aJob(
      async () => {
        hasRun = true
        return []
      },
      {
        options: z.strictObject({ rows: z.int({ error: "a whole number" }).default(1) }),
        config: (_ops, env) => [
          env.secret({ kind: "secret", name: "FIRST_URL" }),
          env.variable({ kind: "variable", name: "SECOND" }),
        ],
      },
    )
    const env = { ...actions, SLACK_URL: slack.url, PING_URL: "not a URL", OPS_DRY_RUN: "maybe", LEDGER: "ftp://x" }
    const { run, exitCode, stdout } = await checkout.run(job, { argv: ["--rows=many", "--slot=2099-01-01"], env, now })
    expect(exitCode).toBe(2)
    expect(hasRun).toBe(false)
    expect(run.findings.map((finding) => finding.detail)).toEqual([
      "--rows: a whole number",
      'OPS_DRY_RUN is "maybe": it takes true or false',
      expect.stringMatching(/^the slot 2099-01-01T00:00:00.000Z is in the future/),
      expect.stringMatching(/^FIRST_URL is missing: add the secret/),
      expect.stringMatching(/^SECOND is missing: add the variable/),
      expect.stringMatching(/^PING_URL is not an http or https URL/),
      expect.stringMatching(/^LEDGER is an address that begins with ftp:/),
    ])
    expect(JSON.stringify(slack.received)).toContain("FIRST_URL is missing")
    expect(stdout).toMatch(/^count cannot run: 7 things to correct\n {2}--rows/)
  })

  it("still tells Slack when another part of the configuration is wrong", async () => {
    await using slack = await startSlackServer()
    await using checkout = await makeCheckout(`app: { nmae: "Shop" }, alerts: { slack: secret("SLACK_URL") }`)
    const { exitCode } = await checkout.run(aJob(fine), { env: { SLACK_URL: slack.url }, now })
    expect(exitCode).toBe(2)
    expect(JSON.stringify(slack.received)).toContain("app.nmae is no setting: did you mean name?")
  })

  it("treats a setting that the job finds wrong while it runs as one to correct", async () => {
    await using checkout = await makeCheckout()
    const module: { ConfigError: new (problem: string) => Error } = await import(moduleUrl("lib/core/config-error.ts"))
    const job = aJob(async () => {
      throw new module.ConfigError("pg_dump 17 is missing: apt-get install postgresql-client-17")
    })
    expect(await checkout.run(job, { now })).toMatchObject({ exitCode: 2, run: { outcome: "fail" } })
  })

  it("shows the stack of a defect, and of nothing else", async () => {
    await using checkout = await makeCheckout()
    const defect = await checkout.run(
      aJob(async () =>
        [undefined as unknown as Finding].map((finding) => ({ ...finding, detail: finding.detail.trim() })),
      ),
    )
    expect(defect.stderr).toMatch(/error Cannot read properties of undefined.*\n.*\n +at /s)
    const badDay = await checkout.run(aJob(() => Promise.reject(new Error("refused"))))
    expect(badDay.stderr).toBe("")
  })
})

describe("telling", () => {
  it("is red with exit code 3 when Slack cannot be told, which wins over 1, and the others are told all the same", async () => {
    await using slack = await startSlackServer()
    await using heartbeat = await startHeartbeatServer()
    await using checkout = await makeCheckout(alerts)
    slack.always("no_service")
    const env = { SLACK_URL: slack.url, PING_URL: heartbeat.url }
    const { run, exitCode } = await checkout.run(aJob(bad), { env, now })
    expect(exitCode).toBe(3)
    expect(run.told.incidents).toMatch(
      /^failed \(table\/users@.* not told: the message did not reach Slack: 404 no_service/,
    )
    expect(run.told.ledger).toBe("done")
    expect(await checkout.ledger(day)).toMatchObject([
      { exitCode: 3, outcome: "fail", told: { incidents: run.told.incidents } },
    ])
    expect(heartbeat.pings.at(-1)).toEqual({ kind: "fail", body: "exit code 3", query: "" })
  })

  it("is red with exit code 3 when the ledger cannot be written, although the job did its work", async () => {
    await using checkout = await makeCheckout()
    const env = { LEDGER: `file://${await checkout.write("a-file", "")}/ledger` }
    const { run, exitCode, stdout } = await checkout.run(aJob(fine), { env, now })
    expect(exitCode).toBe(3)
    expect(run).toMatchObject({
      outcome: "ok",
      exitCode: 3,
      told: { ledger: expect.stringMatching(/^failed \(cannot add to .* a part of its path is a file/) },
    })
    expect(stdout).toContain("not told: ledger failed (")
  })

  it("is red with exit code 3 when GitHub's summary cannot be written, and the ledger knows it", async () => {
    await using checkout = await makeCheckout()
    const page = recordActions("/nowhere/summary.md")
    expect((await checkout.run(aJob(fine), { env: actions, actions: page, now })).exitCode).toBe(3)
    expect(await checkout.ledger(day)).toMatchObject([
      { exitCode: 3, told: { summary: expect.stringMatching(/^failed/) } },
    ])
  })

  it("only warns when the heartbeat does not arrive", async () => {
    await using heartbeat = await startHeartbeatServer()
    await using checkout = await makeCheckout(alerts)
    heartbeat.answer(500, "no")
    const { exitCode, stderr } = await checkout.run(aJob(fine), { env: { PING_URL: heartbeat.url }, now })
    expect(exitCode).toBe(0)
    expect(stderr.match(/the heartbeat did not arrive: .* answered 500/g)).toHaveLength(2)
  })

  it("writes the page and the annotations inside Actions, and says who started the run and why", async () => {
    await using checkout = await makeCheckout()
    const page = recordActions(`${checkout.dir}/summary.md`)
    const GITHUB_EVENT_PATH = await checkout.write("event.json", `{ "repository": { "private": true } }`)
    const env = { ...actions, GITHUB_EVENT_PATH, OPS_REASON: "drill", GITHUB_TRIGGERING_ACTOR: "alice" }
    const { run } = await checkout.run(aJob(bad), { env, actions: page, now })
    expect(run).toMatchObject({
      ...{ id: "77-2-count", trigger: "dispatch", reason: "drill", actor: "alice", commit },
      url: "https://github.com/acme/shop/actions/runs/77/attempts/2",
    })
    expect(await checkout.read("summary.md")).toContain("| table/users | fail | no rows: restore yesterday's backup |")
    expect(page.annotations).toEqual([
      { kind: "error", title: "count: table/users", text: "no rows: restore yesterday's backup" },
    ])
  })

  it("puts into the Slack message what it means, the last success, commit, run and runbook, and once only", async () => {
    await using slack = await startSlackServer()
    await using checkout = await makeCheckout(`app: { name: "Shop" }, alerts: { slack: secret("SLACK_URL") }`)
    const env = {
      ...actions,
      SLACK_URL: slack.url,
      LEDGER: `file://${checkout.dir}/.ops/ledger`,
    }
    await checkout.run(aJob(fine), { env, now: "2025-12-30T03:19:00Z" })
    await checkout.run(aJob(bad), { env, now: "2025-12-31T03:19:00Z" })
    const [message] = slack.received.map((one) => JSON.stringify(one))
    for (const part of [
      ...["P2: table/users failed", "Shop (production)", "*Error*  `no rows: restore yesterday's backup`"],
      ...["*Impact*  this work is not done, or in doubt: Count the rows of every table"],
      ...["*Last good*  2025-12-30 03:19 UTC (24 h ago)", commit.slice(0, 12)],
      ...["*First action*  open the run, follow the runbook, then start count again"],
      ...[
        "https://github.com/acme/shop/actions/runs/77/attempts/2",
        `https://github.com/acme/shop/blob/${commit}/docs/runbooks/count.md`,
      ],
    ]) {
      expect(message).toContain(part)
    }
    await checkout.run(aJob(bad), { env, now: "2025-12-31T03:49:00Z", argv: ["--again"] })
    expect(slack.received).toHaveLength(1)
    await checkout.run(aJob(bad), { env, now: "2026-01-01T03:19:00Z" })
    expect(JSON.stringify(slack.received[1])).toMatch(/still after 24 h.*since 2025-12-31 03:19 UTC/)
    await checkout.run(aJob(fine), { env, now: "2026-01-02T03:19:00Z" })
    expect(JSON.stringify(slack.received[2])).toContain("recovered after 2 d: table/users")
  })

  it("says in the job's own words what it means, of the job itself too", async () => {
    await using slack = await startSlackServer()
    await using checkout = await makeCheckout(alerts)
    const broken = aJob(() => Promise.reject(new Error("no route")), { impact: "the numbers on the wall are old" })
    await checkout.run(broken, { env: { SLACK_URL: slack.url, PING_URL: "http://127.0.0.1:9" }, now })
    expect(JSON.stringify(slack.received)).toContain("*Impact*  the numbers on the wall are old")
    expect(JSON.stringify(slack.received)).toContain("count did not do its work")
  })

  it("asks the job's store for the last success where no ledger is kept, and says so when nothing is known", async () => {
    await using slack = await startSlackServer()
    const env = { ...actions, SLACK_URL: slack.url }
    const fresh = async (job: Job) => {
      await using empty = await makeCheckout(`app: { name: "Shop" }, alerts: { slack: secret("SLACK_URL") }`)
      await empty.run(job, { env, now })
    }
    await fresh(aJob(bad, { lastSuccess: async () => new Date("2026-02-28T03:19:00Z") }))
    await fresh(aJob(bad, { lastSuccess: async () => undefined }))
    await fresh(aJob(bad, { lastSuccess: () => Promise.reject(new Error("store is gone")) }))
    await fresh(aJob(bad))
    const said = slack.received.map((message) => /\*Last good\* {2}(.*?)(\\n|")/.exec(JSON.stringify(message))?.[1])
    expect(said).toEqual([
      "2026-02-28 03:19 UTC (24 h ago)",
      "never",
      expect.stringMatching(/^unknown/),
      expect.stringMatching(/^unknown/),
    ])
  })
})

describe("a dry run", () => {
  it("tells nobody but the summary and the ledger, keeps no rows of the job, and does not count as done", async () => {
    await using slack = await startSlackServer()
    await using heartbeat = await startHeartbeatServer()
    await using checkout = await makeCheckout(alerts)
    const env = { SLACK_URL: slack.url, PING_URL: heartbeat.url, OPS_DRY_RUN: "true" }
    const seen: boolean[] = []
    const job = aJob(async ({ dryRun }) => {
      seen.push(dryRun)
      return bad()
    })
    const { run } = await checkout.run(job, { env, argv: ["--slot=2026-03-01"], now })
    expect(run).toMatchObject({ dryRun: true, exitCode: 1, told: { incidents: "skipped (dry run)", ledger: "done" } })
    expect([slack.requests(), heartbeat.pings.length, seen]).toEqual([0, 0, [true]])
    expect(await checkout.ledger(day)).toMatchObject([{ dryRun: true }])
    await expect(checkout.read(".ops/ledger/counts/main.jsonl")).rejects.toThrow("ENOENT")
    await checkout.run(aJob(fine), { argv: ["--dry-run", "--slot=2026-03-01"], now })
    expect((await checkout.run(aJob(fine), { argv: ["--slot=2026-03-01"], now })).run.summary).toBe(
      "counted, 1 findings",
    )
  })
})

describe("a slot", () => {
  it("is that of the cron that fired, however late the run starts, and is done once", async () => {
    await using checkout = await makeCheckout()
    const event = await checkout.write("event.json", JSON.stringify({ schedule: "17 3 * * *" }))
    const env = {
      ...actions,
      GITHUB_EVENT_NAME: "schedule",
      GITHUB_EVENT_PATH: event,
    }
    let count = 0
    const job = aJob(async () => {
      count++
      return fine()
    })
    const first = await checkout.run(job, { env, now: "2026-01-01T01:02:00Z" })
    expect(first.run).toMatchObject({ slot: "2025-12-31T03:17:00.000Z", trigger: "schedule" })
    const second = await checkout.run(job, { env, now: "2026-01-01T03:16:59Z" })
    expect(second).toMatchObject({
      exitCode: 0,
      run: { summary: expect.stringContaining(`already done by run ${first.run.id}`) },
    })
    expect(count).toBe(1)
    await checkout.run(job, { env, argv: ["--again"], now: "2026-01-01T03:16:59Z" })
    await checkout.run(job, { env, now: "2026-01-01T03:17:00Z" })
    expect(count).toBe(3)
    expect(await checkout.ledger("2026-01-01")).toHaveLength(3)
  })

  it("is not done by a run that its options made do a part of the work only", async () => {
    await using checkout = await makeCheckout()
    const job: Job = { ...aJob(fine), options: z.strictObject({ database: z.string().optional() }) }
    const asked = { env: { OPS_SLOT: "2026-02-27T03:17Z" }, now }
    const part = await checkout.run(job, { ...asked, argv: ["--database=main"] })
    expect(part.run).toMatchObject({ exitCode: 0, options: ["database=main"] })
    expect((await checkout.run(job, asked)).run.summary).not.toContain("already done")
    expect((await checkout.run(job, asked)).run.summary).toContain("already done")
  })

  it("is what a person asked for, and is done again after a failure, by an observer, and by hand without a slot", async () => {
    await using checkout = await makeCheckout()
    const asked = { env: { OPS_SLOT: "2026-02-27T03:17Z" }, now }
    expect((await checkout.run(aJob(bad), asked)).run.slot).toBe("2026-02-27T03:17:00.000Z")
    expect((await checkout.run(aJob(fine), asked)).run.summary).toBe("counted, 1 findings")
    expect((await checkout.run(aJob(fine), asked)).run.summary).toContain("already done")
    expect((await checkout.run(aJob(fine, { name: "other" }), asked)).run.summary).toBe("counted, 1 findings")
    expect((await checkout.run(aJob(fine, { observer: true }), asked)).run.summary).toBe("counted, 1 findings")
    for (const _ of [1, 2]) expect((await checkout.run(aJob(fine), { now })).run.summary).toBe("counted, 1 findings")
  })

  it("is one to correct when the event of a scheduled run cannot be read", async () => {
    await using checkout = await makeCheckout()
    const env = {
      ...actions,
      GITHUB_EVENT_NAME: "schedule",
      GITHUB_EVENT_PATH: await checkout.write("event.json", "{}"),
    }
    const { exitCode, run } = await checkout.run(aJob(fine), { env, now })
    expect([exitCode, run.trigger]).toEqual([2, "schedule"])
    expect(run.summary).toContain("GITHUB_EVENT_PATH is ")
  })

  it("is done again when the ledger cannot say whether it is done", async () => {
    await using checkout = await makeCheckout()
    await checkout.write(".ops/ledger/runs/2026/03/01.jsonl/a-folder-where-a-file-belongs", "")
    const { run, stderr } = await checkout.run(aJob(fine), { argv: ["--slot=2026-03-01"], now })
    expect(run.summary).toBe("counted, 1 findings")
    expect(stderr).toContain("cannot see whether the slot is done")
  })
})

describe("a run that goes well", () => {
  it("stays green for an observer that sees others fail, and tells Slack when it sees it twice", async () => {
    await using slack = await startSlackServer()
    await using checkout = await makeCheckout(alerts)
    const look = aJob(bad, { observer: true })
    const first = await checkout.run(look, { env: { SLACK_URL: slack.url }, now })
    expect([first.exitCode, first.run.outcome, slack.received.length]).toEqual([0, "fail", 0])
    const second = await checkout.run(look, { env: { SLACK_URL: slack.url }, now: "2026-03-01T03:49:00Z" })
    expect([second.exitCode, second.run.outcome, slack.received.length]).toEqual([0, "fail", 1])
  })

  it("keeps the job's rows and its own line, and gives each job its own heartbeat where the address says so", async () => {
    await using heartbeat = await startHeartbeatServer()
    await using checkout = await makeCheckout(alerts)
    await checkout.run(aJob(fine), { env: { PING_URL: `${heartbeat.url}?check={job}` }, now })
    expect(heartbeat.pings.map((ping) => ping.query)).toEqual(["?check=count", "?check=count"])
    expect(await checkout.read(".ops/ledger/counts/main.jsonl")).toBe('{"rows":7}\n')
    const [line] = await checkout.ledger(day)
    expect(line).toMatchObject({ schema: 1, job: "count", slot: `${day}T03:19:00.000Z`, exitCode: 0, trigger: "hand" })
    expect(line).not.toHaveProperty("told.ledger")
  })

  it("takes empty settings for absent ones: the ledger is that of the checkout", async () => {
    await using checkout = await makeCheckout(alerts)
    const env = { LEDGER: "", SLACK_URL: "", PING_URL: " ", OPS_SLOT: "", OPS_DRY_RUN: "" }
    expect((await checkout.run(aJob(fine), { env, now })).run).toMatchObject({ exitCode: 0, dryRun: false })
    expect(await checkout.ledger(day)).toHaveLength(1)
  })

  it("needs no addresses on a developer's machine, but all of them inside Actions", async () => {
    await using checkout = await makeCheckout(alerts)
    expect((await checkout.run(aJob(fine), { now })).exitCode).toBe(0)
    const { run, exitCode } = await checkout.run(aJob(fine), { env: actions, now })
    expect(exitCode).toBe(2)
    expect(run.findings.map((finding) => finding.detail.slice(0, 20))).toEqual([
      "SLACK_URL is missing",
      "PING_URL is missing:",
    ])
  })

  it("lets no secret into any output", async () => {
    await using slack = await startSlackServer()
    await using checkout = await makeCheckout(`app: { name: "Shop" }, alerts: { slack: secret("SLACK_URL") }`)
    const secret = "hunter22/never+shown="
    const job = defineJob({
      name: "leak",
      about: "Leak",
      config: (_ops, env) => env.secret({ kind: "secret", name: "TOKEN" }),
      async run({ config, log }) {
        log.info(`token ${config}`, { config })
        const finding: Finding = {
          subject: `x/${config}`,
          outcome: "fail",
          detail: `refused ${encodeURIComponent(config)}`,
          facts: { config },
        }
        return {
          summary: `with ${btoa(config)}`,
          findings: [finding],
          records: [{ stream: "a/b.jsonl", row: { config } }],
          page: config,
        }
      },
    })
    const env = { ...actions, TOKEN: secret, SLACK_URL: slack.url }
    const page = recordActions(`${checkout.dir}/s.md`)
    const { stdout, stderr, run } = await checkout.run(job, { env, actions: page, now })
    const files = await Promise.all(
      ["s.md", ".ops/ledger/a/b.jsonl", `.ops/ledger/runs/${day.replaceAll("-", "/")}.jsonl`].map(checkout.read),
    )
    const everything = [stdout, stderr, JSON.stringify([run, slack.received, page.annotations]), ...files].join("\n")
    expect(everything).toContain("***")
    for (const form of [secret, encodeURIComponent(secret), btoa(secret), "never+shown", slack.url])
      expect(everything).not.toContain(form)
  })
})

describe("in a public repository, and where the event does not say", () => {
  const job = aJob(
    async ({ log }) => {
      log.warn("the table patients is large", { rows: 4711 })
      const seen = { subject: "table/users", runbook: "count" }
      return [
        { ...seen, outcome: "fail", detail: "patients has 4711 rows", facts: { rows: 4711 } },
        { ...seen, outcome: "ok", detail: "patients has 4711 rows" },
      ]
    },
    { name: "count" },
  )

  it.each([
    ["public", `{ "repository": { "private": false } }`],
    ["unsaid", `{}`],
  ])("%s: everyone reads subjects and outcomes, and Slack alone the details", async (_what, event) => {
    await using slack = await startSlackServer()
    await using checkout = await makeCheckout(`app: { name: "Shop" }, alerts: { slack: secret("SLACK_URL") }`)
    const page = recordActions(`${checkout.dir}/s.md`)
    const env = { ...actions, SLACK_URL: slack.url, GITHUB_EVENT_PATH: await checkout.write("event.json", event) }
    const shown = []
    for (const argv of [[], ["--json"]]) {
      const { exitCode, stdout, stderr } = await checkout.run(job, { env, argv, actions: page, now })
      expect(exitCode).toBe(1)
      shown.push(stdout, stderr)
    }
    const summary = await checkout.read("s.md")
    const everyone = [...shown, summary, JSON.stringify([page.annotations, await checkout.ledger(day)])].join("\n")
    expect(everyone).not.toMatch(/patients|4711|counted/)
    expect(summary).toContain("| table/users | fail | the details are not shown in a public repository |")
    expect(JSON.stringify(slack.received[0])).toContain("patients has 4711 rows")
  })

  it("everyone reads what is wrong with the settings, whose names are public, and that a slot is done", async () => {
    await using checkout = await makeCheckout()
    const env = { ...actions, OPS_DRY_RUN: "maybe" }
    expect((await checkout.run(job, { env, now })).stdout).toContain('OPS_DRY_RUN is "maybe"')
    const slot = { env: actions, argv: ["--slot=2026-03-01"], now }
    await checkout.run(aJob(fine), slot)
    expect((await checkout.run(aJob(fine), slot)).stdout).toContain("already done by run")
  })
})

describe("GitHub's own masks", () => {
  const job = (name: string) =>
    defineJob({
      ...{ name, about: "Ask", run: async () => ({ summary: "asked", findings: [] }) },
      config: (_ops, env) => [1, 2].map(() => env.secret({ kind: "secret", name: "DATABASE_URL" })),
    })
  const env = { ...actions, DATABASE_URL: "postgres://shop:hunter22%2Fdeep@db.example.com/shop" }

  it("are set once for every secret and for the password inside it", async () => {
    await using checkout = await makeCheckout()
    const page = recordActions(`${checkout.dir}/s.md`)
    await checkout.run(job("ask"), { env, actions: page, now })
    expect(page.masks).toEqual([env.DATABASE_URL, "hunter22%2Fdeep", "hunter22/deep"])
  })

  it("are left out with --json: they would be written to stdout", async () => {
    await using checkout = await makeCheckout()
    const page = recordActions(`${checkout.dir}/s.md`)
    await checkout.run(job("ask"), { env, actions: page, argv: ["--json"], now })
    expect(page.masks).toEqual([])
  })
})

describe("a signal", () => {
  it("lets the job clean up, tells, and leaves the run red even when the job returns as if nothing were", async () => {
    await using slack = await startSlackServer()
    await using checkout = await makeCheckout(`app: { name: "Shop" }, alerts: { slack: secret("SLACK_URL") }`)
    const stop = new AbortController()
    const job = aJob(async ({ signal }) => {
      queueMicrotask(() => stop.abort(new Error("received SIGTERM")))
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }))
      return fine()
    })
    const { run, exitCode } = await checkout.run(job, { env: { SLACK_URL: slack.url }, signal: stop.signal, now })
    expect(exitCode).toBe(1)
    expect(run.findings.map((finding) => finding.detail)).toEqual(["ended early (received SIGTERM)", "7 rows"])
    expect(slack.received).toHaveLength(1)
    expect(await checkout.ledger(day)).toHaveLength(1)
  })

  it("is one piece of news, with what failed because of it below; what failed by itself is news of its own", async () => {
    await using slack = await startSlackServer()
    await using checkout = await makeCheckout(`app: { name: "Shop" }, alerts: { slack: secret("SLACK_URL") }`)
    const stop = new AbortController()
    const job = aJob(async ({ signal }) => {
      queueMicrotask(() => stop.abort(new Error("received SIGTERM")))
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }))
      const bad = (subject: string, detail: string) => ({ subject, outcome: "fail" as const, detail })
      return [bad("part/cut", "nothing was done: received SIGTERM"), bad("part/full", "its disk is full")]
    })
    const { run } = await checkout.run(job, { env: { SLACK_URL: slack.url }, signal: stop.signal, now })
    expect(run.findings.map(({ cause }) => cause)).toEqual([undefined, `job/${run.job}`, undefined])
    const files = await readdir(`${checkout.dir}/.ops/incidents`, { recursive: true })
    expect(files.filter((file) => file.includes("part")).join()).toMatch(/part[^,]*full/)
    expect(files.filter((file) => file.includes("part")).join()).not.toMatch(/cut/)
  })
})
