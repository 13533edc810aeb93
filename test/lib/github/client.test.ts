import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { z } from "zod"
import { errorText } from "../../../lib/core/error-text.ts"
import type { Log } from "../../../lib/core/log.ts"
import { type GitHub, type GitHubOptions, openGitHub } from "../../../lib/github/client.ts"
import { GitHubFailed } from "../../../lib/github/errors.ts"
import { createIssue, ensureLabel, listIssues, mayWrite, patchIssue, readIssue } from "../../../lib/github/issues.ts"
import { type GitHubServer, startGitHubServer } from "../../support/github-server.ts"

let server: GitHubServer
let warnings: string[]

beforeEach(async () => {
  server = await startGitHubServer()
  warnings = []
})
afterEach(() => server.close())

const quick = { retryMs: 10, writeGapMs: 0, tryMs: 5000, callMs: 15_000 }
const log: Log = {
  debug() {},
  info() {},
  warn: (message) => void warnings.push(message),
  error() {},
  progress: () => ({ at() {}, done() {} }),
}

function open(options: Partial<GitHubOptions> = {}): GitHub {
  return openGitHub({ token: server.token, repository: "team/app", apiUrl: server.url, log, limits: quick, ...options })
}

async function failureOf(work: Promise<unknown>): Promise<GitHubFailed> {
  const error = await work.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (error instanceof GitHubFailed) return error
  throw new Error(`expected GitHub to fail, got ${errorText(error)}`)
}

const draft = { title: "web is down", body: "no answer", labels: ["incident"] }

describe("GitHub that does not do what was asked", () => {
  it.each([
    ["unauthorized", "401 Bad credentials: the token is not valid"],
    ["forbidden", "403 Resource not accessible by integration: add issues: write under permissions in the workflow"],
    ["not_found", "404 Not Found: check GITHUB_REPOSITORY, and that the token may read"],
    ["gone", "410 Issues are disabled for this repo: turn issues on in the repository's settings"],
    ["invalid", "422 Validation Failed; title invalid: GitHub does not take it as it is"],
    ["bad_gateway", "502: GitHub has trouble: see https://www.githubstatus.com"],
    ["not_github", "the answer is not what GitHub sends"],
    ["reset", "no answer from 127.0.0.1"],
  ] as const)("is named with the remedy: %s", async (answer, words) => {
    server.always(answer)
    const failure = await failureOf(createIssue(open(), draft))

    expect(failure.message).toContain("cannot open an issue in team/app: ")
    expect(failure.message).toContain(words)
    expect(server.requests).toHaveLength(1)
    expect(JSON.stringify(failure) + errorText(failure)).not.toContain(server.token)
  })

  it("is not waited for without end", async () => {
    server.always("hang")
    const failure = await failureOf(createIssue(open({ limits: { ...quick, tryMs: 200 } }), draft))

    expect(failure.message).toContain("cannot open an issue in team/app: no answer from 127.0.0.1")
    expect(failure.message).toContain("timed out after 200 ms")
    expect(failure.mayBeDone).toBe(true)
  })

  it("is asked again for a read, a few times", async () => {
    server.addIssue({ by: "anna", title: "a" })
    server.next("bad_gateway", "reset")

    expect(await readIssue(open(), 1)).toMatchObject({ number: 1, title: "a" })
    server.always("unavailable")
    expect((await failureOf(readIssue(open(), 1))).status).toBe(503)
    expect(server.requests).toHaveLength(3 + 3)
  })

  it("is asked again for a change that may be made twice", async () => {
    server.addIssue({ by: "anna", title: "a" })
    server.next("lost")

    await patchIssue(open(), 1, { title: "b" })

    expect(server.issue(1).title).toBe("b")
    expect(server.requests.map(({ method }) => method)).toEqual(["PATCH", "PATCH"])
  })

  it("is never asked twice to open an issue whose answer was lost", async () => {
    server.next("lost")
    const failure = await failureOf(createIssue(open(), draft))

    expect(failure.mayBeDone).toBe(true)
    expect(server.issues()).toHaveLength(1)
  })

  it("has not done what never reached it, or was refused", async () => {
    server.next("forbidden")
    expect((await failureOf(createIssue(open(), draft))).mayBeDone).toBe(false)

    await server.close()
    const failure = await failureOf(createIssue(open(), draft))
    expect(failure.mayBeDone).toBe(false)
    expect(failure.message).toContain("cannot connect to 127.0.0.1")
  })

  it("is waited for as long as it asks, also when it is about a new issue", async () => {
    server.next({ secondarySeconds: 1 })
    await createIssue(open(), draft)

    expect(server.issues()).toHaveLength(1)
    expect(warnings).toEqual(["GitHub asks to wait 1 s: too much at once"])
  })

  it("is not asked again sooner than it wants", async () => {
    server.addIssue({ by: "anna", title: "a" })
    server.next({ secondarySeconds: 1, status: 429 })
    const started = Date.now()
    await readIssue(open(), 1)

    expect(Date.now() - started).toBeGreaterThanOrEqual(990)
    expect(server.requests).toHaveLength(2)
  })

  it("is not waited for when it asks for longer than a run has", async () => {
    server.setClock(new Date(Date.now()))
    server.next({ rateLimitedSeconds: 1800 })
    const hourly = await failureOf(readIssue(open(), 1))
    expect(hourly.message).toMatch(/the hourly limit of this token is used up until 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ: /)

    server.next({ secondarySeconds: 300 })
    expect((await failureOf(readIssue(open(), 1))).message).toContain("GitHub asks to wait 5 min")
    expect(server.requests).toHaveLength(2)
  })

  it("costs a run no more than its patience, however much is asked", async () => {
    server.always("hang")
    const github = open({ limits: { ...quick, tryMs: 200, patienceMs: 600 } })
    const failures = []
    for (let count = 0; count < 5; count++) failures.push(await failureOf(readIssue(github, 1)))

    expect(failures.at(-1)?.message).toContain("not tried: GitHub gave no answer for")
    expect(server.requests.length).toBeLessThan(6)
  })

  it("is left at once when the run ends, also while it is waited for", async () => {
    server.always({ secondarySeconds: 20 })
    const stop = new AbortController()
    const reading = readIssue(open({ signal: stop.signal }), 1)
    setTimeout(() => stop.abort(new Error("SIGTERM")), 150)

    const started = Date.now()
    await expect(reading).rejects.toThrow("SIGTERM")
    expect(Date.now() - started).toBeLessThan(10_000)
  })

  it("that sends only the first pages of a list gives none", async () => {
    for (let count = 0; count < 250; count++) server.addIssue({ by: "anna", title: `${count}`, labels: ["incident"] })
    server.on("GET", /\/issues$/, "ok", "not_found")

    await expect(listIssues(open(), { label: "incident", state: "open" })).rejects.toThrow("404")
  })
})

