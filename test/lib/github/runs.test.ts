import { afterEach, beforeEach, describe, expect, it } from "vitest"
import type { Log } from "../../../lib/core/log.ts"
import { openGitHub } from "../../../lib/github/client.ts"
import { readLogTail } from "../../../lib/github/job-log.ts"
import { lastSuccess, listAnnotations, listJobs, readRun, rerunCommand } from "../../../lib/github/runs.ts"
import { type GitHubServer, startGitHubServer } from "../../support/github-server.ts"

let server: GitHubServer
beforeEach(async () => {
  server = await startGitHubServer()
})
afterEach(() => server.close())

const log: Log = { debug() {}, info() {}, warn() {}, error() {}, progress: () => ({ at() {}, done() {} }) }
const open = () =>
  openGitHub({
    token: server.token,
    repository: "team/app",
    apiUrl: server.url,
    log,
    limits: { retryMs: 10, tryMs: 5000 },
  })

const path = ".github/workflows/health.yml"

describe("a run that GitHub tells about", () => {
  it("is missed in words", async () => {
    await expect(readRun(open(), 7)).rejects.toThrow("cannot read run 7 in team/app: 404 Not Found: check")
  })

  it("says what the token needs", async () => {
    server.always("forbidden")
    await expect(readRun(open(), 7)).rejects.toThrow("add actions: read under permissions")
    const annotations = listAnnotations(open(), { id: 1, name: "health", check_run_url: "" })
    await expect(annotations).rejects.toThrow("add checks: read under permissions")
  })

  it("is read with the jobs and annotations of one attempt, or of all", async () => {
    const run = server.addRun({ path, conclusion: "failure", run_attempt: 2 })
    const first = server.addJob({ run_id: run.id, run_attempt: 1, conclusion: "cancelled" })
    for (let count = 0; count < 120; count++) server.addJob({ run_id: run.id, run_attempt: 2, name: `job ${count}` })
    const annotation = { path, start_line: 3, end_line: 3, annotation_level: "failure" as const, title: null }
    const annotations = Array.from({ length: 130 }, (_, index) => ({ ...annotation, message: `problem ${index}` }))
    const failed = server.addJob({ run_id: run.id, run_attempt: 2, conclusion: "failure", annotations })

    expect(await readRun(open(), run.id)).toMatchObject({ id: run.id, conclusion: "failure", run_attempt: 2 })
    expect((await listJobs(open(), run.id, 2)).map(({ id }) => id)).not.toContain(first.id)
    expect(await listJobs(open(), run.id, 2)).toHaveLength(121)
    expect(await listJobs(open(), run.id)).toHaveLength(122)
    expect((await listAnnotations(open(), failed)).map(({ message }) => message)).toEqual(
      annotations.map(({ message }) => message),
    )
  })

  it("has no jobs when it never started", async () => {
    const run = server.addRun({ path, conclusion: "startup_failure" })

    expect(await listJobs(open(), run.id, 1)).toEqual([])
    expect(rerunCommand(open(), run)).toBe(`gh run rerun ${run.id} --repo team/app`)
    expect(rerunCommand(open(), { id: 5, conclusion: "failure" })).toBe("gh run rerun 5 --failed --repo team/app")
  })

  it("is put beside the last one that succeeded before", async () => {
    const run = (created_at: string, conclusion: string, head_branch = "main") =>
      server.addRun({ path, created_at, conclusion, head_branch })
    run("2026-03-01T01:00:00Z", "success")
    const good = run("2026-03-01T02:00:00Z", "success")
    run("2026-03-01T02:30:00Z", "success", "try")
    const bad = run("2026-03-01T03:00:00Z", "failure")
    run("2026-03-01T04:00:00Z", "success")

    expect(await lastSuccess(open(), "health.yml", { branch: "main", before: bad })).toMatchObject({ id: good.id })
    server.addRun({ path: ".github/workflows/backup.yml", conclusion: "failure" })
    expect(await lastSuccess(open(), "backup.yml")).toBeUndefined()
  })
})

describe("the end of a job's log", () => {
  const stamp = "2026-03-01T03:17:00.1234567Z"

  it("is the lines before the last error, without times, colours and marks", async () => {
    const lines = [
      `\uFEFF${stamp} ##[group]Run health`,
      `${stamp} checking`,
      `${stamp} ##[endgroup]`,
      `${stamp} `,
      `${stamp} \u001b[31mapi answered 502\u001b[0m`,
      `${stamp} ##[error]Process completed with exit code 1.`,
      `${stamp} Post job cleanup.`,
    ]
    const job = server.addJob({ run_id: 1, name: "health", log: lines.join("\r\n") })

    expect(await readLogTail(open(), job, 2)).toEqual(["api answered 502", "Process completed with exit code 1."])
    expect(await readLogTail(open(), job, 50)).toEqual([
      "Run health",
      "checking",
      "api answered 502",
      "Process completed with exit code 1.",
    ])
  })

  it("is fetched without the token from where GitHub points to", async () => {
    const job = server.addJob({ run_id: 1, log: "one" })
    await readLogTail(open(), job, 5)

    expect(server.requests.map(({ authorization }) => authorization !== "")).toEqual([true, false])
  })

  it("is not there while the job runs, nor after it was removed", async () => {
    const job = server.addJob({ run_id: 1 })
    expect(await readLogTail(open(), job, 5)).toBeUndefined()

    const removed = server.addJob({ run_id: 1, log: "one" })
    server.on("GET", /^\/blobs\//, "not_found")
    expect(await readLogTail(open(), removed, 5)).toBeUndefined()
  })

  it("shows no signed address when it cannot be read", async () => {
    const job = server.addJob({ run_id: 1, name: "health", log: "one" })
    server.on("GET", /^\/blobs\//, "reset", "server_error")

    const failures = [await readLogTail(open(), job, 5).catch(String), await readLogTail(open(), job, 5).catch(String)]
    expect(failures[0]).toContain("cannot read the log of health in team/app: no answer from 127.0.0.1")
    expect(failures[1]).toContain("500 from 127.0.0.1")
    expect(failures.join()).not.toContain("signature")
  })
})
