import { describe, expect, it } from "vitest"
import { type KnownIncident, type Policy, type Recent, reconcile } from "../../../lib/incident/reconcile.ts"
import type { CheckResult } from "../../../lib/service/check.ts"
import { judgeExpiry, severityOfExpiry } from "../../../lib/service/expiry.ts"
import { serviceFinding } from "../../../lib/service/findings.ts"
import type { Look } from "../../../lib/service/look.ts"
import { service } from "./around.ts"

const dayMs = 24 * 3600 * 1000

function look(daysLeft: number, failureClass: "certificate" | "threshold" = "certificate"): Look {
  const outcome = judgeExpiry(daysLeft)
  const result: CheckResult = {
    ...{ outcome, detail: `${daysLeft} days`, timings: { totalMs: 1 }, numbers: { daysLeft } },
    ...(outcome !== "ok" && { failure: { class: failureClass } }),
  }
  const own = service({ name: "cert", severity: undefined })
  return { service: own, at: new Date(0), result, tries: 1, isConfirmed: outcome === "fail" }
}

const policy: Policy = {
  ...{ confirmRuns: 2, confirmOf: 3, closeRuns: 2, remindersMs: [1, 4, 24, 72].map((hours) => hours * 3600 * 1000) },
  ...{ flapCount: 3, flapWindowMs: dayMs / 4, digestEveryMs: dayMs / 4 },
}

/** What people hear of a certificate that nobody renews, with the days that it has left, looked at twice a day. */
function heard(): string[] {
  const told: string[] = []
  let incidents: KnownIncident[] = []
  const rows: { at: Date; outcome: "ok" | "warn" | "fail" | "unknown" }[] = []
  for (let half = 70; half >= -4; half--) {
    const now = new Date(Date.UTC(2026, 11, 31) - half * (dayMs / 2))
    const finding = serviceFinding(look(Math.floor(half / 2)))
    const recent: Recent = new Map([["service/cert", rows.slice()]])
    const { actions, sayings } = reconcile([finding], recent, incidents, policy, now)
    for (const { kind } of sayings) told.push(`${kind} at ${Math.floor(half / 2)}`)
    if (actions.length > 0)
      incidents = actions.map(({ incident }) => ({ ...incident, toldAt: now.toISOString(), outbox: [] }))
    rows.push({ at: now, outcome: finding.outcome })
  }
  return told.filter((text) => !text.startsWith("still"))
}

describe("what runs out", () => {
  it("is told at 30, 14, 7 and 1 days, not once a month before and then at the end", () => {
    expect(heard()).toEqual(["opened at 30", "worse at 14", "worse at 7", "worse at 1"])
  })

  it.each([
    [31, undefined, undefined],
    [30, "P3", "P3"],
    [14, "P2", "P3"],
    [7, "P1", "P3"],
    [1, "P0", "P2"],
    [-3, "P0", "P2"],
  ])("with %i days left is %s, and %s where it is a nuisance at most", (daysLeft, usual, nuisance) => {
    expect([severityOfExpiry(daysLeft, "P1"), severityOfExpiry(daysLeft, "P3")]).toEqual([usual, nuisance])
  })

  it("leaves the severity to the configuration at 7 days, and where something else is wrong", () => {
    expect(serviceFinding(look(5))).not.toHaveProperty("severity")
    expect(serviceFinding(look(20, "threshold"))).not.toHaveProperty("severity")
    expect(serviceFinding(look(20))).toMatchObject({ outcome: "warn", severity: "P3" })
  })
})
