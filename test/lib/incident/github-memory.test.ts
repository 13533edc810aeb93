import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { openIncidentMemory } from "../../../lib/incident/open-memory.ts"
import { type GitHubServer, startGitHubServer } from "../../support/github-server.ts"
import { describeMemory, type MemoryPlace, over } from "./memory-conformance.ts"
import { incidentOf, logTo, longAgo, outboxItem, text } from "./sample.ts"

let server: GitHubServer
let warnings: string[]
beforeEach(async () => {
  server = await startGitHubServer()
  server.setClock("2026-03-01T04:00:00Z")
  warnings = []
  server.setRole("anna", "write")
  server.setRole("bob", "maintain")
})
afterEach(() => server.close())

const open = (token = server.token) =>
  openIncidentMemory("github:team/app", {
    token,
    apiUrl: server.url,
    log: logTo(warnings),
    limits: { retryMs: 5, writeGapMs: 0, tryMs: 5000 },
  })

const place = (): MemoryPlace => ({
  memory: () => open(),
  warnings,
  async shown(id) {
    const { title, body, state } = server.issue(Number(id))
    const comments = server.comments(Number(id)).map((comment) => comment.body)
    return { title, body: body ?? "", isOpen: state === "open", comments }
  },
  add: async (body) =>
    void server.addIssue({ by: "github-actions[bot]", title: text.title, body, labels: ["incident"] }),
  retitle: async (id, title) => server.editIssue(Number(id), "anna", { title }),
  edit: async (id, change) =>
    server.editIssue(Number(id), "anna", { body: change(server.issue(Number(id)).body ?? "") }),
  close: async (id) => server.closeIssue(Number(id), "anna"),
  reopen: async (id) => server.reopenIssue(Number(id), "anna"),
  say: async (id, by, text) => void server.addComment(Number(id), by, text),
})

describeMemory("issues of GitHub", async () => place())

const labelsOf = (number: number) => server.issue(number).labels.map(({ name }) => name)
const writes = () =>
  server.requests.filter(({ method }) => method !== "GET").map(({ method, path }) => `${method} ${path}`)

