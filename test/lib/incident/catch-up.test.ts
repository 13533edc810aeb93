import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { Finding } from "../../../lib/core/finding.ts"
import type { Outcome } from "../../../lib/core/outcome.ts"
import { catchUp, madeOf, takeIn, unknownNotes } from "../../../lib/incident/catch-up.ts"
import type { Policy } from "../../../lib/incident/policy.ts"
import { type TellOrder, type Tidings, tellIncidents } from "../../../lib/incident/tell.ts"
import { namedAsTold, type UnkeptNote, type UnkeptNotes } from "../../../lib/incident/unkept-note.ts"
import { sendSlack } from "../../../lib/notify/slack.ts"
import { type SlackServer, startSlackServer } from "../../support/slack-server.ts"
import { incidentOf } from "./examples.ts"
import { memoryInTest, type TestMemory } from "./memory-in-test.ts"

const hourMs = 3_600_000
const policy: Policy = {
  ...{ confirmRuns: 2, confirmOf: 3, closeRuns: 2, remindersMs: [hourMs, 4 * hourMs] },
  ...{ flapCount: 3, flapWindowMs: 6 * hourMs, digestEveryMs: 6 * hourMs },
}

type Team = {
  memory: TestMemory
  slack: SlackServer
  heard(): string[]
  left: UnkeptNote[]
  run(at: string, findings: Finding[], changes?: Partial<TellOrder>): Promise<Tidings>
}

/** A team whose runs leave notes of what they told without a memory, and look for them. */
async function team(fn: (team: Team) => Promise<void>): Promise<void> {
  await using slack = await startSlackServer()
  const memory = memoryInTest()
  const recent = new Map<string, { at: Date; outcome: Outcome }[]>()
  const left: UnkeptNote[] = []
  await fn({
    ...{ memory, slack, left },
    heard: () => slack.received.map(({ blocks }) => JSON.stringify(blocks)),
    run: async (at, findings, changes) => {
      const now = new Date(`2026-03-0${at.includes("d") ? at.replace("d", "T") : `1T${at}`}:00Z`)
      let notes: readonly UnkeptNote[] = []
      const tidings = await tellIncidents({
        ...{ memory, policy, findings, recent, now, isPublic: false, signal: new AbortController().signal },
        send: (message) => sendSlack(slack.url, message, { timeoutMs: 300 }),
        app: { name: "PrepPilot", environment: "production" },
        runbookAddress: (name) => `docs/runbooks/${name}.md`,
        readNotes: async () => ({ notes: [...left], from: "all", isDoubtful: false }),
        leave: (told) => {
          notes = told
        },
        ...changes,
      })
      left.push(...notes)
      for (const { subject, outcome } of findings)
        recent.set(subject, [...(recent.get(subject) ?? []), { at: now, outcome }])
      return tidings
    },
  })
}

const down = (name: string, changes: Partial<Finding> = {}): Finding => ({
  ...{ subject: `service/${name}`, outcome: "fail", detail: "answered 503", isConfirmed: true },
  ...changes,
})
const up = (name: string): Finding => ({ subject: `service/${name}`, outcome: "ok", detail: "answered 200" })
const key = "service/api@2026-03-01T03:17Z"
const titles = ({ slack }: Pick<Team, "slack">) => slack.received.map(({ text }) => String(text).split(",")[0])

