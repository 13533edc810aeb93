import { describe, expect, it } from "vitest"
import { rememberMs } from "../../../lib/incident/policy.ts"
import { defaultPolicy, down, slow, unseen, up, watch } from "../../support/watch.ts"

const api = "service/api"

const ack = (night: ReturnType<typeof watch>, fromMinute: number, toMinute: number) =>
  night.change(api, (one) => ({
    ...one,
    ack: { by: "ada", at: night.timeOf(fromMinute).toISOString(), until: night.timeOf(toMinute).toISOString() },
  }))
const silence = (night: ReturnType<typeof watch>, fromMinute: number, toMinute: number) =>
  night.change(api, (one) => ({
    ...one,
    silence: {
      ...{ by: "ada", at: night.timeOf(fromMinute).toISOString(), until: night.timeOf(toMinute).toISOString() },
      reason: "known",
    },
  }))

describe("acknowledged", () => {
  it("nobody is reminded until it runs out, and then once", () => {
    const night = watch()
    night.run(0, [down(api)])
    ack(night, 10, 10 + 5 * 60)
    for (let minute = 30; minute < 400; minute += 30) night.run(minute, [down(api)])
    expect(night.heard.map(({ at, kind }) => `${kind} ${at.toISOString().slice(11, 16)}`)).toEqual([
      "opened 00:00",
      "still 05:30",
    ])
  })

  it("its end is said even when all reminders were", () => {
    const night = watch({ policy: { ...defaultPolicy, remindersMs: [] } })
    night.run(0, [down(api)])
    ack(night, 10, 60)
    night.run(90, [down(api)])
    night.run(120, [down(api)])
    expect(night.news()).toEqual(["opened service/api", "still service/api"])
  })

  it("people still hear that it is worse, and that it is over", () => {
    const night = watch()
    night.run(0, [slow(api)])
    night.run(5, [slow(api)])
    ack(night, 10, 600)
    night.run(15, [down(api)])
    for (const minute of [20, 25]) night.run(minute, [up(api)])
    expect(night.news()).toEqual(["opened service/api", "worse service/api", "recovered service/api"])
  })
})

describe("silenced", () => {
  it("nothing is said but that it is over", () => {
    const night = watch()
    night.run(0, [slow(api)])
    night.run(5, [slow(api)])
    silence(night, 10, 600)
    for (let minute = 15; minute < 500; minute += 30) night.run(minute, [down(api)])
    expect(night.news()).toEqual(["opened service/api"])
    for (const minute of [510, 515]) night.run(minute, [up(api)])
    expect(night.news()).toEqual(["recovered service/api"])
  })

  it("what is still bad afterwards is said, with how bad it became", () => {
    const night = watch()
    night.run(0, [slow(api)])
    night.run(5, [slow(api)])
    silence(night, 10, 60)
    night.run(30, [down(api)])
    night.run(65, [down(api)])
    expect(night.news()).toEqual(["opened service/api", "worse service/api"])
  })

  it("it holds for the next incident of the subject, which is told when it ends", () => {
    const night = watch()
    night.run(0, [down(api)])
    silence(night, 1, 120)
    for (const minute of [5, 10]) night.run(minute, [up(api)])
    night.run(30, [down(api)])
    expect(night.news()).toEqual(["opened service/api", "recovered service/api"])
    night.run(125, [down(api)])
    expect(night.news()).toEqual(["opened service/api"])
    for (const minute of [130, 135]) night.run(minute, [up(api)])
    expect(night.news()).toEqual(["recovered service/api"])
  })

  it("what began and ended meanwhile is never said", () => {
    const night = watch()
    night.run(0, [down(api)])
    silence(night, 1, 120)
    for (const minute of [5, 10]) night.run(minute, [up(api)])
    night.news()
    night.run(30, [down(api)])
    for (const minute of [35, 40, 130]) night.run(minute, [up(api)])
    expect(night.news()).toEqual([])
  })
})

