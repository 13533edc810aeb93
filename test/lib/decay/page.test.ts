import { describe, expect, it } from "vitest"
import { judgeFailure, judgeOutcome, judgePlan } from "../../../lib/decay/judge.ts"
import { leavingRules } from "../../../lib/decay/leaving.ts"
import { renderSection } from "../../../lib/decay/page.ts"
import type { DecayPlan } from "../../../lib/decay/plan.ts"
import { describedRule, ruleOf } from "./play.ts"

const rule = describedRule({
  ...{ name: "fresh|ness", table: "items", column: "value", since: "at", halfLife: "1 day", where: "open -- now" },
  thresholds: [{ below: 0.2 }, { below: 0.1, action: "delete" }],
})
const plan: DecayPlan = {
  ...{ considered: 1200, leftAlone: 3, changed: 900 },
  thresholds: [
    { below: 0.2, crossing: 40, under: 300 },
    { below: 0.1, crossing: 5, under: 100 },
  ],
  histogram: { from: 0, to: 1, before: [0, 0, 0, 0, 0, 0, 0, 0, 200, 1000], after: [600, 600, 0, 0, 0, 0, 0, 0, 0, 0] },
  sample: [{ key: ["a@example.com", "<b>|"], before: "1", after: "0.5" }],
}
const verdict = {
  kind: "apply" as const,
  span: { from: 1, to: 2 },
  through: new Date("2026-01-02T00:00Z"),
  steps: 1,
  notes: [],
}
const applied = { changed: 901, crossed: [41, 5], marked: 0 }
const at = { database: "main", rule }

describe("the page", () => {
  it("shows keys where it is told to alone, and no markup of theirs works", () => {
    const dry = renderSection({
      ...at,
      plan,
      applied: undefined,
      showsKeys: true,
      lines: ["dry run: nothing was changed"],
    })
    expect(dry).toContain("### fresh\\|ness (main, public.items.value)")
    expect(dry).toContain("| would change | 900 |")
    expect(dry).toContain("&lt;b&gt;\\|")
    const real = renderSection({ ...at, plan, applied, showsKeys: false, lines: [] })
    expect(real).toContain("| planned to change | 900 |\n| changed | 901 |")
    expect(real).toContain("| fell to 0.2 or less (notify) | 41 |")
    expect(real).toContain("| before | after |\n| --- | --- |\n| 1 | 0.5 |")
    expect(real).not.toContain("example.com")
  })

  it("draws how the values lie, before and after", () => {
    const text = renderSection({ ...at, plan, applied, showsKeys: false, lines: [] })
    expect(text).toMatch(/^0 to 0\.1 +0 +600 #{12}$/m)
    expect(text).toMatch(/^0\.9 to 1 +1,000 #{20} +0$/m)
  })
})

describe("the findings", () => {
  it("count what really changed, and name each threshold that only counts", () => {
    expect(judgeOutcome(at, { kind: "applied", verdict, plan, applied })).toMatchObject([
      {
        ...{ subject: "database/main/decay/fresh|ness", outcome: "ok", runbook: "decay" },
        detail: expect.stringContaining("901 rows of 1,200 changed; 3 left alone"),
        facts: { considered: 1200, planned: 900, changed: 901, "crossed 0.2": 41, "under 0.1": 100, steps: 1 },
      },
      {
        subject: "database/main/decay/fresh|ness/0.2",
        outcome: "warn",
        detail: "41 rows fell to 0.2 or less; 300 are there now",
      },
    ])
    const calm = { ...applied, crossed: [0, 0] }
    expect(judgeOutcome(at, { kind: "applied", verdict, plan, applied: calm })[1]).toMatchObject({ outcome: "ok" })
  })

  it("of a dry run say what would be refused", () => {
    expect(judgePlan(at, { kind: "refuse", reason: "the clock" }, undefined)).toMatchObject([
      { outcome: "fail", detail: "dry run: it would be refused: the clock" },
    ])
    expect(judgePlan(at, verdict, plan)[0]?.detail).toContain("dry run: would change 900 rows of 1,200")
  })

  it("show no value that the server quotes", () => {
    const failure = (code: string, message: string) =>
      judgeFailure(at, Object.assign(new Error(message), { code }), { lockTimeoutMs: 10_000 }).detail
    expect(failure("22P02", 'invalid input syntax for type integer: "Ada"')).not.toContain("Ada")
    expect(failure("P0001", "no: Ada")).not.toContain("Ada")
    expect(failure("55P03", "canceling statement due to lock timeout")).toContain(
      "stayed locked by another session for 10.0 s",
    )
  })
})

it("rows that leave at a threshold are a rule of the cleanup, with the condition of the decay around it", () => {
  const { config } = ruleOf({
    name: "fading",
    table: "items",
    column: 'va"lue',
    since: "at",
    halfLife: "1 day",
    where: "open -- now",
    thresholds: [{ below: 0.1, action: "delete" }, { below: 0.2 }],
  })
  expect(leavingRules([config])).toMatchObject([
    {
      index: 0,
      decayRule: "fading",
      config: { name: "fading at 0.1 or less", action: "delete", where: '(\nopen -- now\n) and "va""lue" <= 0.1' },
    },
  ])
})
