import { pathToFileURL } from "node:url"
import { describe, expect, it } from "vitest"
import type { Finding } from "../../../lib/core/finding.ts"
import type { Outcome } from "../../../lib/core/outcome.ts"
import { directoryMemory } from "../../../lib/incident/directory-memory.ts"
import type { Policy } from "../../../lib/incident/policy.ts"
import { type TellOrder, type Tidings, tellIncidents } from "../../../lib/incident/tell.ts"
import { sendSlack } from "../../../lib/notify/slack.ts"
import { withTempDir } from "../../../lib/system/temp.ts"
import { type SlackServer, startSlackServer } from "../../support/slack-server.ts"
import { memoryInTest, type TestMemory } from "./memory-in-test.ts"

const hourMs = 3_600_000
const policy: Policy = {
  confirmRuns: 2,
  confirmOf: 3,
  closeRuns: 2,
  remindersMs: [hourMs, 4 * hourMs],
  flapCount: 3,
  flapWindowMs: 6 * hourMs,
  digestEveryMs: 6 * hourMs,
}

type Team = {
  memory: TestMemory
  slack: SlackServer
  /** What people read, message by message. */
  heard(): string[]
  run(at: string, findings: Finding[], changes?: Partial<TellOrder>): Promise<Tidings>
}

/** A team with a Slack channel and a memory. What runs saw is remembered from run to run, as the ledger does. */
async function team(fn: (team: Team) => Promise<void>): Promise<void> {
  await using slack = await startSlackServer()
  const memory = memoryInTest()
  const recent = new Map<string, { at: Date; outcome: Outcome }[]>()
  await fn({
    memory,
    slack,
    heard: () => slack.received.map(wordsOf),
    run: async (at, findings, changes) => {
      const now = new Date(`2026-03-01T${at}:00Z`)
      const tidings = await tellIncidents({
        memory,
        send: (message) => sendSlack(slack.url, message),
        policy,
        findings,
        recent,
        now,
        app: { name: "PrepPilot", environment: "production" },
        runUrl: "https://github.com/acme/ops/actions/runs/42",
        runbookAddress: (name) => `docs/runbooks/${name}.md`,
        isPublic: false,
        signal: new AbortController().signal,
        ...changes,
      })
      for (const { subject, outcome } of findings)
        recent.set(subject, [...(recent.get(subject) ?? []), { at: now, outcome }])
      return tidings
    },
  })
}

/** For a run in which Slack does not answer. */
const impatient = (slack: SlackServer): Partial<TellOrder> => ({
  send: (message) => sendSlack(slack.url, message, { timeoutMs: 300 }),
})

function wordsOf({ blocks }: { blocks?: unknown }): string {
  return [...JSON.stringify(blocks).matchAll(/"text":"((?:[^"\\]|\\.)*)"/g)]
    .map(([, text = ""]) => JSON.parse(`"${text}"`))
    .join("\n")
}

const down = (name: string, changes: Partial<Finding> = {}): Finding => ({
  subject: `service/${name}`,
  outcome: "fail",
  detail: `${name}.example.com answered 503, expected 200`,
  class: "status",
  runbook: "service-status",
  isConfirmed: true,
  ...changes,
})
const up = (name: string): Finding => ({ subject: `service/${name}`, outcome: "ok", detail: "answered 200" })

const key = "service/api@2026-03-01T03:17Z"

