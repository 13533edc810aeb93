import { describe, expect, it } from "vitest"
import { type Cleared, parcelsOf } from "../../../lib/incident/deliver.ts"
import type { MessageKind, OutboxItem } from "../../../lib/incident/incident.ts"
import { prepare, settle } from "../../../lib/incident/outbox.ts"
import { closed, incidentOf } from "./examples.ts"

const now = new Date("2026-03-01T04:00:00Z")

function item(kind: MessageKind, changes: Partial<OutboxItem> = {}): OutboxItem {
  const at = "2026-03-01T03:17:00.000Z"
  return { id: `${kind}-1`, kind, at, state: "pending", tries: 0, channel: "slack", ...changes }
}

/** The states in which the messages of an incident are written down before any is sent. */
function statesOf(items: OutboxItem[], changes = {}, at = now): string[] {
  return prepare(incidentOf({ outbox: items, ...changes }), at, true).incident.outbox.map(({ state }) => state)
}

describe("what is to be said", () => {
  it("is marked before it is sent, and known as a repeat when it was marked before", () => {
    const { incident, due } = prepare(
      incidentOf({ outbox: [item("opened"), item("worse", { state: "sending" })] }),
      now,
      true,
    )
    expect(incident.outbox).toMatchObject([
      { state: "sending", tries: 1, triedAt: now.toISOString() },
      { state: "sending", tries: 1 },
    ])
    expect(due.map(({ mayBeRepeat }) => mayBeRepeat)).toEqual([false, true])
  })

  it("changes nothing when there is nothing", () => {
    const incident = incidentOf({ outbox: [item("opened", { state: "sent" }), item("worse", { state: "given up" })] })
    expect(prepare(incident, now, true).incident).toBe(incident)
  })

  it.each([
    ["a reminder of what is closed", [item("still")], closed],
    ["that it became worse, when it is over", [item("worse")], closed],
    [
      "a reminder to who is at it",
      [item("still")],
      { ack: { by: "a", at: now.toISOString(), until: "2026-03-01T09:00:00.000Z" } },
    ],
    ["a recovery of long ago", [item("recovered", { at: "2026-02-27T03:17:00.000Z" })], closed],
  ])("is not %s", (_what, items, changes) => {
    expect(statesOf(items, changes)).toEqual(["given up"])
  })

  it("is of two reminders the later one", () => {
    expect(statesOf([item("still"), item("still", { id: "still-2" })])).toEqual(["given up", "sending"])
  })

  it("is for a week that something opened, and never for ever", () => {
    expect(statesOf([item("opened")], {}, new Date("2026-03-08T03:17:00Z"))).toEqual(["sending"])
    expect(statesOf([item("opened")], {}, new Date("2026-03-08T03:18:00Z"))).toEqual(["given up"])
  })

  it("is left to a run that may be sending it at this moment", () => {
    const busy = (triedAt: string) => item("opened", { state: "sending", triedAt, tries: 1 })
    expect(prepare(incidentOf({ outbox: [busy("2026-03-01T03:58:00.000Z")] }), now, true).due).toEqual([])
    expect(prepare(incidentOf({ outbox: [busy("2026-03-01T03:57:00.000Z")] }), now, true).due).toHaveLength(1)
  })
})

describe("the end of a try", () => {
  const sending = incidentOf({ outbox: [item("opened", { state: "sending", triedAt: now.toISOString(), tries: 1 })] })

  it("is noted with its time when it arrived", () => {
    expect(settle(sending, ["opened-1"], "sent", now)).toMatchObject({
      ...{ toldAt: now.toISOString(), outbox: [{ state: "sent", sentAt: now.toISOString() }] },
      timeline: [{ what: "told: opened" }],
    })
  })

  it("leaves it to the next run when it did not", () => {
    for (const [ending, mayBeRepeat] of [["refused", false] as const, ["lost", true] as const]) {
      const settled = settle(sending, ["opened-1"], ending, now)
      expect(settled.toldAt).toBeUndefined()
      expect(prepare(settled, now, true).due).toMatchObject([{ mayBeRepeat }])
    }
  })
})

describe("the messages of one run", () => {
  const cleared = (name: string, items: OutboxItem[], changes = {}): Cleared => {
    const incident = incidentOf({ subject: name, key: `${name}@x`, outbox: items, ...changes })
    const stored = { incident, id: name, isClosedByPerson: false }
    return { stored, shown: incident, due: items.map((one) => ({ item: one, mayBeRepeat: false })) }
  }
  const said = (all: Cleared[], unkept = {}) =>
    parcelsOf(all, Object.values(unkept)).map(({ notice }) => [
      notice.kind,
      notice.about.map((a) => a.incident.subject),
    ])

  it("are one for a group, worst first, recoveries last", () => {
    const together = item("opened", { group: "g" })
    expect(
      said([
        cleared("r", [item("recovered")], closed),
        cleared("a", [together]),
        cleared("b", [together]),
        cleared("z", [item("opened")], { severity: "P0" }),
      ]),
    ).toEqual([
      ["opened", ["z"]],
      ["opened", ["a", "b"]],
      ["recovered", ["r"]],
    ])
  })

  it("are never many of one kind", () => {
    const many = Array.from({ length: 40 }, (_, at) => cleared(`s${at}`, [item("opened")]))
    expect(said(many)).toHaveLength(1)
    expect(said(many.slice(0, 5))).toHaveLength(5)
  })

  it("have what could not be written down in one, with the group that it belongs to", () => {
    const grouped = {
      incident: incidentOf({ subject: "u" }),
      due: [{ item: item("opened", { group: "g" }), mayBeRepeat: false }],
      why: "502",
    }
    const alone = { ...grouped, due: [{ item: item("opened"), mayBeRepeat: false }] }
    expect(said([cleared("a", [item("opened", { group: "g" })])], { grouped })).toEqual([["opened", ["a", "u"]]])
    expect(said([], { grouped, alone })).toEqual([["opened", ["u", "u"]]])
  })
})