describe("a client of GitHub", () => {
  it.each(["", "app", "team/app/x", "team/a b", "https://github.com/team/app"])("refuses the repository %j", (name) => {
    expect(() => open({ repository: name })).toThrow("write owner/name")
  })

  it("refuses to go without a token, and an address that is none, without showing it", () => {
    expect(() => open({ token: "" })).toThrow("GITHUB_TOKEN is missing")
    expect(() => open({ apiUrl: "ftp://secret@host" })).toThrow(/^GITHUB_API_URL is not an http or https URL/)
  })

  it("reads a list to its end, oldest first, without pull requests", async () => {
    for (let count = 1; count <= 230; count++) server.addIssue({ by: "anna", title: `${count}`, labels: ["Incident"] })
    server.addIssue({ by: "anna", title: "change", labels: ["incident"], isPullRequest: true })
    server.addIssue({ by: "anna", title: "other" })

    const issues = await listIssues(open(), { label: "incident", state: "open" })
    expect(issues.map(({ number }) => number)).toEqual(Array.from({ length: 230 }, (_, index) => index + 1))
    expect(server.requests).toHaveLength(3)
  })

  it("sends its token to no other server, whatever the next page is said to be", async () => {
    const other = await startGitHubServer({ token: server.token })
    const liar = open({ apiUrl: other.url.replace("127.0.0.1", "localhost") }) // its links name 127.0.0.1
    for (let count = 0; count < 120; count++) other.addIssue({ by: "anna", title: "a", labels: ["incident"] })

    const listing = liar.list("list issues", z.unknown(), "GET /repos/{owner}/{repo}/issues")
    await expect(listing).rejects.toThrow("cannot list issues in team/app: the next page is said to be on another host")
    expect(other.requests.filter(({ query }) => query.has("page"))).toEqual([])
    await other.close()
  })

  it("makes a label once, whoever is faster", async () => {
    const label = { name: "incident", color: "b60205", description: "opened by Nightshift" }
    server.on("GET", /\/labels\//, "not_found", "not_found")
    await ensureLabel(open(), label)
    await ensureLabel(open(), label)
    await ensureLabel(open(), label)

    expect([...server.repository().labels.values()]).toMatchObject([label])
  })

  it("knows who may write", async () => {
    for (const role of ["admin", "maintain", "write", "triage", "read"]) server.setRole(role, role)
    const may = await Promise.all(
      ["admin", "maintain", "write", "triage", "read", "stranger"].map((login) => mayWrite(open(), login)),
    )

    expect(may).toEqual([true, true, true, false, false, false])
  })

  it("leaves a gap between writes, as GitHub asks", async () => {
    const github = open({ limits: { ...quick, writeGapMs: 200 } })
    const started = Date.now()
    await Promise.all([createIssue(github, draft), createIssue(github, draft), createIssue(github, draft)])

    expect(Date.now() - started).toBeGreaterThanOrEqual(395)
  })
})
