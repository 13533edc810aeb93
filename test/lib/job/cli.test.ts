import { spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import { type Checkout, jobText, makeCheckout, moduleUrl } from "../../support/checkout.ts"
import { databaseUrl } from "../../support/postgres.ts"
import { startSlackServer } from "../../support/slack-server.ts"

const main = fileURLToPath(new URL("../../../lib/job/main.ts", import.meta.url))
const tsx = import.meta.resolve("tsx")

function start(checkout: Checkout, args: string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, ["--import", tsx, main, ...args], {
    cwd: checkout.dir,
    env: { PATH: process.env.PATH ?? "", ...env },
  })
  const out = { stdout: "", stderr: "" }
  child.stdout.on("data", (chunk) => {
    out.stdout += chunk
  })
  child.stderr.on("data", (chunk) => {
    out.stderr += chunk
  })
  const ended = once(child, "close").then(([code]) => ({ exitCode: code as number | null, ...out }))
  const saw = async (text: string) => {
    while (!out.stderr.includes(text)) await once(child.stderr, "data")
  }
  return { child, ended, saw }
}

const run = (checkout: Checkout, args: string[], env?: Record<string, string>) => start(checkout, args, env).ended

const result = `{ summary: "greeted", findings: [] }`
const stubborn = jobText(
  "stubborn",
  `run: async ({ log }) => { setInterval(() => {}, 1000); log.info("at work"); await new Promise(() => {}) }`,
)
const polite = jobText(
  "polite",
  `run: async ({ log, signal }) => {
    const keepAlive = setInterval(() => {}, 1000)
    const aborted = new Promise((resolve) => signal.addEventListener("abort", resolve))
    log.info("at work")
    await aborted
    await new Promise((resolve) => setTimeout(resolve, 100))
    clearInterval(keepAlive)
    log.info("cleaned up")
    signal.throwIfAborted()
  }`,
)

async function jobsCheckout(config?: string): Promise<Checkout> {
  const checkout = await makeCheckout(config)
  await checkout.write(
    "jobs/greet.ts",
    jobText("greet", `run: async ({ log }) => { log.info("hello"); return ${result} }`),
  )
  await checkout.write("jobs/polite.ts", polite)
  await checkout.write("jobs/stubborn.ts", stubborn)
  return checkout
}

/** Says how its connection is set. */
const connect = `import { parsePostgresUrl } from ${JSON.stringify(moduleUrl("lib/postgres/address.ts"))}
import { withClient } from ${JSON.stringify(moduleUrl("lib/postgres/connect.ts"))}
${jobText(
  "connect",
  `run: () => withClient(parsePostgresUrl(process.env.DATABASE_URL, "DATABASE_URL"), { applicationName: "tests" }, async (client) => {
    const { rows } = await client.query("select current_setting('work_mem') || ' ' || current_setting('client_encoding') as said")
    return { summary: rows[0].said, findings: [] }
  })`,
)}`

