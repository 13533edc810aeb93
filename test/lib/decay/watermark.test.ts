import { describe, expect, it } from "vitest"
import { definitionOf, judgeSlot, type Question, type Watermark } from "../../../lib/decay/watermark.ts"
import { describedRule, type RuleInput } from "./play.ts"

const input: RuleInput = { name: "fading", table: "items", column: "value", since: "at", halfLife: "3 days" }
const at = (text: string) => new Date(text)
const mark = (through: string, of: RuleInput = input, name = of.name): Watermark => {
  return { rule: name, appliedThrough: at(through), definition: definitionOf(describedRule(of)), runId: "run-1" }
}
const judge = (of: RuleInput, slot: string, watermarks: Watermark[], more: Partial<Question> = {}) =>
  judgeSlot(describedRule(of), {
    slot: at(slot),
    watermarks,
    ruleNames: [of.name],
    catchUp: false,
    recorded: new Map(),
    ...more,
  })

describe("a rule without a base", () => {
  it("goes on from its watermark, for the whole steps since then", () => {
    expect(judge(input, "2026-01-14T03:00Z", [mark("2026-01-01T00:00Z")])).toMatchObject({
      ...{ kind: "apply", steps: 13, through: at("2026-01-14T00:00Z"), notes: [] },
      span: { from: 20_454, to: 20_467 },
    })
  })

  it("is done when no step began since, and refused when the slot lies before", () => {
    expect(judge(input, "2026-01-01T23:59Z", [mark("2026-01-01T00:00Z")])).toMatchObject({ kind: "done" })
    expect(judge(input, "2025-12-31T23:59Z", [mark("2026-01-01T00:00Z")])).toMatchObject({ kind: "refuse" })
  })

  it("counts from the rows' own times when it was never applied, and says so", () => {
    expect(judge(input, "2026-01-14T03:00Z", [])).toMatchObject({
      ...{ kind: "apply", steps: undefined, notes: ["first run: the age of each row counts from its at"] },
      span: { from: undefined },
    })
  })

  it("says which settings changed, in whatever words they were written, and does not begin anew for that", () => {
    const verdict = judge({ ...input, halfLife: "2 days", floor: 0.1 }, "2026-01-02T03:00Z", [
      mark("2026-01-01T00:00Z"),
    ])
    expect(verdict).toMatchObject({
      steps: 1,
      notes: ["settings changed since the last run: halfLife, floor (they count for these steps)"],
    })
    expect(judge({ ...input, halfLife: "72 hours" }, "2026-01-02T03:00Z", [mark("2026-01-01T00:00Z")])).toMatchObject({
      notes: [],
    })
  })

  it("is refused for another column under the same name, and under another name for the same column", () => {
    const other = judge({ ...input, column: "worth" }, "2026-01-02T03:00Z", [mark("2026-01-01T00:00Z")])
    expect(other).toMatchObject({
      kind: "refuse",
      reason: expect.stringContaining("was about public.items.value before"),
    })
    const renamed = judge({ ...input, name: "fade" }, "2026-01-02T03:00Z", [mark("2026-01-01T00:00Z")])
    expect(renamed).toMatchObject({
      kind: "refuse",
      reason: expect.stringContaining("set rule = 'fade' where rule = 'fading'"),
    })
    const second = judge({ ...input, name: "fade" }, "2026-01-02T03:00Z", [mark("2026-01-01T00:00Z")], {
      ruleNames: ["fade", "fading"],
    })
    expect(second).toMatchObject({ kind: "apply" })
  })

  it("is refused when the ledger knows of it and the database does not, until the watermark is put back by hand", () => {
    const recorded = new Map([["fading", { through: at("2026-01-01T00:00Z"), runId: "run-9" }]])
    const lost = judge(input, "2026-01-02T03:00Z", [], { recorded })
    expect(lost).toMatchObject({
      kind: "refuse",
      reason: expect.stringContaining("run run-9 applied the rule through 2026-01-01"),
    })
    const byHand = { ...mark("2026-01-01T00:00Z"), definition: {} }
    expect(judge(input, "2026-01-02T03:00Z", [byHand], { recorded })).toMatchObject({
      kind: "apply",
      steps: 1,
      notes: [],
    })
  })
})

describe("a rule with a base", () => {
  const closed: RuleInput = { ...input, base: "start" }

  it("computes all from the base, and the same slot again when its settings changed", () => {
    expect(judge(closed, "2026-01-02T03:00Z", [mark("2026-01-01T00:00Z", closed)])).toMatchObject({
      span: { from: undefined },
      steps: 1,
    })
    expect(judge({ ...closed, ceiling: 1 }, "2026-01-01T03:00Z", [mark("2026-01-01T00:00Z", closed)])).toMatchObject({
      kind: "apply",
      steps: 0,
    })
    expect(judge(closed, "2026-01-01T03:00Z", [mark("2026-01-01T00:00Z", closed)])).toMatchObject({ kind: "done" })
  })

  it("may be renamed, and may lose its watermark", () => {
    const recorded = new Map([["fading", { through: at("2026-01-01T00:00Z"), runId: "run-9" }]])
    expect(judge(closed, "2026-01-02T03:00Z", [], { recorded })).toMatchObject({ kind: "apply" })
    expect(judge({ ...closed, name: "fade" }, "2026-01-02T03:00Z", [mark("2026-01-01T00:00Z", closed)])).toMatchObject({
      kind: "apply",
    })
  })
})

it("asks before it catches up on more than the rule says, by the length of its steps", () => {
  const hourly: RuleInput = { ...input, every: "1 hour", maxCatchUp: "2 hours" }
  const from = [mark("2026-01-01T00:00Z", hourly)]
  expect(judge(hourly, "2026-01-01T02:59Z", from)).toMatchObject({ kind: "apply", steps: 2 })
  expect(judge(hourly, "2026-01-01T03:00Z", from)).toMatchObject({
    kind: "refuse",
    reason: expect.stringContaining("3 steps are due"),
  })
  expect(judge(hourly, "2026-01-01T03:00Z", from, { catchUp: true })).toMatchObject({ kind: "apply", steps: 3 })
})
