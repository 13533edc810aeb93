import { describe, expect, it } from "vitest"
import { incidentSchema } from "../../../lib/incident/incident.ts"
import { reconcile } from "../../../lib/incident/reconcile.ts"
import { defaultPolicy, down, shaky, slow, unseen, up, watch } from "../../support/watch.ts"

const api = "service/api"

describe("opening", () => {
  it("does nothing when nobody can say how things are", () => {
    const night = watch()
    night.run(0, [down(api)])
    const before = night.incidents()
    expect(night.run(5, [unseen(api)]).actions).toEqual([])
    expect(night.incidents()).toEqual(before)
    expect(watch().run(0, [unseen(api), up("service/web")])).toEqual({ actions: [], sayings: [] })
  })

  it("happens at once when the run itself made sure", () => {
    const night = watch()
    const { sayings } = night.run(17, [down(api, { class: "timeout", runbook: "service-timeout", severity: "P0" })])
    expect(sayings).toMatchObject([{ kind: "opened", incidents: [{ subject: api }] }])
    expect(night.newest(api)).toMatchObject({
      ...{ key: "service/api@2026-03-01T00:17Z", severity: "P0", outcome: "fail", class: "timeout", state: "firing" },
      ...{ detectedAt: "2026-03-01T00:17:00.000Z", openedAt: "2026-03-01T00:17:00.000Z", runbook: "service-timeout" },
    })
    expect(incidentSchema.parse(night.newest(api))).toEqual(night.newest(api))
  })

  it("waits for a second bad look of the last three where one look may be a chance, and knows when it began", () => {
    const night = watch()
    night.run(0, [shaky(api)])
    expect(night.open()).toEqual([])
    night.run(5, [up(api)])
    night.run(10, [shaky(api)])
    expect(night.news()).toEqual(["opened service/api"])
    expect(night.newest(api).detectedAt).toBe("2026-03-01T00:00:00.000Z")
  })

  it("does not happen when the bad looks lie too far apart", () => {
    const night = watch()
    for (const minute of [0, 30, 60, 90]) {
      night.run(minute, [shaky(api)])
      night.run(minute + 10, [up(api)])
      night.run(minute + 20, [up(api)])
    }
    expect(night.incidents()).toEqual([])
  })

  it("of a warning about a service wants a second look, however sure the run was", () => {
    const night = watch()
    night.run(0, [{ ...slow(api), isConfirmed: true }])
    expect(night.open()).toEqual([])
    night.run(5, [slow(api)])
    expect(night.newest(api)).toMatchObject({ outcome: "warn", severity: "P2" })
  })

  it("of a job, or of what a nightly job is sure of, wants no second night; nor does its end", () => {
    const night = watch()
    const setup = "database/main/backup/setup"
    night.run(0, [shaky("job/backup"), { ...slow(setup), isConfirmed: true }])
    expect(night.news()).toEqual(["opened job/backup", `opened ${setup}`])
    expect(night.newest(setup).severity).toBe("P3")
    night.run(1440, [up("job/backup"), up(setup, { isConfirmed: true })])
    expect(night.news()).toEqual(["recovered job/backup", `recovered ${setup}`])
  })

  it("counts what it could not see neither as good nor as bad", () => {
    const night = watch()
    night.run(0, [shaky(api)])
    for (const minute of [5, 10, 15]) night.run(minute, [unseen(api)])
    night.run(20, [shaky(api)])
    expect(night.news()).toEqual(["opened service/api"])
    night.run(25, [up(api)])
    night.run(30, [unseen(api)])
    expect(night.newest(api)).toMatchObject({ state: "recovering", goodRuns: 1 })
    night.run(35, [up(api)])
    expect(night.news()).toEqual(["recovered service/api"])
  })

  it("of several subjects in one run is one message, the worst first", () => {
    const night = watch()
    const { sayings } = night.run(0, [down("job/decay"), down("service/web", { severity: "P0" }), down(api)])
    expect(sayings).toHaveLength(1)
    expect(sayings[0]?.incidents.map(({ subject }) => subject)).toEqual(["service/web", api, "job/decay"])
    expect(new Set(night.heard.map(({ message }) => message)).size).toBe(1)
    const groups = night.incidents().map(({ outbox }) => outbox[0]?.group)
    expect(new Set(groups)).toEqual(new Set(["opened@2026-03-01T00:00:00.000Z"]))
  })

  it("takes the worst of several findings about one subject", () => {
    const night = watch()
    night.run(0, [up(api), down(api), unseen(api)])
    expect(night.news()).toEqual(["opened service/api"])
  })
})

describe("the same run twice", () => {
  it.each([["opening", [down(api), down("service/db", { cause: api })]] as const, ["closing", [up(api)]] as const])(
    "does nothing the second time when %s",
    (_name, findings) => {
      const night = watch()
      night.run(0, [down(api)])
      night.run(5, [up(api)])
      night.run(10, [...findings])
      expect(night.run(10, [...findings]).actions).toEqual([])
      expect(night.run(9, [...findings]).actions).toEqual([])
    },
  )
})