describe("GitHub as the memory of incidents", () => {
  it("loses no incident and no comment to an answer that was none, and tries at most twice", async () => {
    server.on("POST", /\/issues$/, "bad_gateway")
    const stored = await open().open(incidentOf("service/web"), text)
    server.on("POST", /\/comments$/, "bad_gateway")
    await open().update(stored, stored.incident, text, "a postmortem")
    expect([server.issues().length, server.comments(1).map(({ body }) => body.split("\n")[0])]).toEqual([
      1,
      ["a postmortem"],
    ])
    server.on("POST", /\/issues$/, "bad_gateway", "bad_gateway")
    await expect(open().open(incidentOf("service/api"), text)).rejects.toThrow("502")
    server.on("POST", /\/issues$/, "forbidden")
    await expect(open().open(incidentOf("service/api"), text)).rejects.toThrow("403")
    expect(server.issues()).toHaveLength(1)
  })

  it("has one issue and one comment when the answers are lost", async () => {
    server.on("POST", /\/issues$/, "lost")
    const stored = await open().open(incidentOf("service/web"), text)
    server.on("POST", /\/comments$/, "lost")
    server.on("PATCH", /\/issues\/1$/, "lost")
    await open().update(stored, { ...stored.incident, goodRuns: 1 }, text, "it is better")

    expect(server.issues()).toHaveLength(1)
    expect(server.comments(1)).toHaveLength(1)
    expect((await open().list(longAgo))[0]?.incident.goodRuns).toBe(1)
  })

  it("says so when an issue or a comment was not made", async () => {
    const stored = await open().open(incidentOf("service/web"), text)
    server.on("POST", /\/issues$/, "reset", "reset")
    server.on("POST", /\/comments$/, "unavailable", "unavailable")

    await expect(open().open(incidentOf("service/api"), text)).rejects.toThrow(
      "cannot open an issue in team/app: no answer",
    )
    await expect(open().comment(stored, "hello")).rejects.toThrow("cannot comment on issue 1 in team/app: 503")
    expect(server.issues()).toHaveLength(1)
  })

  it("changes nothing when it may not write", async () => {
    const stored = await open().open(incidentOf("service/web"), text)
    server.on("PATCH", /./, "forbidden")

    await expect(open().update(stored, { ...stored.incident, ...over }, text, "recovered")).rejects.toThrow(
      "cannot change issue 1 in team/app: 403 Resource not accessible by integration: add issues: write under permissions",
    )
    expect(server.issue(1).state).toBe("open")
    expect(server.comments(1)).toEqual([])
  })

  it("gives no list when it has only a part of one", async () => {
    for (let count = 0; count < 101; count++) server.addIssue({ by: "anna", title: "x", labels: ["incident"] })
    server.on("GET", /\/issues$/, "ok", "forbidden")

    await expect(open().list(longAgo)).rejects.toThrow("cannot list the issues labelled incident")
  })

  it("leaves two issues when two runs open at once; the oldest counts, and its next change closes the other", async () => {
    await Promise.all([open().open(incidentOf("service/web"), text), open().open(incidentOf("service/web"), text)])
    expect(server.issues()).toHaveLength(2)

    const memory = open()
    const listed = await memory.list(longAgo)
    expect(listed.map(({ id }) => id)).toEqual(["1"])
    expect(server.issue(2).state).toBe("open")
    if (listed[0]) await memory.update(listed[0], { ...listed[0].incident, goodRuns: 1 }, text)

    expect(server.issue(2)).toMatchObject({ state: "closed", state_reason: "duplicate" })
    expect(server.comments(2)[0]?.body).toContain("it goes on in #1")
    expect((await open().list(longAgo)).map(({ id }) => id)).toEqual(["1"])
  })

  it("labels an issue, and changes only the label of its severity", async () => {
    const memory = open()
    const stored = await memory.open(incidentOf("service/web"), text)
    expect(labelsOf(1)).toEqual(["incident", "P1"])
    expect(server.repository().labels.get("incident")?.description).toContain("Nightshift")

    server.editIssue(1, "anna", { labels: ["Incident", "P1", "network"] })
    const renewed = await memory.update(stored, { ...stored.incident, severity: "P0" }, text)
    expect(labelsOf(1)).toEqual(["incident", "network", "P0"])
    server.editIssue(1, "anna", { labels: ["incident", "P3"] })
    await memory.update(renewed, { ...renewed.incident, goodRuns: 1 }, text)
    expect(labelsOf(1)).toEqual(["incident", "P3"])
  })

  it("closes an issue as completed, and opens it again", async () => {
    const memory = open()
    const stored = await memory.open(incidentOf("service/web"), text)
    const closed = await memory.update(stored, { ...stored.incident, ...over }, text)
    expect(server.issue(1)).toMatchObject({ state: "closed", state_reason: "completed" })

    await memory.update(closed, { ...closed.incident, state: "firing" }, text)
    expect(server.issue(1)).toMatchObject({ state: "open", state_reason: "reopened" })
  })

  it("writes nothing when nothing changed", async () => {
    const memory = open()
    const stored = await memory.open(incidentOf("service/web"), text)
    server.requests.length = 0
    await memory.update(stored, stored.incident, text)

    expect(writes()).toEqual([])
  })

  it("never touches an issue that it did not make", async () => {
    const stored = await open().open(incidentOf("service/web", { outbox: [outboxItem("opened-1")] }), text)
    const body = server.issue(1).body ?? ""
    server.addIssue({ by: "anna", title: "ours has no block", labels: ["incident"], body: "we were down" })
    server.addIssue({ by: "anna", title: "no label", body: body.replaceAll("service/web", "service/a") })
    server.addIssue({
      by: "mallory",
      title: "a stranger's",
      labels: ["incident"],
      body: body.replaceAll("service/web", "service/b"),
    })
    server.addIssue({ by: "anna", title: "a change", labels: ["incident"], body, isPullRequest: true })
    server.requests.length = 0

    expect((await open().list(longAgo)).map(({ id }) => id)).toEqual([stored.id])
    expect(writes()).toEqual([])
    server.editIssue(1, "anna", { labels: [] })
    await expect(open().update(stored, stored.incident, text)).rejects.toThrow("issue 1 has lost its label")
    expect(await open().list(longAgo)).toEqual([])
  })

  it("hears people with write access only, and asks once for each", async () => {
    const stored = await open().open(incidentOf("service/web"), text)
    for (const role of ["admin", "maintain", "write", "triage", "read"]) server.setRole(role, role)
    const people = ["admin", "mallory", "maintain", "triage", "write", "read", "renovate[bot]", "admin", "mallory"]
    for (const by of people) server.addComment(1, by, "/ack 4h")
    const ghost = server.addComment(1, "ghost", "/ack 4h")
    ghost.user = null
    server.requests.length = 0

    const commands = await open().commands(stored)
    expect(commands.map(({ by }) => by)).toEqual(["admin", "maintain", "write", "admin"])
    expect(server.requests.filter(({ path }) => path.includes("/collaborators/"))).toHaveLength(6)
  })

  it("hears the last of many comments, and does not ask about a crowd", async () => {
    const stored = await open().open(incidentOf("service/web"), text)
    server.addComment(1, "anna", "/ack 1h")
    for (let count = 0; count < 250; count++) server.addComment(1, `user-${count}`, "/ack 4h")
    server.addComment(1, "anna", "/ack 2h")
    server.requests.length = 0

    expect((await open().commands(stored)).map(({ text }) => text)).toEqual(["/ack 1h", "/ack 2h"])
    expect(server.requests.length).toBeLessThan(40)
    expect(warnings[0]).toContain("may not write")
  })

  it("takes no word of its own for a command when it writes with a person's token", async () => {
    server.tokens.set("ghp_annastokenannastoken", "anna")
    const memory = open("ghp_annastokenannastoken")
    const stored = await memory.open(incidentOf("service/web"), text)
    await memory.comment(stored, "/ack 4h")

    expect(await open().commands(stored)).toEqual([])
    expect(await open().list(longAgo)).toHaveLength(1)
  })

  it("refuses to go without a token", () => {
    expect(() => openIncidentMemory("github:team/app", { log: logTo([]) })).toThrow("GITHUB_TOKEN is missing")
    expect(() => openIncidentMemory("github:team", { token: "x", log: logTo([]) })).toThrow("write owner/name")
  })
})
