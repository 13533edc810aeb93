import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import path from "node:path"
import { expect } from "vitest"
import { directoryUrl } from "./checkout.ts"
import { type GitHubServer, startGitHubServer } from "./github-server.ts"
import { type SlackServer, startSlackServer } from "./slack-server.ts"
import { startWebServer, type WebServer } from "./web-server.ts"
import { runWorkflow, type StepResult, type WorkflowOptions, type WorkflowRun } from "./workflow-runner.ts"

export const pulse = ".github/workflows/pulse.yml"
export const alert = ".github/workflows/alert.yml"
export const repository = "octocat/night"

export type PulseWorld = {
  github: GitHubServer
  slack: SlackServer
  web: WebServer
  ledger: string
  run(file: string, options: WorkflowOptions): Promise<WorkflowRun>
}

/** A repository with one service that sleeps, its issues at the stand-in for GitHub, and its ledger in a directory. */
export async function withPulse(fn: (world: PulseWorld) => Promise<void>): Promise<void> {
  await using github = await startGitHubServer({ token: "ghs_tokenOfTheRun" })
  await using slack = await startSlackServer()
  await using web = await startWebServer()
  github.repository(repository)
  web.setRoute(
    "/health",
    (_request, response) => void response.setHeader("content-type", "application/json").end('{"status":"ok"}'),
  )
  const ledger = await mkdtemp(path.join(tmpdir(), "ledger-"))
  const config = `import { defineConfig, secret } from "./lib/config/define.ts"
export default defineConfig({
  app: { name: "Night" }, canaries: ["${web.url}/health"], alerts: { slack: secret("SLACK_WEBHOOK_URL") },
  services: { api: { url: "${web.url}/health", timeout: "2s", keepWarm: {} } },
})`
  const run = (file: string, options: WorkflowOptions) =>
    runWorkflow(file, {
      ...{ ...options, apiUrl: github.url, files: { "ops.config.ts": config, ...options.files } },
      vars: { OPS_ENABLED: "true", LEDGER: directoryUrl(ledger) },
      secrets: { SLACK_WEBHOOK_URL: slack.url },
    })
  await fn({ github, slack, web, ledger: directoryUrl(ledger), run }).finally(() => rm(ledger, { recursive: true }))
}

/** The steps that run jobs. */
export function jobSteps({ jobs }: WorkflowRun): StepResult[] {
  return Object.values(jobs)
    .flatMap((job) => job.steps)
    .filter(({ env }) => "OPS_SLOT" in env)
}

/** A pulse ended badly before it could tell: alert.yml opens one issue and rings once, however many times it is started. */
export async function alertOf(conclusion: string, { run, github, slack }: PulseWorld, times = 1): Promise<void> {
  const ended = github.addRun({ path: pulse, name: "pulse", conclusion }, repository)
  const log = "2026-03-01T03:20:00.0000000Z npm error network timeout\n##[error]Process completed with exit code 1."
  const steps = [{ name: "Look at health", conclusion, status: "completed", number: 3 }]
  github.addJob({ run_id: ended.id, name: "pulse", conclusion, log, steps }, repository)
  for (let time = 0; time < times; time++) {
    const told = await run(alert, { event: "workflow_run", ended: { id: ended.id, name: "pulse", conclusion } })
    expect(told.jobs.alert?.result, JSON.stringify(jobSteps(told))).toBe("success")
    expect(github.issues(repository)).toMatchObject([{ state: "open", title: expect.stringContaining("health") }])
    expect(slack.received).toHaveLength(1)
  }
  expect(JSON.stringify(slack.received)).toContain("npm error network timeout")
}
