import { describe, expect, it } from "vitest"
import { closingComment, wantsPostmortem } from "../../../lib/incident/postmortem.ts"
import { closed, incidentOf } from "./examples.ts"

const full = incidentOf({
  ...closed,
  ack: { by: "ann", at: "2026-03-01T03:25:00.000Z", until: "2026-03-01T07:25:00.000Z" },
  outbox: [
    {
      id: "opened-1",
      kind: "opened",
      at: "2026-03-01T03:17:40.000Z",
      state: "sent",
      sentAt: "2026-03-01T03:18:00.000Z",
    },
  ],
  timeline: [
    { at: "2026-03-01T03:17:00.000Z", what: "detected" },
    { at: "2026-03-01T03:18:00.000Z", what: "told: opened" },
    { at: "2026-03-01T04:00:00.000Z", what: "recovered | @here", by: "@bob" },
  ],
})

describe("the comment of a closing", () => {
  it("is a postmortem with what is known filled in", () => {
    expect(closingComment(full, false)).toMatchSnapshot()
  })

  it("shows everyone times alone", () => {
    const comment = closingComment(full, true)
    expect(comment).toContain("| acknowledged | 2026-03-01 03:25 UTC | 8 min |")
    expect(comment).not.toMatch(/503|example|P1|bob/)
  })

  it("leaves open what nobody knows", () => {
    const comment = closingComment(incidentOf({ ...closed, about: { lastGood: "never" } }), false)
    expect(comment).toContain("| last good | not known |  |")
    expect(comment).toContain("| told | not known |  |")
    expect(comment).toContain("nobody acknowledged it")
  })

  it.each([
    ["a P0", { severity: "P0" }, true],
    ["a P2", { severity: "P2" }, false],
    ["a warning", { outcome: "warn" }, false],
    ["a drill", { subject: "drill/2026-03-01" }, false],
    ["what is open", { state: "firing", closedAt: undefined }, false],
    ["what was closed as a double", { lastGoodAt: undefined }, false],
    [
      "what a person closed",
      { lastGoodAt: undefined, resolved: { by: "ann", at: closed.closedAt, reason: "gone" } },
      true,
    ],
  ])("of %s has the skeleton: %j gives %s", (_what, changes, isWanted) => {
    const incident = incidentOf({ ...closed, ...changes })
    expect(wantsPostmortem(incident)).toBe(isWanted)
    expect(closingComment(incident, false, "because").includes("## Postmortem")).toBe(isWanted)
  })
})
