import { createServer, type Socket } from "node:net"
import { expect, it } from "vitest"
import type { Job } from "../../../lib/job/job.ts"
import { startTimer } from "../../../lib/system/clock.ts"
import { makeCheckout } from "../../support/checkout.ts"
import { ledgerTempDirs, makeGitRemote, serveGit } from "../../support/git-remote.ts"
import { startHeartbeatServer } from "../../support/heartbeat-server.ts"
import { startSlackServer } from "../../support/slack-server.ts"

const token = "ghs_0123456789abcdefghijABCDEFGHIJ"
const actions = {
  ...{ GITHUB_ACTIONS: "true", CI: "true", GITHUB_EVENT_NAME: "workflow_dispatch", GITHUB_REPOSITORY: "acme/shop" },
  ...{ GITHUB_SHA: "0123456789abcdef0123456789abcdef01234567", LEDGER: "" },
}
const at = new Date("2026-03-01T03:17:00Z")
const look: Job = {
  name: "look",
  about: "Looks at a service",
  config: () => ({}),
  async run({ ledger, log }) {
    log.info(`${(await ledger.streams("observations")).length} days known, Basic ${token}`)
    return {
      summary: "looked",
      findings: [{ subject: "service/api", outcome: "ok", detail: "answers" }],
      observations: [{ at, service: "api", by: "health", outcome: "ok", latencyMs: 80 }],
    }
  },
}

it("says in Actions that the token is missing, before anything is done", async () => {
  await using checkout = await makeCheckout()
  const { exitCode, run } = await checkout.run(look, { env: actions, now: at.toISOString() })
  expect(exitCode).toBe(2)
  expect(run.summary).toContain("GITHUB_TOKEN is missing")
})

it("makes a run red that its branch did not take", async () => {
  await using remote = await makeGitRemote()
  await using server = await serveGit(remote, {
    fault: ({ path }) => (path.includes("receive") ? { status: 403 } : undefined),
  })
  await using checkout = await makeCheckout()
  const env = { ...actions, GITHUB_SERVER_URL: new URL(server.url.slice(4)).origin, GITHUB_TOKEN: token }
  const { exitCode, run, stderr } = await checkout.run(look, { env, now: at.toISOString() })
  expect(exitCode).toBe(3)
  expect(run.told.ledger).toMatch(/^failed .*permissions: contents: write/)
  expect(stderr).not.toContain(token)
})

it("whose host takes connections and says nothing does not keep people from hearing that the run was stopped", async () => {
  await using host = await startMuteHost()
  await using slack = await startSlackServer()
  await using heartbeat = await startHeartbeatServer()
  const alerts = `alerts: { slack: secret("SLACK_WEBHOOK_URL"), heartbeat: variable("HEARTBEAT_URL") }`
  await using checkout = await makeCheckout(`app: { name: "Shop" }, ${alerts}`)
  const stop = new AbortController()
  setTimeout(() => stop.abort(new Error("received SIGTERM")), 1000)
  const env = { ...actions, SLACK_WEBHOOK_URL: slack.url, HEARTBEAT_URL: heartbeat.url, GITHUB_TOKEN: token }
  const elapsedMs = startTimer()
  const { exitCode, run } = await checkout.run(look, { env: { ...env, LEDGER: host.url }, signal: stop.signal })
  expect(elapsedMs()).toBeLessThan(1000 + 4900)
  expect([exitCode, run.told.incidents]).toEqual([3, "done"])
  expect(JSON.stringify(slack.received)).toContain("received SIGTERM")
  expect(heartbeat.pings.at(-1)).toMatchObject({ body: "exit code 3" })
})

it("keeps what runs in Actions saw on a branch of their repository, where the next one finds it", async () => {
  await using remote = await makeGitRemote()
  await using server = await serveGit(remote, { token })
  const env = { ...actions, GITHUB_SERVER_URL: new URL(server.url.slice(4)).origin, GITHUB_TOKEN: token }
  const outputs: string[] = []
  for (const expected of ["looked", "already done by run"]) {
    await using checkout = await makeCheckout()
    const options = { env, argv: [`--slot=${at.toISOString()}`], now: at.toISOString() }
    const { exitCode, run, stdout, stderr } = await checkout.run(look, options)
    expect([exitCode, run.summary]).toEqual([0, expect.stringContaining(expected)])
    outputs.push(stdout, stderr, JSON.stringify(run))
  }
  expect(await remote.files()).toEqual([
    "README.md",
    "ledger.json",
    "observations/2026/03/01.jsonl",
    "runs/2026/03/01.jsonl",
  ])
  expect(JSON.parse(await remote.show("runs/2026/03/01.jsonl"))).toMatchObject({ job: "look", exitCode: 0 })
  expect(outputs.join()).not.toContain(token)
  expect(await ledgerTempDirs()).toEqual([])
})

it("shows the token to the host of the repository alone", async () => {
  await using remote = await makeGitRemote()
  await using server = await serveGit(remote)
  await using checkout = await makeCheckout()
  const env = { ...actions, LEDGER: server.url, GITHUB_TOKEN: token }
  expect((await checkout.run(look, { env, now: at.toISOString() })).exitCode).toBe(0)
  expect(server.requests.map(({ authorization }) => authorization)).toEqual(server.requests.map(() => undefined))
})

async function startMuteHost(): Promise<AsyncDisposable & { url: string }> {
  const sockets: Socket[] = []
  const server = createServer((socket) => void sockets.push(socket.on("error", () => undefined)))
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  const port = typeof address === "object" ? address?.port : undefined
  return {
    url: `git+http://127.0.0.1:${port}/shop.git#ops-data`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