describe("an outage that begins and ends while the incidents cannot be reached", () => {
  it("is told, and its end is told once by the first run that can write and sees it well for long enough", () =>
    team(async ({ memory, slack, heard, run, left }) => {
      memory.isDown = true
      await run("03:17", [down("api")])
      expect(left).toMatchObject([{ key, ending: "sent", kind: "opened", at: "2026-03-01T03:17:00.000Z" }])
      await run("03:47", [up("api")])
      await run("04:17", [up("api")])
      memory.isDown = false
      expect(await run("04:47", [up("api")])).toMatchObject({ told: "done", messages: 1, caughtUp: "all" })
      for (const at of ["05:17", "05:47"]) expect((await run(at, [up("api")])).messages).toBe(0)
      expect(titles({ slack })).toEqual(["P1: service/api is down", "recovered after 30 min: service/api"])
      expect(heard()[1]).toContain(key)
      expect(heard()[1]).not.toMatch(/may be a repeat|only now/)
      expect(memory.of("service/api")).toMatchObject({ key, state: "closed", toldAt: "2026-03-01T04:47:00.000Z" })
    }))

  it("waits for a second good look when nobody could see the first", () =>
    team(async ({ memory, slack, run }) => {
      memory.isDown = true
      await run("03:17", [down("api")])
      memory.isDown = false
      expect(await run("03:47", [up("api")])).toMatchObject({ messages: 0 })
      expect(memory.of("service/api").state).toBe("recovering")
      await run("04:17", [up("api")])
      await run("04:47", [up("api")])
      expect(titles({ slack })).toEqual(["P1: service/api is down", "recovered after 1 h: service/api"])
    }))

  it("several of them of one subject end in one message that has all their names", () =>
    team(async ({ memory, slack, heard, run }) => {
      memory.isDown = true
      await run("03:17", [down("api")])
      for (const at of ["03:27", "03:37", "03:47"]) await run(at, [up("api")])
      await run("05:17", [down("api")])
      for (const at of ["05:27", "05:37"]) await run(at, [up("api")])
      memory.isDown = false
      await run("06:17", [up("api")])
      await run("06:47", [up("api")])
      expect(slack.received).toHaveLength(3)
      expect(heard()[2]).toMatch(/recovered after/)
      expect(heard()[2]).toContain(`key \`${key}\``)
      expect(heard()[2]).toContain("*Also told as*  key `service/api@2026-03-01T05:17Z`")
    }))

  it("is said at its end to be news where Slack was out of reach as well", () =>
    team(async ({ memory, slack, heard, run }) => {
      memory.isDown = true
      slack.always("invalid_token")
      await run("03:17", [down("api")])
      slack.always("ok")
      await run("03:47", [up("api")])
      await run("04:17", [up("api")])
      memory.isDown = false
      await run("04:47", [up("api")])
      expect(heard()).toEqual([expect.stringContaining("only now: nobody could be reached while it lasted")])
    }))

  it("is not said to be news where only Slack's answer was lost", () =>
    team(async ({ memory, slack, heard, run, left }) => {
      memory.isDown = true
      slack.next("reset")
      await run("03:17", [down("api")])
      expect(left).toMatchObject([{ ending: "lost" }])
      for (const at of ["03:47", "04:17"]) await run(at, [up("api")])
      memory.isDown = false
      await run("04:47", [up("api")])
      await run("05:17", [up("api")])
      expect(heard()).toEqual([expect.stringContaining("perhaps only now")])
    }))

  it("of a job ends with its next good run", () =>
    team(async ({ memory, slack, run }) => {
      const backup = (outcome: Outcome): Finding => ({ subject: "job/backup", outcome, detail: "", isConfirmed: true })
      memory.isDown = true
      await run("03:17", [backup("fail")])
      memory.isDown = false
      await run("2d03:17", [backup("ok")])
      await run("3d03:17", [backup("ok")])
      expect(titles({ slack })).toEqual(["P2: backup did not do its work", "recovered after 24 h: job/backup"])
    }))

  it("is not ended twice by a run days later, when what knows of it closed long ago", () =>
    team(async ({ memory, slack, run }) => {
      memory.isDown = true
      await run("03:17", [down("api")])
      memory.isDown = false
      for (const at of ["03:47", "04:17", "4d04:17", "5d04:17"]) await run(at, [up("api")])
      expect([slack.received.length, memory.kept().length]).toEqual([2, 1])
    }))
})

