import fc from "fast-check"
import { expect, it } from "vitest"
import type { Finding } from "../../../lib/core/finding.ts"
import type { Incident } from "../../../lib/incident/incident.ts"
import type { Policy } from "../../../lib/incident/policy.ts"
import { isWorseLevel } from "../../../lib/incident/say.ts"
import { type Heard, hourMs, watch } from "../../support/watch.ts"

/*
 * Random sequences of looks at four subjects that depend on each other, of what people do, and of a channel that is down at times,
 * under random policies. After each run, and at the end, what must always hold is checked.
 */

const subjects = ["service/api", "service/db", "provider/host", "job/backup"] as const

const outcome = fc.oneof(
  { weight: 4, arbitrary: fc.constant("ok" as const) },
  { weight: 3, arbitrary: fc.constant("fail" as const) },
  { weight: 1, arbitrary: fc.constantFrom("warn" as const, "unknown" as const) },
)

const finding = (subject: string): fc.Arbitrary<Finding> =>
  fc.record(
    {
      subject: fc.constant(subject),
      outcome,
      detail: fc.constant("as seen"),
      isConfirmed: fc.boolean(),
      severity: fc.constantFrom("P0" as const, "P1" as const, "P2" as const),
      cause: fc.constantFrom(...subjects),
      inMaintenance: fc.integer({ min: 0, max: 9 }).map((one) => one === 0),
    },
    { requiredKeys: ["subject", "outcome", "detail"] },
  )

const person = fc.constantFrom("ack", "silence", "close by hand", "resolve", undefined, undefined, undefined, undefined)

const step = fc.record({
  gapMinutes: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 60, max: 600 })),
  findings: fc.subarray([...subjects], { minLength: 1 }).chain((names) => fc.tuple(...names.map(finding))),
  person: fc.tuple(person, fc.constantFrom(...subjects), fc.integer({ min: 1, max: 600 })),
  isSlackUp: fc.integer({ min: 0, max: 4 }).map((one) => one > 0),
})

const policy: fc.Arbitrary<Policy> = fc.record({
  confirmRuns: fc.integer({ min: 1, max: 3 }),
  confirmOf: fc.integer({ min: 3, max: 4 }),
  closeRuns: fc.integer({ min: 1, max: 3 }),
  remindersMs: fc.array(
    fc.integer({ min: 1, max: 72 }).map((hours) => hours * hourMs),
    { maxLength: 4 },
  ),
  flapCount: fc.integer({ min: 2, max: 4 }),
  flapWindowMs: fc.constantFrom(hourMs, 6 * hourMs),
  digestEveryMs: fc.constantFrom(hourMs, 6 * hourMs),
})

const story = fc.record({ policy, steps: fc.array(step, { minLength: 1, maxLength: 60 }) })
type Story = typeof story extends fc.Arbitrary<infer T> ? T : never
type Night = ReturnType<typeof watch>

/** Plays a story and asks `check` after each run. */
function play(
  { policy, steps }: Story,
  check: (night: Night, findings: readonly Finding[], before: readonly Incident[], heard: readonly Heard[]) => void,
): Night {
  let isUp = true
  const night = watch({ policy, isSlackUp: () => isUp })
  let minute = 0
  for (const { gapMinutes, findings, person, isSlackUp } of steps) {
    isUp = isSlackUp
    act(night, minute, ...person)
    minute += gapMinutes
    const before = night.incidents()
    const known = night.heard.length
    night.run(minute, findings)
    check(night, findings, before, night.heard.slice(known))
  }
  return night
}

function act(
  night: Night,
  minute: number,
  what: Story["steps"][number]["person"][0],
  subject: string,
  minutes: number,
) {
  const at = night.timeOf(minute).toISOString()
  const until = night.timeOf(minute + minutes).toISOString()
  if (what === "ack") night.change(subject, (one) => ({ ...one, ack: { by: "ada", at, until } }))
  if (what === "silence") night.change(subject, (one) => ({ ...one, silence: { by: "ada", at, until, reason: "x" } }))
  if (what === "close by hand") night.change(subject, (one) => ({ ...one, isClosedByPerson: true }))
  if (what === "resolve")
    night.change(subject, (one) => ({
      ...one,
      state: "closed",
      closedAt: at,
      resolved: { by: "ada", at, reason: "x" },
    }))
}

const runs = { numRuns: 300 }

it("has at most one open incident a subject, and names no two alike", () => {
  fc.assert(
    fc.property(story, (tale) => {
      play(tale, (night) => {
        const open = night.open().map(({ subject }) => subject)
        expect(new Set(open).size).toBe(open.length)
        const keys = night.incidents().map(({ key }) => key)
        expect(new Set(keys).size).toBe(keys.length)
      })
    }),
    runs,
  )
})

it("says recovered once, first where nobody could be told before, and nothing afterwards", () => {
  fc.assert(
    fc.property(story, (tale) => {
      const night = play(tale, () => undefined)
      for (const incident of night.incidents()) {
        const kinds = night.heard.filter(({ key }) => key === incident.key).map(({ kind }) => kind)
        if (kinds.length === 0) continue
        expect(["opened", "flapping", "reopened", "recovered"]).toContain(kinds[0])
        expect(kinds.filter((kind) => kind === "opened" || kind === "flapping").length).toBeLessThanOrEqual(1)
        expect(kinds.filter((kind) => kind === "recovered").length).toBeLessThanOrEqual(1)
        expect([-1, kinds.length - 1]).toContain(kinds.indexOf("recovered"))
      }
    }),
    runs,
  )
})