describe("an open incident", () => {
  it("closes after two good looks in a row, and says so once", () => {
    const night = watch()
    night.run(0, [down(api)])
    night.run(5, [up(api)])
    night.run(10, [down(api)])
    night.run(15, [up(api)])
    expect(night.news()).toEqual(["opened service/api"])
    const { actions } = night.run(20, [up(api)])
    expect(actions).toMatchObject([{ kind: "close", incident: { closedAt: "2026-03-01T00:20:00.000Z" } }])
    night.run(25, [up(api)])
    expect(night.news()).toEqual(["recovered service/api"])
    expect(night.newest(api).timeline.map(({ what }) => what)).toEqual(
      expect.arrayContaining(["detected", "opened", "recovered"]),
    )
  })

  it("is said to be worse at once, and better without a word", () => {
    const night = watch()
    night.run(0, [slow(api)])
    night.run(5, [slow(api)])
    night.run(10, [down(api)])
    expect(night.newest(api)).toMatchObject({ outcome: "fail", severity: "P1", detail: "service/api does not answer" })
    night.run(15, [slow(api)])
    expect(night.newest(api)).toMatchObject({ outcome: "warn", severity: "P2" })
    night.run(20, [down(api)])
    expect(night.news()).toEqual(["opened service/api", "worse service/api"])
  })

  it("is not worse for one failure that may be a chance", () => {
    const night = watch()
    night.run(0, [slow(api)])
    night.run(5, [slow(api)])
    night.run(10, [shaky(api)])
    expect(night.newest(api)).toMatchObject({ outcome: "warn", severity: "P2", detail: "it is slow" })
    night.run(15, [shaky(api)])
    expect(night.news()).toEqual(["opened service/api", "worse service/api"])
  })

  it("is reminded of at growing gaps, and then never again", () => {
    const night = watch()
    for (let minute = 0; minute <= 10 * 24 * 60; minute += 30) night.run(minute, [down(api)])
    const hours = night.heard.map(({ at, kind }) => `${kind} ${(at.getTime() - night.timeOf(0).getTime()) / 3_600_000}`)
    expect(hours).toEqual(["opened 0", "still 1", "still 4", "still 24", "still 72"])
  })

  it("is reminded of once when the schedule left out several reminders", () => {
    const night = watch()
    night.run(0, [down(api)])
    night.run(30 * 60, [down(api)])
    night.run(30 * 60 + 5, [down(api)])
    expect(night.news()).toEqual(["opened service/api", "still service/api"])
    expect(night.newest(api).reminders).toBe(3)
  })

  it("is told as it is then when its opening could not be sent before", () => {
    let isUp = false
    const night = watch({ isSlackUp: () => isUp })
    night.run(0, [slow(api)])
    night.run(5, [slow(api)])
    night.run(70, [down(api)])
    isUp = true
    night.run(75, [down(api)])
    expect(night.news()).toEqual(["opened service/api"])
    night.run(80, [down(api)])
    expect(night.news()).toEqual([])
  })

  it("that nobody could be told of is told when it is over, once", () => {
    let isUp = false
    const night = watch({ isSlackUp: () => isUp })
    night.run(0, [down(api)])
    night.run(5, [up(api)])
    night.run(10, [up(api)])
    isUp = true
    night.run(15, [up(api)])
    expect(night.news()).toEqual(["recovered service/api"])
    night.run(20, [up(api)])
    expect(night.news()).toEqual([])
    const outbox = [{ kind: "opened", state: "given up" }, { kind: "recovered" }]
    expect(night.newest(api)).toMatchObject({ state: "closed", outbox })
  })

  it("whose message may have arrived is said to be over", () => {
    const night = watch({ isSlackUp: () => false })
    night.run(0, [down(api)])
    night.change(api, (one) => ({ ...one, outbox: one.outbox.map((item) => ({ ...item, state: "sending" as const })) }))
    night.run(5, [up(api)])
    const { sayings } = night.run(10, [up(api)])
    expect(sayings.map(({ kind }) => kind)).toEqual(["recovered"])
  })

  it("that two runs made at the same time stays once: the older one", () => {
    const [one, other] = [watch(), watch()]
    one.run(0, [down(api)])
    other.run(1, [down(api)])
    const both = [...other.incidents(), ...one.incidents()]
    const { actions, sayings } = reconcile([down(api)], new Map(), both, defaultPolicy, one.timeOf(5))
    expect(actions).toMatchObject([
      { kind: "close", incident: { key: "service/api@2026-03-01T00:01Z" } },
      { kind: "update", incident: { key: "service/api@2026-03-01T00:00Z", state: "firing" } },
    ])
    expect(sayings).toEqual([])
  })
})

describe("a policy of its own", () => {
  it("may open and close with one look", () => {
    const night = watch({ policy: { ...defaultPolicy, confirmRuns: 1, confirmOf: 1, closeRuns: 1 } })
    night.run(0, [slow(api)])
    night.run(5, [up(api)])
    expect(night.news()).toEqual(["opened service/api", "recovered service/api"])
  })

  it("gives severities by subject", () => {
    const night = watch({ policy: { ...defaultPolicy, severities: { "service/*": "P3", "service/api": "P0" } } })
    night.run(0, [down(api), down("service/blog")])
    expect(night.incidents().map(({ severity }) => severity)).toEqual(["P0", "P3"])
  })
})