describe("an outage that lasts longer than the incidents were out of reach", () => {
  it("becomes an incident under its name, is not told anew, and ends once", () =>
    team(async ({ memory, slack, heard, run }) => {
      memory.isDown = true
      await run("03:17", [down("api")])
      await run("03:27", [down("api")])
      memory.isDown = false
      expect(await run("03:37", [down("api")])).toMatchObject({ told: "done", messages: 0 })
      expect(memory.of("service/api")).toMatchObject({ key, state: "firing", detail: "answered 503" })
      await run("03:47", [down("api")])
      for (const at of ["03:57", "04:07", "04:17"]) await run(at, [up("api")])
      expect(titles({ slack }).map((title) => title?.slice(0, 12))).toEqual([
        ...["P1: service/", "P1: service/"],
        "recovered af",
      ])
      for (const words of heard()) expect(words).toContain(`key \`${key}\``)
      expect(memory.kept()).toHaveLength(1)
    }))

  it("is told to be worse when it is", () =>
    team(async ({ memory, slack, run }) => {
      memory.isDown = true
      await run("03:17", [down("api")])
      memory.isDown = false
      await run("03:37", [down("api", { severity: "P0" })])
      expect(titles({ slack })).toEqual(["P1: service/api is down", "P0"])
    }))

  it("keeps its name for hours, also when the looks no longer reach back to its beginning", () =>
    team(async ({ memory, heard, run }) => {
      memory.isDown = true
      const lately = new Map<string, { at: Date; outcome: Outcome }[]>()
      for (let minute = 0; minute < 300; minute += 15) {
        const time = new Date(Date.parse("2026-03-01T03:17:00Z") + minute * 60_000)
        await run(time.toISOString().slice(11, 16), [down("api")], { recent: lately })
        const rows = lately.get("service/api") ?? []
        lately.set("service/api", [...rows, { at: time, outcome: "fail" as const }].slice(-4))
      }
      expect(heard()).toHaveLength(20)
      for (const words of heard()) expect(words).toContain(`key \`${key}\``)
    }))

  it("that two names were given to is told once when open already under another", () =>
    team(async ({ memory, heard, run }) => {
      memory.isDown = true
      await run("03:17", [down("api")])
      memory.isDown = false
      const blind = { readNotes: async (): Promise<UnkeptNotes> => ({ notes: [], from: "nowhere", isDoubtful: true }) }
      expect(await run("03:27", [down("api")], { ...blind, recent: new Map() })).toMatchObject({ caughtUp: "nowhere" })
      expect(heard()[1]).toContain("may be a repeat")
      await run("03:37", [down("api")])
      for (const at of ["03:47", "03:57", "04:07"]) await run(at, [up("api")])
      expect(memory.kept()).toMatchObject([{ key: "service/api@2026-03-01T03:27Z", aliases: [key], state: "closed" }])
      expect(heard()).toHaveLength(3)
      expect(heard()[2]).toContain(key)
    }))
})

