import { describe, expect, it } from "vitest"
import type { Finding } from "../../../lib/core/finding.ts"
import { openGitHub } from "../../../lib/github/client.ts"
import type { UnkeptNote } from "../../../lib/incident/unkept-note.ts"
import type { Job } from "../../../lib/job/job.ts"
import { postNotes, readUnkeptNotes } from "../../../lib/job/unkept-notes.ts"
import { type RecordedActions, recordActions } from "../../support/actions-output.ts"
import { type Checkout, makeCheckout } from "../../support/checkout.ts"
import { type GitHubServer, startGitHubServer } from "../../support/github-server.ts"
import { type SlackServer, startSlackServer } from "../../support/slack-server.ts"

const now = new Date("2026-03-03T12:00:00Z")
const silent = { debug() {}, info() {}, warn() {}, error() {}, progress: () => ({ at() {}, done() {} }) }

const note = (at: string, changes: Partial<UnkeptNote> = {}): UnkeptNote => ({
  ...{ subject: "service/api", key: "service/api@2026-03-01T03:17Z", kind: "opened", severity: "P1", outcome: "fail" },
  ...{ detectedAt: "2026-03-01T03:17:00.000Z", at, ending: "sent" },
  ...changes,
})
const line = (startedAt: string, changes: object) => ({
  ...{ schema: 1, dryRun: false, startedAt, findings: [{ subject: "service/api", outcome: "fail", detail: "503" }] },
  ...changes,
})

function ledgerOf(...rows: { startedAt: string }[]) {
  const days = Map.groupBy(rows, ({ startedAt }) => `runs/${startedAt.slice(0, 10).replaceAll("-", "/")}.jsonl`)
  return { read: async (stream: string): Promise<unknown[]> => days.get(stream) ?? [] }
}

describe("notes in the ledger", () => {
  const at = "2026-03-01T03:17:30.000Z"

  it("are read with what was wrong, from a week of runs, whatever job left them", async () => {
    const ledger = ledgerOf(
      line("2026-02-24T03:17:00Z", { unkept: [note("2026-02-24T03:17:30.000Z", { key: "too old" })] }),
      line("2026-03-01T03:17:00Z", { unkept: [note(at), { from: "a later version" }] }),
      line("2026-03-02T03:17:00Z", { dryRun: true, unkept: [note(at, { key: "dry" })] }),
    )
    const found = await readUnkeptNotes({ ledger, now, log: silent })
    expect(found).toEqual({ notes: [{ ...note(at), detail: "503" }], from: "ledger", isDoubtful: false })
  })

  it.each([
    ["ten minutes and more after it", "2026-03-01T03:28:00Z", 0],
    ["so soon that the note may not have been there", "2026-03-01T03:20:00Z", 1],
    ["before it", "2026-03-01T03:00:00Z", 1],
  ])("are over when a run took in what there was %s", async (_when, startedAt, count) => {
    const ledger = ledgerOf(
      line("2026-03-01T03:17:00Z", { unkept: [note(at)] }),
      line(startedAt, { caughtUp: "ledger" }),
    )
    expect((await readUnkeptNotes({ ledger, now, log: silent })).notes).toHaveLength(count)
  })

  it("that cannot be read leave a doubt", async () => {
    const ledger = { read: () => Promise.reject(new Error("no route")) }
    const nothing = { notes: [], from: "nowhere", isDoubtful: true }
    expect(await readUnkeptNotes({ ledger, now, log: silent })).toEqual(nothing)
    expect(await readUnkeptNotes({ ledger: undefined, now, log: silent })).toEqual(nothing)
  })
})

async function withGitHub(
  fn: (world: {
    server: GitHubServer
    read(ledger?: ReturnType<typeof ledgerOf>): ReturnType<typeof readUnkeptNotes>
  }) => Promise<void>,
) {
  await using server = await startGitHubServer()
  const limits = { retries: 0, retryMs: 1 }
  const github = openGitHub({ token: server.token, repository: "team/app", apiUrl: server.url, log: silent, limits })
  await fn({
    server,
    read: (ledger = ledgerOf()) => readUnkeptNotes({ ledger, github, now, log: silent, workflowRun: "77-1" }),
  })
}

/** A workflow run that failed with these notes on its page. */
function addPage(server: GitHubServer, notes: readonly UnkeptNote[], endedAt: string, id?: number): void {
  const actions = recordActions("")
  postNotes(notes, actions)
  addAnnotations(server, actions, endedAt, id)
}