describe("in a maintenance window", () => {
  const inMaintenance = true

  it("nothing opens, and what is still bad when it ends opens at once", () => {
    const night = watch()
    night.run(0, [down(api, { inMaintenance })])
    night.run(30, [down(api, { inMaintenance, isConfirmed: false })])
    expect(night.incidents()).toEqual([])
    night.run(60, [down(api, { isConfirmed: false })])
    expect(night.news()).toEqual(["opened service/api"])
  })

  it("a bad look does not count once it was good again", () => {
    const night = watch()
    night.run(0, [down(api, { inMaintenance })])
    night.run(30, [up(api, { inMaintenance })])
    night.run(60, [down(api, { isConfirmed: false })])
    expect(night.incidents()).toEqual([])
  })

  it("an open incident stays as it is", () => {
    const night = watch()
    night.run(0, [down(api)])
    const before = night.incidents()
    expect(night.run(90, [up(api, { inMaintenance })]).actions).toEqual([])
    expect(night.run(120, [down(api, { inMaintenance })]).actions).toEqual([])
    expect(night.incidents()).toEqual(before)
  })

  it("what depends on it waits with it", () => {
    const night = watch()
    const web = down("service/web", { cause: api })
    night.run(0, [down(api, { inMaintenance }), web])
    expect(night.incidents()).toEqual([])
    night.run(30, [up(api), down("service/web")])
    expect(night.news()).toEqual(["opened service/web"])
  })
})

describe("closed by a person while it is bad", () => {
  const closeByHand = (night: ReturnType<typeof watch>) =>
    night.change(api, (one) => ({ ...one, isClosedByPerson: true }))

  it("it opens again once, and the second time stays closed for a day", () => {
    const night = watch()
    night.run(0, [down(api)])
    closeByHand(night)
    const { actions } = night.run(10, [down(api)])
    expect(actions).toMatchObject([{ kind: "reopen", incident: { state: "firing", reopened: 1 } }])
    expect(night.newest(api)).not.toHaveProperty("isClosedByPerson")
    closeByHand(night)
    for (let minute = 20; minute < 24 * 60; minute += 20) night.run(minute, [down(api)])
    expect(night.news()).toEqual(["opened service/api", "reopened service/api"])
    expect(night.open()).toEqual([])
    night.run(24 * 60 + 30, [down(api)])
    expect(night.news()).toEqual(["opened service/api"])
    expect(rememberMs(defaultPolicy)).toBe(24 * 3_600_000)
  })

  it("a new failure after it was well is a new incident", () => {
    const night = watch()
    night.run(0, [down(api)])
    closeByHand(night)
    night.run(10, [down(api)])
    closeByHand(night)
    night.run(20, [down(api)])
    for (const minute of [30, 40]) night.run(minute, [up(api)])
    night.news()
    night.run(60, [down(api)])
    expect(night.news()).toEqual(["opened service/api"])
  })

  it("a command to resolve it counts the same", () => {
    const night = watch()
    const resolve = (minute: number) => {
      const at = night.timeOf(minute).toISOString()
      night.change(api, (one) => ({ ...one, state: "closed", closedAt: at, resolved: { by: "ada", at, reason: "x" } }))
    }
    night.run(0, [down(api)])
    resolve(5)
    night.run(10, [down(api)])
    expect(night.newest(api)).toMatchObject({ state: "firing", reopened: 1 })
    expect(Object.keys(night.newest(api))).not.toContain("closedAt")
    expect(Object.keys(night.newest(api))).not.toContain("resolved")
    resolve(15)
    night.run(20, [down(api)])
    expect(night.news()).toEqual(["opened service/api", "reopened service/api"])
  })

  it("it just closes when it is good, and waits while nobody can say", () => {
    const night = watch()
    night.run(0, [down(api)])
    closeByHand(night)
    expect(night.run(5, [unseen(api)]).actions).toEqual([])
    night.run(10, [up(api)])
    expect(night.newest(api)).toMatchObject({ state: "closed", resolved: { by: "a person" } })
    expect(night.news()).toEqual(["opened service/api", "recovered service/api"])
  })
})
