import { describe, expect, it } from "vitest"
import { applyCommands, parseCommand } from "../../../lib/incident/commands.ts"
import { drillIncident, drillRecord, endDrill } from "../../../lib/incident/drill.ts"
import type { IncidentComment } from "../../../lib/incident/incident.ts"
import { incidentOf } from "./examples.ts"

const hourMs = 3_600_000
const now = new Date("2026-03-01T04:00:00Z")

function comment(text: string, changes: Partial<IncidentComment> = {}): IncidentComment {
  return { id: "c1", by: "ann", at: new Date("2026-03-01T03:50:00Z"), text, mayCommand: true, ...changes }
}

const told = { toldAt: "2026-03-01T03:18:00.000Z" }

describe("a comment", () => {
  it.each([
    ["/ack 4h", { kind: "ack", forMs: 4 * hourMs }],
    ["/ack 30m\nI am looking", { kind: "ack", forMs: hourMs / 2 }],
    ["/ack 24h  \r\nmore", { kind: "ack", forMs: 24 * hourMs }],
    [
      "/silence 2d waiting for the provider",
      { kind: "silence", forMs: 48 * hourMs, reason: "waiting for the provider" },
    ],
    ["/silence 14d x", { kind: "silence", forMs: 14 * 24 * hourMs, reason: "x" }],
    ["/resolve moved away", { kind: "resolve", reason: "moved away" }],
  ])("%j is a command", (text, command) => {
    expect(parseCommand(text)).toEqual({ command })
  })

  it.each([
    ["/ack", /needs a time: write `\/ack 4h`/],
    ["/ack soon", /is not understood/],
    ["/ack 0h", /too short/],
    ["/ack 25h", /takes at most 24 h/],
    ["/ack 4 h", /a time and nothing else/],
    ["/ack -4h", /is not understood/],
    ["/ack 4h please", /a time and nothing else/],
    ["/ack 99999999h", /is not understood/],
    ["/silence 2d", /needs a reason/],
    ["/silence reason", /is not understood/],
    ["/silence 15d reason", /takes at most 14 days/],
    ["/resolve", /needs a reason/],
    ["/resolve   ", /needs a reason/],
    ["/Ack 4h", /there is no command `\/Ack`/],
    ["/acknowledge 4h", /there is no command/],
  ])("%j is answered with what would be right", (text, problem) => {
    expect(parseCommand(text)).toEqual({ problem: expect.stringMatching(problem) })
  })

  it.each([
    "",
    "I restarted it",
    "see\n/ack 4h",
    " /ack 4h",
    "/var/log/app.log is full",
    "> /ack 4h",
    "`/ack 4h`",
    "//ack",
  ])("%j asks for nothing", (text) => expect(parseCommand(text)).toBeUndefined())
})

describe("the commands of an incident", () => {
  it("of people without rights change nothing and get no answer, and are read once", () => {
    const { incident, answer } = applyCommands(incidentOf(), [comment("/resolve ha", { mayCommand: false })], now)
    expect(answer).toBeUndefined()
    expect(incident).toEqual({ ...incidentOf(), readComment: "c1" })
  })

  it("count from the comment, so that reading one again changes nothing", () => {
    const once = applyCommands(incidentOf(), [comment("/ack 4h")], now).incident
    const later = applyCommands(incidentOf(), [comment("/ack 4h")], new Date("2026-03-01T06:00:00Z")).incident
    expect(once.ack).toEqual({ by: "ann", at: "2026-03-01T03:50:00.000Z", until: "2026-03-01T07:50:00.000Z" })
    expect(later).toEqual(once)
  })

  it("say when they were read too late", () => {
    expect(applyCommands(incidentOf(), [comment("/ack 5m")], now).answer).toContain("over already")
  })

  it("are executed in order, and all answered in one comment that rings for nobody", () => {
    const comments = [
      comment("/ack 4h"),
      comment("hello", { id: "c2" }),
      comment("/silence 2d provider", { id: "c3", by: "@bob" }),
      comment("/resolve", { id: "c4" }),
    ]
    const { incident, answer } = applyCommands(incidentOf(), comments, now)
    expect(incident).toMatchObject({
      readComment: "c4",
      state: "firing",
      silence: { by: "@bob", reason: "provider", until: "2026-03-03T03:50:00.000Z" },
      timeline: [{ what: "acknowledged until 2026-03-01 07:50 UTC", by: "ann" }, { by: "@bob" }],
    })
    expect(answer?.split("\n\n").map((line) => line.slice(0, 18))).toEqual([
      "ann: acknowledged ",
      "bob: silenced unti",
      "ann: not done: `/r",
    ])
  })

  it("close it once, and tell those who heard of it", () => {
    const comments = [comment("/resolve gone for good"), comment("/ack 4h", { id: "c2" })]
    const { incident, answer } = applyCommands(incidentOf(told), comments, now)
    expect(incident).toMatchObject({
      ...{ state: "closed", closedAt: now.toISOString(), readComment: "c2" },
      resolved: { by: "ann", reason: "gone for good" },
      outbox: [{ kind: "recovered", state: "pending" }],
    })
    expect(answer).toContain("ann: not done: it is closed already.")
    expect(applyCommands(incidentOf(), [comment("/resolve x")], now).incident.outbox).toEqual([])
  })
})

describe("a drill", () => {
  const drill = drillIncident(now)

  it("is a nuisance by severity and names its day", () => {
    expect(drill).toMatchObject({ subject: "drill/2026-03-01", severity: "P3", outbox: [{ kind: "drill" }] })
  })

  it("records who answered, and how soon", () => {
    const answered = applyCommands(drill, [comment("/ack 1h", { at: new Date("2026-03-01T04:02:30Z") })], now).incident
    expect(drillRecord(answered).acknowledged).toEqual({ by: "ann", at: "2026-03-01T04:02:30.000Z", afterMs: 150_000 })
    expect(endDrill(answered, now)?.comment).toBe("The drill is over: answered by ann after 2 min 30 s.")
  })

  it("waits for an answer, but not for ever", () => {
    expect(endDrill(drill, new Date("2026-03-02T03:59:00Z"))).toBeUndefined()
    expect(endDrill(drill, new Date("2026-03-02T04:00:00Z"))?.incident).toMatchObject({ state: "closed" })
    expect(drillRecord(drill)).toEqual({ subject: "drill/2026-03-01", openedAt: now.toISOString() })
  })

  it("is closed by a person without ringing again", () => {
    const { incident } = applyCommands({ ...drill, ...told }, [comment("/resolve heard it")], now)
    expect(incident.state).toBe("closed")
    expect(incident.outbox.filter(({ state }) => state === "pending")).toEqual([])
    expect(drillRecord(incident).acknowledged).toMatchObject({ by: "ann" })
  })
})