describe("what cannot be written down after the event", () => {
  it("is tried again by the next run, and told once", () =>
    team(async ({ memory, slack, run }) => {
      memory.isDown = true
      await run("03:17", [down("api")])
      for (const at of ["03:27", "03:37"]) await run(at, [up("api")])
      memory.isDown = false
      memory.next("open", "fails")
      expect(await run("03:47", [up("api")])).toMatchObject({
        told: expect.stringMatching(
          /^failed \(what was told of service\/api could not be written down after the event/,
        ),
        caughtUp: "nowhere",
      })
      await run("03:57", [up("api")])
      await run("04:07", [up("api")])
      expect(titles({ slack })).toEqual(["P1: service/api is down", "recovered after 10 min: service/api"])
    }))

  it("is there all the same when only the answer was lost", () =>
    team(async ({ memory, slack, run }) => {
      memory.isDown = true
      await run("03:17", [down("api")])
      memory.isDown = false
      memory.next("open", "works, but its answer is lost")
      for (const at of ["03:27", "03:37", "03:47"]) await run(at, [up("api")])
      expect([memory.kept().length, slack.received.length]).toEqual([1, 2])
    }))

  it("leaves alone what a person closed, until that is judged", () =>
    team(async ({ memory, run, left }) => {
      await run("03:17", [down("api")])
      memory.isDown = true
      await run("03:27", [down("api")])
      memory.isDown = false
      memory.closeByHand("service/api")
      await run("03:37", [up("api")])
      expect(left).toHaveLength(1)
      expect(memory.of("service/api")).toMatchObject({ state: "closed", resolved: { by: "a person" } })
    }))

  it("shows in a public repository no more than subject, outcome and times", () =>
    team(async ({ memory, heard, run }) => {
      memory.isDown = true
      await run("03:17", [down("api")], { isPublic: true })
      memory.isDown = false
      await run("03:27", [down("api")], { isPublic: true })
      expect(heard()[0]).toContain("503")
      expect(JSON.stringify([memory.kept(), memory.bodies(), memory.titles()])).not.toContain("503")
    }))
})

describe("what became worse, and cannot be written down", () => {
  const grave = down("api", { severity: "P0" })

  it("is told at once as what may be a repeat, and not told anew", () =>
    team(async ({ memory, slack, heard, run, left }) => {
      await run("03:17", [down("api")])
      memory.next("update", "fails")
      const { told } = await run("03:27", [grave])
      expect(told).toMatch(/^failed \(service\/api@.* could not be written down/)
      expect(titles({ slack })).toEqual(["P1: service/api is down", "P0"])
      expect(heard()[1]).toContain("P0, worse: service/api is down")
      expect(heard()[1]).toContain("may be a repeat")
      expect(heard()[1]).toContain(key)
      expect(left).toMatchObject([{ key, kind: "worse", ending: "sent" }])
      for (const at of ["03:37", "03:47"]) expect((await run(at, [grave])).messages).toBe(0)
      expect(memory.of("service/api")).toMatchObject({ said: { severity: "P0", outcome: "fail" } })
      for (const at of ["03:57", "04:07"]) await run(at, [up("api")])
      expect(slack.received).toHaveLength(3)
    }))

  it("is told again, once, when Slack's answer was lost as well", () =>
    team(async ({ memory, slack, heard, run }) => {
      await run("03:17", [down("api")])
      memory.next("update", "fails")
      slack.next("reset")
      await run("03:27", [grave])
      for (const at of ["03:37", "03:47"]) await run(at, [grave])
      expect(heard()).toHaveLength(2)
      expect(heard()[1]).toContain("P0, worse: service/api is down")
      expect(heard()[1]).toContain("may be a repeat")
    }))

  it("is told once also when it was written down and only the answer was lost", () =>
    team(async ({ memory, slack, run }) => {
      await run("03:17", [down("api")])
      memory.next("update", "works, but its answer is lost")
      await run("03:27", [grave])
      for (const at of ["03:37", "03:47"]) await run(at, [grave])
      expect(slack.received).toHaveLength(2)
      expect(memory.of("service/api").outbox).toMatchObject([{ state: "sent" }, { kind: "worse", state: "sent" }])
    }))

  it("leaves a reminder and an end to the next run", () =>
    team(async ({ memory, slack, run, left }) => {
      await run("03:17", [down("api")])
      memory.next("update", "fails")
      await run("04:27", [down("api")])
      expect([slack.received.length, left]).toEqual([1, []])
      await run("04:37", [down("api")])
      expect(slack.received).toHaveLength(2)
    }))
})

const minute = (number: number) => new Date(Date.parse("2026-03-01T00:00:00Z") + number * 60_000).toISOString()
const note = (changes: Partial<UnkeptNote> = {}): UnkeptNote => ({
  ...{ subject: "service/api", key: "service/api@2026-03-01T00:00Z", kind: "opened", severity: "P1", outcome: "fail" },
  ...{ detectedAt: minute(0), at: minute(0), ending: "sent" },
  ...changes,
})
const anyNotes = fc.array(
  fc.record({
    minutes: fc.integer({ min: 0, max: 300 }),
    ending: fc.constantFrom<UnkeptNote["ending"]>("sent", "lost", "refused"),
    kind: fc.constantFrom<UnkeptNote["kind"]>("opened", "worse", "flapping"),
    severity: fc.constantFrom<UnkeptNote["severity"]>("P0", "P1", "P2"),
    name: fc.constantFrom("a", "b"),
  }),
  { minLength: 1, maxLength: 12 },
)

describe("notes", () => {
  it("that are taken in, in whatever order they are read, are known from then on, and taken in once", async () => {
    await fc.assert(
      fc.asyncProperty(anyNotes, async (drawn) => {
        const notes = drawn.map(({ minutes, name, ...rest }) =>
          note({ ...rest, at: minute(minutes), key: `service/api@${name}` }),
        )
        const memory = memoryInTest()
        const desk = {
          ...{ memory, policy, recent: new Map(), now: new Date(minute(400)), isPublic: false },
          textOf: () => ({ title: "t", body: "b" }),
          signal: new AbortController().signal,
        }
        const first = await catchUp([], notes, desk)
        expect(first).toMatchObject({ isDone: true, problems: [] })
        expect(unknownNotes(notes, first.incidents)).toEqual([])
        const writes = memory.writes()
        expect((await catchUp(first.incidents, notes.toReversed(), desk)).incidents).toEqual(first.incidents)
        expect([memory.writes(), memory.kept().length]).toEqual([writes, 1])
        const [made] = memory.kept()
        expect(new Set([made?.key, ...(made?.aliases ?? [])])).toEqual(new Set(notes.map((one) => one.key)))
        const isHeard = notes.some(({ ending }) => ending === "sent")
        expect(made?.toldAt !== undefined).toBe(isHeard)
        expect(made?.outbox.some(({ kind, state }) => kind !== "worse" && state === "sent")).toBe(isHeard)
      }),
    )
  })

  it("make no incident with the name of one that is over", () => {
    const over = incidentOf({ key: note().key, state: "closed", closedAt: "2026-02-28T23:00:00.000Z" })
    const made = madeOf([note()], [{ incident: over }], { policy, recent: new Map(), isPublic: false })
    expect(made.key).toBe(`${note().key}.000000`)
    expect(made.aliases).toBeUndefined()
  })

  it("of an open incident say what was said of it by then, and leave what is to be said later", () => {
    const item = (id: string, kind: "opened" | "worse" | "still", at: string) => {
      return { id, kind, at, state: "pending" as const, tries: 0, channel: "slack" }
    }
    const open = incidentOf({
      outbox: [
        item("opened-1", "opened", minute(1)),
        item("still-2", "still", minute(2)),
        item("w-3", "worse", minute(9)),
      ],
    })
    const sight = { policy, recent: new Map() }
    expect(takeIn(open, [note({ at: minute(5) })], [], sight).outbox.map(({ state }) => state)).toEqual([
      ...["sent", "pending"],
      "pending",
    ])
  })

  it("name an outage only as long as the looks show that it is the same one", () => {
    const later = incidentOf({ subject: "service/api", key: "later", detectedAt: minute(60) })
    const row = (number: number, outcome: Outcome) => ({ at: new Date(minute(number)), outcome })
    const left = [note({ key: "first" }), note({ key: "other", subject: "service/web", at: minute(50) })]
    expect(namedAsTold(later, left, [row(0, "fail"), row(30, "unknown")])).toMatchObject({
      ...{ key: "first", detectedAt: minute(0) },
    })
    expect(namedAsTold(later, left, [row(0, "fail"), row(30, "ok")]).key).toBe("later")
    expect(namedAsTold(later, left, [row(30, "fail")]).key).toBe("later")
    expect(namedAsTold(later, [], [row(0, "fail")]).key).toBe("later")
  })
})