it("says nothing without an incident, and writes down whatever it says", () => {
  fc.assert(
    fc.property(story, (tale) => {
      play(tale, (night, _findings, _before, heard) => {
        const kept = new Set(night.incidents().map(({ key }) => key))
        expect(heard.every(({ key }) => kept.has(key))).toBe(true)
        const ids = night.incidents().flatMap(({ key, outbox }) => outbox.map(({ id }) => `${key} ${id}`))
        expect(new Set(ids).size).toBe(ids.length)
      })
    }),
    runs,
  )
})

it("changes nothing about what nobody could see or what is in its maintenance window", () => {
  fc.assert(
    fc.property(story, (tale) => {
      play(tale, (night, findings, before) => {
        const isBlind = findings.every((finding) => finding.outcome === "unknown" || finding.inMaintenance)
        if (isBlind) expect(withoutMarks(night.incidents())).toEqual(withoutMarks(before))
      })
    }),
    runs,
  )
})

it("does nothing when the same run is reconciled again", () => {
  fc.assert(
    fc.property(story, (tale) => {
      let minute = 0
      const night = watch({ policy: tale.policy })
      for (const { gapMinutes, findings, person } of tale.steps) {
        act(night, minute, ...person)
        minute += gapMinutes
        const before = new Map(night.recent)
        night.run(minute, findings)
        const after = new Map(night.recent)
        night.recent.clear()
        for (const [subject, rows] of before) night.recent.set(subject, rows)
        expect(night.run(minute, findings).actions).toEqual([])
        for (const [subject, rows] of after) night.recent.set(subject, rows)
      }
    }),
    runs,
  )
})

it("keeps quiet where somebody asked for it: while acknowledged only worse is said, while silenced nothing, but that it is over", () => {
  fc.assert(
    fc.property(story, (tale) => {
      play(tale, (_night, _findings, before, heard) => {
        for (const { at, kind, key } of heard) {
          const incident = before.find((one) => one.key === key)
          const isNew = incident?.outbox.every(({ state }) => state !== "pending")
          if (!incident || !isNew || kind === "recovered") continue
          expect(Date.parse(incident.silence?.until ?? "1970-01-01")).toBeLessThanOrEqual(at.getTime())
          if (kind !== "worse")
            expect(Date.parse(incident.ack?.until ?? "1970-01-01")).toBeLessThanOrEqual(at.getTime())
        }
      })
    }),
    runs,
  )
})

it("says nothing twice for one change: worse only when it is worse than was said, and one thing a run", () => {
  fc.assert(
    fc.property(story, (tale) => {
      play(tale, (night, _findings, before, heard) => {
        const keys = heard.map(({ key }) => key)
        expect(new Set(keys).size).toBe(keys.length)
        for (const { key } of heard.filter(({ kind }) => kind === "worse")) {
          const [was, is] = [before, night.incidents()].map((list) => list.find((one) => one.key === key))
          const isWaiting = was?.outbox.some(({ state }) => state === "pending")
          if (was?.said && is && !isWaiting) expect(isWorseLevel(is, was.said)).toBe(true)
        }
      })
    }),
    runs,
  )
})

it("tells a bad stretch exactly once, whatever the gaps, and its end exactly once", () => {
  const stretch = fc.record({
    policy,
    good: fc.array(fc.integer({ min: 1, max: 600 }), { maxLength: 5 }),
    bad: fc.array(fc.integer({ min: 1, max: 600 }), { minLength: 4, maxLength: 30 }),
    blind: fc.array(fc.boolean(), { minLength: 30, maxLength: 30 }),
    isConfirmed: fc.boolean(),
  })
  fc.assert(
    fc.property(stretch, ({ policy, good, bad, blind, isConfirmed }) => {
      const night = watch({ policy })
      let minute = 0
      const look = (gap: number, outcome: Finding["outcome"]) => {
        minute += gap
        night.run(minute, [
          { subject: "service/api", outcome, detail: "x", isConfirmed: isConfirmed && outcome === "fail" },
        ])
      }
      for (const gap of good) look(gap, "ok")
      for (const [at, gap] of bad.entries()) {
        if (blind[at]) look(1, "unknown")
        look(gap, "fail")
      }
      const first = night.heard.map(({ kind }) => kind)
      expect(first.filter((kind) => kind === "opened")).toHaveLength(1)
      expect(first.filter((kind) => kind !== "opened" && kind !== "still")).toEqual([])
      expect(first.length).toBeLessThanOrEqual(1 + policy.remindersMs.length)
      for (let times = 0; times < policy.closeRuns; times++) look(10, "ok")
      expect(night.heard.filter(({ kind }) => kind === "recovered")).toHaveLength(1)
      expect(night.open()).toEqual([])
    }),
    runs,
  )
})

it("ends its reminders", () => {
  fc.assert(
    fc.property(story, (tale) => {
      const night = play(tale, () => undefined)
      for (const { name } of subjects.map((name) => ({ name }))) {
        let minute = 100_000
        for (let looks = 0; looks < 20; looks++, minute += 24 * 60)
          night.run(minute, [{ subject: name, outcome: "fail", detail: "x", isConfirmed: true, severity: "P0" }])
        const known = night.heard.length
        for (let looks = 0; looks < 20; looks++, minute += 24 * 60)
          night.run(minute, [{ subject: name, outcome: "fail", detail: "x", isConfirmed: true, severity: "P0" }])
        expect(night.heard.slice(known).filter(({ subject }) => subject === name)).toEqual([])
      }
    }),
    { numRuns: 50 },
  )
})

/** What is kept, but for how its messages fared. */
function withoutMarks(incidents: readonly Incident[]): unknown[] {
  return incidents.map(({ outbox: _outbox, ...rest }) => rest)
}