describe("the command line", () => {
  it("exits with 2 and a hint for what does not exist, and changes nothing", async () => {
    await using checkout = await jobsCheckout()
    const job = await run(checkout, ["gret"])
    expect(job).toMatchObject({
      exitCode: 2,
      stdout: expect.stringContaining('there is no job "gret": did you mean greet?'),
    })
    const option = await run(checkout, ["greet", "--dry-rum"])
    expect(option).toMatchObject({
      exitCode: 2,
      stdout: expect.stringContaining("there is no option --dry-rum: did you mean --dry-run?"),
    })
    expect(await run(checkout, ["--jsn"])).toMatchObject({
      exitCode: 2,
      stdout: "",
      stderr: expect.stringContaining("did you mean --json?"),
    })
    await expect(checkout.ledger("2026-03-01")).rejects.toThrow("ENOENT")
  })

  it("says where to stand when there are no jobs, and which file does not load", async () => {
    await using checkout = await makeCheckout()
    expect(await run(checkout, [])).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining("run this from the top of the checkout"),
    })
    await checkout.write("jobs/broken.ts", "export default {")
    await checkout.write("jobs/empty.ts", "export default {}")
    await checkout.write("jobs/other.ts", jobText("another", `run: async () => (${result})`))
    expect(await run(checkout, ["broken"])).toMatchObject({
      exitCode: 1,
      stdout: expect.stringContaining("jobs/broken.ts cannot be loaded: "),
    })
    expect(await run(checkout, ["empty"])).toMatchObject({
      exitCode: 1,
      stdout: expect.stringContaining("jobs/empty.ts has no job"),
    })
    expect(await run(checkout, ["other"])).toMatchObject({
      exitCode: 1,
      stdout: expect.stringContaining('of the name "another"'),
    })
  })

  it("lists the jobs, and explains one", async () => {
    await using checkout = await jobsCheckout()
    const list = await run(checkout, [])
    expect(list).toMatchObject({ exitCode: 0, stderr: "" })
    expect(list.stdout).toMatch(/^ {2}greet {5}Does greet\n {2}polite {4}Does polite\n {2}stubborn {2}Does stubborn$/m)
    expect(await run(checkout, ["greet", "--help"])).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining("--dry-run"),
    })
  })

  it("prints one JSON document on stdout with --json, and the log on stderr", async () => {
    await using checkout = await jobsCheckout()
    const { exitCode, stdout, stderr } = await run(checkout, ["greet", "--json", "--now", "2026-03-01T03:17Z"], {
      CI: "true",
    })
    expect(exitCode).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({
      schema: 1,
      job: "greet",
      outcome: "ok",
      startedAt: "2026-03-01T03:17:00.000Z",
    })
    expect(JSON.parse(stderr)).toMatchObject({
      level: "info",
      service: "greet",
      message: "hello",
      trace_id: JSON.parse(stdout).traceId,
    })
    const wrong = await run(checkout, ["greet", "--json", "--config", "gone.ts"])
    expect(wrong.exitCode).toBe(2)
    expect(JSON.parse(wrong.stdout).summary).toMatch(/gone\.ts cannot be read: ENOENT/)
  })

  it("lets only the URL say how a database is spoken to, not what else libpq reads in the environment", async () => {
    await using checkout = await makeCheckout()
    await checkout.write("jobs/connect.ts", connect)
    const env = { DATABASE_URL: databaseUrl("postgres"), PGOPTIONS: "-c work_mem=77MB", PGCLIENTENCODING: "LATIN1" }
    expect((await run(checkout, ["connect"], env)).stdout).toMatch(/: 4MB UTF8\n$/)
  })

  it("says the same to a person in one line", async () => {
    await using checkout = await jobsCheckout()
    const { stdout, stderr } = await run(checkout, ["greet"])
    expect(stdout).toMatch(/^greet ok in \d+ ms: greeted\n$/)
    expect(stderr).toMatch(/^\d\d:\d\d:\d\d {7}hello\n$/)
  })

  it("ends in order when a job forgets to catch an error, and tells it", async () => {
    await using slack = await startSlackServer()
    await using checkout = await jobsCheckout(`app: { name: "Shop" }, alerts: { slack: secret("SLACK_URL") }`)
    const forgotten = `void Promise.reject(new Error("nobody saw " + process.env.A_SECRET))`
    const aborted = `new Promise((resolve) => signal.addEventListener("abort", resolve))`
    await checkout.write(
      "jobs/forget.ts",
      jobText("forget", `run: async ({ signal }) => { ${forgotten}; await ${aborted} }`),
    )
    const { exitCode, stderr, stdout } = await run(checkout, ["forget"], {
      SLACK_URL: slack.url,
      A_SECRET: "hunter22-secret",
    })
    expect(exitCode).toBe(1)
    expect(stderr).toContain("unexpected error: nobody saw ***")
    expect(stdout).toContain("ended early (unexpected error: nobody saw")
    expect(slack.received).toHaveLength(1)
  })
})

describe("a signal", () => {
  it.each(["SIGINT", "SIGTERM"] as const)("%s lets the job clean up, tells, and exits with 1", async (signal) => {
    await using slack = await startSlackServer()
    await using checkout = await jobsCheckout(`app: { name: "Shop" }, alerts: { slack: secret("SLACK_URL") }`)
    const { child, ended, saw } = start(checkout, ["polite", "--now", "2026-03-01"], { SLACK_URL: slack.url })
    await saw("at work")
    const begin = performance.now()
    child.kill(signal)
    const { exitCode, stderr } = await ended
    expect(exitCode).toBe(1)
    expect(performance.now() - begin).toBeLessThan(3000)
    expect(stderr).toContain("cleaned up")
    expect(JSON.stringify(slack.received)).toContain(`ended early (received ${signal})`)
    expect(await checkout.ledger("2026-03-01")).toMatchObject([{ exitCode: 1, outcome: "fail" }])
  })

  it("ends a job that does not listen, and a Slack that hangs, within 5 seconds, with a line in the ledger", async () => {
    await using slack = await startSlackServer()
    slack.always("hang")
    await using checkout = await jobsCheckout(`app: { name: "Shop" }, alerts: { slack: secret("SLACK_URL") }`)
    const { child, ended, saw } = start(checkout, ["stubborn", "--now", "2026-03-01"], { SLACK_URL: slack.url })
    await saw("at work")
    const begin = performance.now()
    child.kill("SIGTERM")
    const { exitCode } = await ended
    expect(performance.now() - begin).toBeLessThan(5000)
    expect(exitCode).toBe(3)
    expect(await checkout.ledger("2026-03-01")).toMatchObject([
      { outcome: "fail", told: { incidents: expect.stringMatching(/^failed/) } },
    ])
  })

  it("that comes twice ends at once", async () => {
    await using checkout = await jobsCheckout()
    const { child, ended, saw } = start(checkout, ["stubborn"])
    await saw("at work")
    const begin = performance.now()
    child.kill("SIGINT")
    await new Promise((resolve) => setTimeout(resolve, 100))
    child.kill("SIGTERM")
    expect((await ended).exitCode).toBe(1)
    expect(performance.now() - begin).toBeLessThan(1000)
  })
})