function addAnnotations(server: GitHubServer, { annotations }: RecordedActions, endedAt: string, id?: number): void {
  const times = { created_at: endedAt, updated_at: endedAt }
  const run = server.addRun({ path: ".github/workflows/pulse.yml", conclusion: "failure", ...times, ...(id && { id }) })
  const shown = annotations.map(({ kind, title, text }) => ({
    ...{ path: ".github", start_line: 1, end_line: 1, title, message: text },
    annotation_level: kind === "error" ? ("failure" as const) : (kind as "notice" | "warning"),
  }))
  server.addJob({ run_id: run.id, name: "pulse", conclusion: "failure", annotations: shown })
}

describe("notes on the pages of failed runs", () => {
  const at = "2026-03-03T03:17:30.000Z"

  it("are read as they were written, however many", () =>
    withGitHub(async ({ server, read }) => {
      const notes = Array.from({ length: 23 }, (_, number) => note(at, { key: `service/api@${number}` }))
      addPage(server, notes, "2026-03-03T03:19:00Z")
      expect(await read()).toEqual({ notes, from: "all", isDoubtful: false })
      expect(server.requests).toHaveLength(3)
    }))

  it("count once when the ledger has them too", () =>
    withGitHub(async ({ server, read }) => {
      addPage(server, [note(at)], "2026-03-03T03:19:00Z")
      const found = await read(ledgerOf(line("2026-03-03T03:17:00Z", { unkept: [note(at)] })))
      expect(found.notes).toEqual([{ ...note(at), detail: "503" }])
    }))

  it("are read once: not of runs that ended before a run that read all, nor of this run", () =>
    withGitHub(async ({ server, read }) => {
      addPage(server, [note(at, { key: "read" })], "2026-03-03T03:19:00Z")
      addPage(server, [note(at, { key: "long run" })], "2026-03-03T06:19:00Z")
      addPage(server, [note(at, { key: "own" })], "2026-03-03T06:19:00Z", 77)
      const caughtUp = [
        line("2026-03-03T04:00:00Z", { caughtUp: "all" }),
        line("2026-03-03T07:00:00Z", { caughtUp: "ledger" }),
      ]
      expect((await read(ledgerOf(...caughtUp))).notes.map(({ key }) => key)).toEqual(["long run"])
    }))

  it("are passed over where somebody wrote something else", () =>
    withGitHub(async ({ server, read }) => {
      const actions = recordActions("")
      postNotes([note(at)], actions)
      const [posted] = actions.annotations
      if (!posted) throw new Error("nothing was posted")
      actions.annotations.push({ ...posted, text: posted.text.slice(0, -5) }, { ...posted, title: "other" })
      actions.annotations.push({ ...posted, text: `${posted.text.slice(0, posted.text.indexOf("["))}{}` })
      addAnnotations(server, actions, "2026-03-03T03:19:00Z")
      expect((await read()).notes).toEqual([note(at)])
    }))

  it("leave a doubt when GitHub fails, and none when the token may not read runs", () =>
    withGitHub(async ({ server, read }) => {
      server.always("forbidden")
      expect(await read()).toEqual({ notes: [], from: "ledger", isDoubtful: false })
      server.always("server_error")
      expect(await read()).toEqual({ notes: [], from: "ledger", isDoubtful: true })
    }))
})

/* What people hear of whole runs. */

type World = {
  github: GitHubServer
  slack: SlackServer
  checkout: Checkout
  look(at: string, finding: Finding, env?: Record<string, string>, signal?: AbortSignal): ReturnType<Checkout["run"]>
}

async function withWorld(fn: (world: World) => Promise<void>): Promise<void> {
  await using github = await startGitHubServer()
  await using slack = await startSlackServer()
  await using checkout = await makeCheckout(`app: { name: "Shop" }, alerts: { slack: secret("SLACK_URL") }`)
  const event = await checkout.write("event.json", `{ "repository": { "private": false } }`)
  const standing = {
    ...{ GITHUB_TOKEN: github.token, GITHUB_REPOSITORY: "team/app", GITHUB_API_URL: github.url },
    ...{ SLACK_URL: slack.url, INCIDENTS: "github:team/app" },
    ...{ GITHUB_ACTIONS: "true", GITHUB_EVENT_NAME: "workflow_dispatch", GITHUB_EVENT_PATH: event },
    ...{ GITHUB_STEP_SUMMARY: `${checkout.dir}/summary.md` },
  }
  let id = 500
  const look: World["look"] = async (at, finding, env = {}, signal) => {
    const now = `2026-03-01T${at}:00Z`
    github.setClock(now)
    const config = () => ({})
    const run = async () => ({ summary: "looked", findings: [finding] })
    const watch: Job = { name: "watch", about: "Looks", observer: true, config, run }
    const actions = recordActions(standing.GITHUB_STEP_SUMMARY)
    const given = { ...standing, GITHUB_RUN_ID: String(++id), ...env }
    const outcome = await checkout.run(watch, { now, env: given, actions, ...(signal && { signal }) })
    if (outcome.exitCode !== 0) addAnnotations(github, actions, now.replace(":00Z", ":40Z"), id)
    return outcome
  }
  await fn({ github, slack, checkout, look })
}

