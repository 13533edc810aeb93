import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { Finding } from "../../../lib/core/finding.ts"
import type { Outcome } from "../../../lib/core/outcome.ts"
import type { Policy } from "../../../lib/incident/policy.ts"
import { tellIncidents } from "../../../lib/incident/tell.ts"
import type { UnkeptNote } from "../../../lib/incident/unkept-note.ts"
import type { SlackMessage } from "../../../lib/notify/slack-message.ts"
import { NotTaken } from "../../../lib/notify/undelivered.ts"
import { memoryInTest } from "./memory-in-test.ts"

const hourMs = 3_600_000
const policy: Policy = {
  confirmRuns: 2,
  confirmOf: 3,
  closeRuns: 2,
  remindersMs: [hourMs, 4 * hourMs],
  flapCount: 50,
  flapWindowMs: 6 * hourMs,
  digestEveryMs: 6 * hourMs,
}

const names = ["api", "web"] as const
const slackAnswers = ["ok", "ok", "ok", "refused", "arrives, unknown", "lost, unknown"] as const
const memoryAnswers = ["works", "works", "works", "fails", "works, but its answer is lost"] as const

/** One run: how each service is, how Slack answers each message, how the memory answers each call, and whether notes can be read. */
const tick = fc.record({
  outcomes: fc.tuple(...names.map(() => fc.constantFrom<Outcome>("ok", "ok", "fail", "fail", "unknown"))),
  slack: fc.array(fc.constantFrom(...slackAnswers), { minLength: 4, maxLength: 4 }),
  list: fc.constantFrom(...memoryAnswers),
  open: fc.array(fc.constantFrom(...memoryAnswers), { maxLength: 3 }),
  update: fc.array(fc.constantFrom(...memoryAnswers), { maxLength: 6 }),
  hasNotes: fc.constantFrom(true, true, false),
})

type Tick = typeof tick extends fc.Arbitrary<infer T> ? T : never
type Arrival = { keys: string[]; isRepeat: boolean; isOver: boolean; isOpening: boolean; run: number }

/** What arrived in the channel over all these runs, and the memory at the end, after a calm day. */
async function live(ticks: readonly Tick[]) {
  const memory = memoryInTest()
  const recent = new Map<string, { at: Date; outcome: Outcome }[]>()
  const arrivals: Arrival[] = []
  const calm: Tick = { outcomes: ["ok", "ok"], slack: [], list: "works", open: [], update: [], hasNotes: true }
  const left: UnkeptNote[] = []
  for (const [run, { outcomes, slack, list, open, update, hasNotes }] of [...ticks, calm, calm, calm, calm].entries()) {
    const now = new Date(Date.parse("2026-03-01T00:07:00Z") + run * 15 * 60_000)
    const answers = [...slack]
    memory.next("list", list)
    memory.next("open", ...open)
    memory.next("update", ...update)
    const send = async (message: SlackMessage) => {
      const answer = answers.shift() ?? "ok"
      if (answer === "refused") throw new NotTaken("refused")
      if (answer !== "lost, unknown") arrivals.push({ ...read(message), run })
      if (answer !== "ok") throw new Error("no answer")
    }
    const findings = names.map((name, at): Finding => {
      const outcome = outcomes[at] ?? "ok"
      return { subject: `service/${name}`, outcome, detail: `${name}: ${outcome}`, isConfirmed: outcome === "fail" }
    })
    let told: readonly UnkeptNote[] = []
    await tellIncidents({
      readNotes: async () => ({
        ...{ notes: hasNotes ? [...left] : [], from: hasNotes ? ("all" as const) : ("nowhere" as const) },
        isDoubtful: !hasNotes,
      }),
      leave: (notes) => {
        told = notes
      },
      ...{ memory, send, policy, findings, recent: new Map(recent), now, isPublic: false },
      app: { name: "PrepPilot", environment: "production" },
      runbookAddress: (name) => name,
      signal: new AbortController().signal,
    })
    left.push(...told)
    for (const { subject, outcome } of findings)
      recent.set(subject, [...(recent.get(subject) ?? []), { at: now, outcome }].slice(-14))
  }
  return { memory, arrivals }
}

function read({ blocks }: SlackMessage): Omit<Arrival, "run"> {
  const words = JSON.stringify(blocks)
  const title = blocks[0]?.type === "header" ? blocks[0].text.text : ""
  return {
    keys: [...words.matchAll(/key `([^`]+)`/g)].map(([, key = ""]) => key),
    isRepeat: words.includes("may be a repeat"),
    isOver: /recovered|closed by/.test(title),
    isOpening: !/recovered|closed by|still|worse/.test(title),
  }
}

describe("telling, whatever fails", () => {
  it("says an opening and an end once unless it says that it may be a repeat, at most once a run, and loses nothing", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(tick, { minLength: 1, maxLength: 30 }), async (ticks) => {
        const { memory, arrivals } = await live(ticks)
        for (const is of ["isOpening", "isOver"] as const) {
          const said = arrivals
            .filter((arrival) => arrival[is])
            .flatMap(({ keys, ...rest }) => keys.map((key) => ({ key, ...rest })))
          for (const [key, same] of Map.groupBy(said, ({ key }) => key)) {
            expect(same.filter(({ isRepeat }) => !isRepeat).length, `${is} ${key}`).toBeLessThanOrEqual(1)
            expect(
              same.slice(1).every(({ isRepeat }) => isRepeat),
              `${is} ${key}: a repeat says so`,
            ).toBe(true)
            expect(new Set(same.map(({ run }) => run)).size, `${is} ${key}: once a run`).toBe(same.length)
          }
        }
        for (const key of new Set(arrivals.flatMap(({ keys, isOpening }) => (isOpening ? keys : [])))) {
          const isEnded = arrivals.some(({ keys, isOver }) => isOver && keys.includes(key))
          expect(isEnded, `${key} was told, wherever, and its end as well`).toBe(true)
        }
        for (const incident of memory.kept()) {
          expect(incident.state).toBe("closed")
          expect(incident.outbox.filter(({ state }) => state === "pending" || state === "sending")).toEqual([])
          if (incident.toldAt === undefined) continue
          const mine = arrivals.filter(({ keys }) => keys.includes(incident.key))
          expect(
            mine.some(({ isOver }) => isOver),
            `${incident.key} was told and is over`,
          ).toBe(true)
        }
      }),
      { numRuns: 300 },
    )
  })
})