describe("telling, when Slack does not work", () => {
  it("keeps the message in the incident, says so, and the next run sends it as if for the first time", () =>
    team(async ({ memory, slack, heard, run }) => {
      slack.always("invalid_token")
      const first = await run("03:17", [down("api")])
      expect(first.told).toMatch(/^failed \(service\/api@.* not told: .*403 invalid_token/)
      expect(memory.of("service/api").outbox).toMatchObject([{ kind: "opened", state: "pending", tries: 1 }])

      slack.always("ok")
      expect(await run("03:47", [down("api")])).toMatchObject({ told: "done", messages: 1 })
      expect(heard()).toHaveLength(1)
      expect(heard()[0]).toContain(`key \`${key}\``)
      expect(heard()[0]).toContain("late: it was to be said at 2026-03-01 03:17 UTC")
      expect(heard()[0]).not.toContain("may be a repeat")
      expect(memory.of("service/api").outbox).toMatchObject([{ state: "sent", tries: 2 }])
    }))

  it.each(["hang", "reset", "server_error"] as const)(
    "says that it may be a repeat, once, after the answer was lost (%s)",
    (answer) =>
      team(async ({ slack, heard, run, memory }) => {
        slack.next(answer)
        const changes = answer === "hang" ? impatient(slack) : {}
        expect((await run("03:17", [down("api")], changes)).told).toMatch(/^failed/)
        expect(memory.of("service/api").outbox).toMatchObject([{ state: "sending" }])

        expect((await run("03:22", [down("api")])).told).toBe("done")
        expect((await run("03:27", [down("api")])).told).toBe("done")
        expect(heard()).toHaveLength(1)
        expect(heard()[0]).toContain("may be a repeat")
        expect(heard()[0]).toContain(key)
      }),
  )

  it("tries one message a run, and none again before the next run", () =>
    team(async ({ slack, run }) => {
      slack.always("hang")
      await run("03:17", [down("api")], impatient(slack))
      expect(slack.requests()).toBe(1)
      await run("03:22", [down("api"), down("web")], impatient(slack))
      expect(slack.requests()).toBe(2)
    }))

  it("does not say of an end that nobody heard of it, when the answer to the opening was lost", () =>
    team(async ({ slack, heard, run }) => {
      slack.next("reset")
      await run("03:17", [down("api")])
      slack.next("reset")
      await run("03:47", [up("api")])
      expect((await run("04:17", [up("api")])).told).toBe("done")
      expect(heard().at(-1)).toContain("recovered after 1 h")
      expect(heard().at(-1)).toContain("perhaps only now")
    }))

  it("is another run's message for the minutes in which that may be sending it", () =>
    team(async ({ slack, heard, run, memory }) => {
      memory.next("update", "fails")
      await run("03:17", [down("api")])
      expect(heard()).toHaveLength(1)
      await run("03:18", [])
      expect(heard()).toHaveLength(1)
      await run("03:22", [])
      expect(heard()).toHaveLength(2)
      expect(heard()[1]).toContain("may be a repeat")
      expect(slack.requests()).toBe(2)
    }))
})

describe("telling, when the memory does not work", () => {
  it("rings at least, in one message a run with the keys, and fails", () =>
    team(async ({ memory, heard, run }) => {
      memory.isDown = true
      const { told, messages } = await run("03:17", [down("api"), down("web"), down("mail", { outcome: "warn" })])
      expect(told).toMatch(/^failed \(the incidents in memory of the test cannot be read: GitHub answered 502/)
      expect(messages).toBe(1)
      expect(heard()[0]).toContain("2 incidents opened")
      expect(heard()[0]).toContain(key)
      expect(heard()[0]).toContain("may be a repeat")
      expect(heard()[0]).not.toContain("service/mail")
    }))

  it("uses the same key all the time, and the run that can write again says that it may be a repeat", () =>
    team(async ({ memory, heard, run }) => {
      memory.isDown = true
      await run("03:17", [down("api")])
      await run("03:47", [down("api")])
      memory.isDown = false
      expect((await run("04:17", [down("api")])).told).toBe("done")
      expect((await run("04:47", [down("api")])).told).toBe("done")
      expect(heard()).toHaveLength(3)
      for (const words of heard()) {
        expect(words).toContain(`key \`${key}\``)
        expect(words).toContain("may be a repeat")
      }
      expect(memory.of("service/api").key).toBe(key)
    }))

  it("says what could not be written down, beside what could", () =>
    team(async ({ memory, heard, run }) => {
      memory.next("open", "works", "fails")
      const { told, opened } = await run("03:17", [down("api"), down("web")])
      expect(told).toMatch(/^failed \(service\/web@.* could not be written down: GitHub answered 502/)
      expect(opened.map(({ subject }) => subject)).toEqual(["service/api"])
      expect(heard()).toHaveLength(1)
      expect(heard()[0]).toContain("service/web is down")
      expect(heard()[0]).toContain("this message is all there is")
    }))

  it("finds the incident again of which only the answer was lost, and tells it once", () =>
    team(async ({ memory, heard, run }) => {
      memory.next("open", "works, but its answer is lost")
      expect((await run("03:17", [down("api")])).told).toBe("done")
      await run("03:47", [down("api")])
      expect(memory.kept()).toHaveLength(1)
      expect(heard()).toHaveLength(1)
      expect(heard()[0]).not.toContain("may be a repeat")
    }))

  it("tells a recovery once, whenever it can be written down", () =>
    team(async ({ memory, heard, run }) => {
      await run("03:17", [down("api")])
      await run("03:47", [up("api")])
      memory.next("update", "fails")
      expect((await run("04:17", [up("api")])).told).toMatch(/^failed/)
      expect(heard()).toHaveLength(1)
      expect((await run("04:47", [up("api")])).told).toBe("done")
      await run("05:17", [up("api")])
      expect(heard()).toHaveLength(2)
      expect(heard()[1]).toContain("recovered after 1 h 30 min: service/api")
    }))
})

describe("telling", () => {
  it("tells an outage once, and its end once, and closes the incident with a postmortem", () =>
    team(async ({ memory, heard, run }) => {
      expect(await run("03:17", [down("api")])).toMatchObject({ told: "done", messages: 1, opened: [{ key }] })
      expect((await run("03:47", [down("api")])).messages).toBe(0)
      expect((await run("04:17", [up("api")])).messages).toBe(0)
      const last = await run("04:47", [up("api")])
      expect(last).toMatchObject({ told: "done", messages: 1, closed: [{ subject: "service/api", state: "closed" }] })
      expect(await run("05:17", [up("api")])).toMatchObject({ told: "skipped (nothing changed)" })
      expect(heard()).toHaveLength(2)
      expect(heard()[0]).toContain("P1: service/api is down · PrepPilot (production)")
      expect(heard()[1]).toContain("recovered after 1 h 30 min")
      expect(memory.commentsOf("service/api")).toEqual([
        expect.stringContaining("## Postmortem: P1, service/api is down"),
      ])
      expect(memory.commentsOf("service/api")[0]).toContain("| told | 2026-03-01 03:17 UTC |")
    }))

  it("tells several that go down together in one message, and marks each as told", () =>
    team(async ({ memory, heard, run }) => {
      await run("03:17", [down("api"), down("web"), down("mail")])
      expect(heard()).toHaveLength(1)
      expect(heard()[0]).toContain("P1: 3 incidents opened")
      for (const name of ["api", "web", "mail"])
        expect(memory.of(`service/${name}`).outbox).toMatchObject([{ state: "sent" }])
    }))

  it("keeps incidents without an address, says that, and floods nobody once there is one", () =>
    team(async ({ memory, heard, run }) => {
      const { told } = await run("03:17", [down("api")], { send: undefined })
      expect(told).toBe("skipped (no address: set alerts.slack; the incidents are in memory of the test)")
      expect(memory.kept()).toHaveLength(1)
      await run("03:47", [down("api")])
      expect(heard()).toHaveLength(0)
    }))

  it("shows everyone no more than subject, outcome and times, and tells the channel all", () =>
    team(async ({ memory, heard, run }) => {
      const secretive = { ...down("api"), facts: { table: "customers" } }
      await run("03:17", [secretive], { isPublic: true })
      await run("03:47", [secretive], { isPublic: true })
      expect(heard()).toHaveLength(1)
      expect(heard()[0]).toContain("api.example.com answered 503")
      const everything = JSON.stringify([
        memory.kept(),
        memory.titles(),
        memory.bodies(),
        memory.commentsOf("service/api"),
      ])
      expect(everything).not.toMatch(/503|example\.com|customers|service-status/)
      expect(heard()[0]).toContain("docs/runbooks/service-status.md")
      expect(memory.titles()).toEqual(["service/api: fail"])
    }))

  it("gives each error of a subject a line", () =>
    team(async ({ heard, run }) => {
      const missing = (name: string): Finding => ({
        subject: "job/backup",
        outcome: "fail",
        detail: `${name} is\nmissing`,
      })
      await run("03:17", [missing("A"), missing("B")], {
        about: () => ({ impact: "tonight's backup is missing", firstAction: "add the secrets", lastGood: "never" }),
      })
      expect(heard()[0]).toContain("*Error*  `A is missing`\n*Error*  `B is missing`")
      expect(heard()[0]).toContain("*Impact*  tonight's backup is missing")
      expect(heard()[0]).toContain("*First action*  add the secrets")
      expect(heard()[0]).toContain("*Last good*  never")
    }))
})

describe("commands, told", () => {
  it("are executed once, answered, and stop the reminders", () =>
    team(async ({ memory, heard, run }) => {
      await run("03:17", [down("api")])
      memory.says("service/api", "/ack 4h\nI look at the host")
      await run("03:47", [down("api")])
      await run("04:47", [down("api")])
      expect(heard()).toHaveLength(1)
      expect(memory.of("service/api").ack).toMatchObject({ by: "ann", until: "2026-03-01T07:20:00.000Z" })
      expect(memory.commentsOf("service/api")).toEqual([
        "ann: acknowledged until 2026-03-01 07:20 UTC (4 h): no reminders until then; if it becomes worse, or recovers, people hear it.",
      ])
    }))

  it("are executed once even when the answer of the memory was lost", () =>
    team(async ({ memory, run }) => {
      await run("03:17", [down("api")])
      memory.says("service/api", "/ack 4h")
      memory.next("update", "works, but its answer is lost")
      expect((await run("03:47", [])).told).toMatch(/^failed \(the commands of service\/api@.* were not heard/)
      expect((await run("04:17", [])).told).toMatch(/^skipped/)
      expect(memory.commentsOf("service/api")).toHaveLength(1)
    }))

  it("close what a person resolves, and say who", () =>
    team(async ({ memory, heard, run }) => {
      await run("03:17", [down("api")])
      memory.says("service/api", "/resolve moved to the new host")
      const { closed, told } = await run("03:47", [])
      expect(told).toBe("done")
      expect(closed.map(({ subject }) => subject)).toEqual(["service/api"])
      expect(heard()[1]).toContain("closed by ann after 30 min: service/api")
      expect(heard()[1]).toContain("*Closed*  by ann: moved to the new host")
      expect(memory.commentsOf("service/api")[0]).toContain("## Postmortem")
    }))

  it("do not hide what else goes wrong", () =>
    team(async ({ memory, heard, run }) => {
      await run("03:17", [down("api")])
      memory.next("commands", "fails")
      const { told } = await run("03:47", [down("api"), down("web")])
      expect(told).toMatch(/^failed \(the commands of service\/api@/)
      expect(heard()[1]).toContain("service/web is down")
    }))
})

describe("telling, with the incidents in a directory", () => {
  it("marks what was sent, what was refused, and what was lost", () =>
    team(async ({ slack, heard, run }) => {
      await withTempDir("incidents", async (dir) => {
        const memory = directoryMemory(pathToFileURL(dir).href, silent)
        const stateOf = async () => (await memory.list(new Date(0)))[0]?.incident.outbox.map(({ state }) => state)
        slack.next("invalid_token", "hang")
        await run("03:17", [down("api")], { memory })
        expect(await stateOf()).toEqual(["pending"])
        await run("03:18", [down("api")], { memory, ...impatient(slack) })
        expect(await stateOf()).toEqual(["sending"])
        await run("03:19", [down("api")], { memory })
        expect(await stateOf()).toEqual(["sent"])
        expect(heard()).toEqual([expect.stringContaining("may be a repeat")])
        await run("03:47", [up("api")], { memory })
        const { closed } = await run("04:17", [up("api")], { memory })
        expect(closed).toMatchObject([{ key, state: "closed" }])
        expect(heard()).toHaveLength(2)
      })
    }))

  it("says once what two runs find at the same time, be it left by an earlier one or new to both", () =>
    team(async ({ slack, heard, run }) => {
      await withTempDir("incidents", async (dir) => {
        const memory = directoryMemory(pathToFileURL(dir).href, silent)
        const late = (other: () => Promise<unknown>) => {
          let isFirst = true
          const list = async (since: Date) => {
            const found = await memory.list(since)
            if (isFirst) {
              isFirst = false
              await other()
            }
            return found
          }
          return { memory: { ...memory, list } }
        }
        slack.next("invalid_token")
        await run("03:17", [down("api")], { memory })
        await run(
          "03:22",
          [],
          late(() => run("03:23", [], { memory })),
        )
        expect(heard()).toHaveLength(1)

        const web = down("web", { isConfirmed: false })
        await run("03:25", [web], { memory })
        await run(
          "03:30",
          [web],
          late(() => run("03:31", [web], { memory })),
        )
        expect(heard()).toHaveLength(2)
        expect((await memory.list(new Date(0))).map(({ incident }) => incident.key)).toEqual([
          key,
          "service/web@2026-03-01T03:25Z",
        ])
      })
    }))
})

const silent = { debug() {}, info() {}, warn() {}, error() {}, progress: () => ({ at() {}, done() {} }) }

describe("a drill", () => {
  it("rings, says that it is a drill, records who answered, and ends", () =>
    team(async ({ memory, heard, run }) => {
      await run("03:17", [], { drill: true })
      expect(heard()[0]).toContain("DRILL: nothing is broken")
      expect((await run("03:20", [up("api")])).told).toMatch(/^skipped/)
      memory.says("drill/2026-03-01", "/ack 1h", { at: new Date("2026-03-01T03:20:00Z") })
      await run("03:47", [down("api")])
      expect(memory.of("drill/2026-03-01")).toMatchObject({ state: "closed", ack: { by: "ann" } })
      expect(memory.commentsOf("drill/2026-03-01").at(-1)).toBe("The drill is over: answered by ann after 3 min.")
      expect(heard()).toHaveLength(2)
    }))

  it("that nobody answered rings once more when another one is asked for", () =>
    team(async ({ memory, heard, run }) => {
      await run("03:17", [], { drill: true })
      expect((await run("03:47", [], { drill: true })).told).toBe("done")
      expect([heard().length, memory.kept().length]).toEqual([2, 1])
      expect(heard()[1]).toContain("DRILL")
      await run("03:57", [], { drill: true, now: new Date("2026-03-02T04:00:00Z") })
      expect(memory.kept().map(({ state }) => state)).toEqual(["closed", "firing"])
      expect(heard()).toHaveLength(3)
    }))

  it("that can ring nobody is no success", () =>
    team(async ({ run }) => {
      const { told } = await run("03:17", [], { drill: true, send: undefined })
      expect(told).toBe("failed (the drill rang nobody: set alerts.slack; it is in memory of the test alone)")
    }))

  it("says in public too that it is one", () =>
    team(async ({ memory, run }) => {
      await run("03:17", [], { drill: true, isPublic: true })
      expect(memory.bodies()[0]).toContain("This is a drill: nothing is broken.")
    }))

  it("ends after a day in which nobody answered", () =>
    team(async ({ memory, run }) => {
      await run("03:17", [], { drill: true })
      await run("03:47", [], { now: new Date("2026-03-02T03:17:00Z") })
      expect(memory.of("drill/2026-03-01").state).toBe("closed")
      expect(memory.commentsOf("drill/2026-03-01")).toEqual(["The drill is over: nobody answered within 24 h."])
    }))
})