const down: Finding = {
  subject: "service/api",
  outcome: "fail",
  detail: "db-7.internal answered 503",
  isConfirmed: true,
}
const up: Finding = { subject: "service/api", outcome: "ok", detail: "answered 200" }
const titles = ({ slack }: World) => slack.received.map(({ text }) => String(text).split(",")[0])

describe.concurrent("an outage within an outage of GitHub", () => {
  it("ends once when the ledger remembers that it was told", () =>
    withWorld(async (world) => {
      const { github, look, checkout } = world
      github.always("forbidden")
      expect((await look("03:17", down)).exitCode).toBe(3)
      for (const at of ["03:47", "04:17"]) expect((await look(at, up)).exitCode).toBe(3)
      github.always("ok")
      expect((await look("04:47", up)).exitCode).toBe(0)
      for (const at of ["05:17", "05:47"]) await look(at, up)
      expect(titles(world)).toEqual(["P1: service/api is down", "recovered after 30 min: service/api"])
      expect(github.issues()).toMatchObject([{ state: "closed", title: "service/api: fail" }])
      const lines = await checkout.ledger("2026-03-01")
      expect(lines).toMatchObject([
        { exitCode: 3, unkept: [{ key: "service/api@2026-03-01T03:17Z", ending: "sent" }] },
        ...[{ exitCode: 3 }, { exitCode: 3 }],
        ...[{ caughtUp: "all" }, { caughtUp: "all" }, { caughtUp: "all" }],
      ])
      expect(JSON.stringify([lines, github.issues()])).not.toContain("db-7")
    }))

  it("ends once when only the pages of its runs remember that it was told, because the ledger was away too", () =>
    withWorld(async (world) => {
      const { github, look, checkout } = world
      const gone = { LEDGER: `file://${await checkout.write("a-file", "")}/ledger` }
      github.always("forbidden")
      expect((await look("03:17", down, gone)).run.told).toMatchObject({ ledger: expect.stringMatching(/^failed/) })
      await look("03:47", down, gone)
      await look("04:17", up, gone)
      github.always("ok")
      for (const at of ["04:47", "05:17", "05:47", "06:17"]) expect((await look(at, up)).exitCode).toBe(0)
      expect(titles(world)).toEqual([
        ...["P1: service/api is down", "P1: service/api is down"],
        "recovered after 2 h: service/api",
      ])
      const end = JSON.stringify(world.slack.received[2])
      for (const at of ["03:17", "03:47"]) expect(end).toContain(`key \`service/api@2026-03-01T${at}Z\``)
      expect(github.issues()).toHaveLength(1)
      expect(JSON.stringify([...github.repository().annotations.values()])).not.toContain("db-7")
    }))

  it("is known of when the run is cut off while it tells, and its end is told", () =>
    withWorld(async (world) => {
      const { github, slack, look, checkout } = world
      github.always("forbidden")
      slack.always("hang")
      const stop = new AbortController()
      const running = look("03:17", down, {}, stop.signal)
      while (slack.requests() === 0) await new Promise((resolve) => setTimeout(resolve, 20))
      stop.abort(new Error("received SIGTERM"))
      expect((await running).exitCode).toBe(3)
      expect(await checkout.ledger("2026-03-01")).toMatchObject([{ unkept: [{ ending: "lost" }] }])
      github.always("ok")
      slack.always("ok")
      for (const at of ["03:47", "04:17", "04:47"]) expect((await look(at, up)).exitCode).toBe(0)
      expect(titles(world)).toEqual(["P1: service/api is down", "recovered after 1 h: service/api"])
      const [first, end] = slack.received.map((message) => JSON.stringify(message))
      expect(first).toContain("may be a repeat")
      expect(end).not.toContain("may be a repeat")
    }))

  it("that goes on is not told anew by the first run that can write", () =>
    withWorld(async (world) => {
      const { github, look } = world
      github.always("forbidden")
      await look("03:17", down)
      github.always("ok")
      for (const at of ["03:27", "03:37"]) expect((await look(at, down)).exitCode).toBe(0)
      expect(github.issues()).toMatchObject([{ state: "open" }])
      for (const at of ["03:47", "03:57", "04:07"]) await look(at, up)
      expect(titles(world)).toEqual(["P1: service/api is down", "recovered after 40 min: service/api"])
    }))
})
