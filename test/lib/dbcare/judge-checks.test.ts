import { describe, expect, it } from "vitest"
import { careSchema } from "../../../lib/config/care-schema.ts"
import type { CareCheck, CareItem } from "../../../lib/dbcare/check.ts"
import { renderChecksPage } from "../../../lib/dbcare/checks-page.ts"
import { judgeChecks, judgeReached, judgeUnreachable, summarizeChecks } from "../../../lib/dbcare/judge-checks.ts"
import type { CheckReport } from "../../../lib/dbcare/run-checks.ts"

const now = new Date("2026-03-29T04:00:00Z")
const check: CareCheck = {
  name: "unused-indexes",
  about: "indexes that nothing reads",
  needs: "nothing",
  threshold: {},
  severity: "P3",
  run: async () => ({ status: "done", looked: 0, items: [] }),
}
const item = (name: string, outcome: CareItem["outcome"] = "warn"): CareItem => ({
  item: name,
  outcome,
  detail: `${name} was never read`,
  evidence: { bytes: 8192 },
  remedy: { advice: "drop it", run: [`drop index ${name}`], undo: ["create index `odd` on t (a)"] },
})
const done = (items: CareItem[], notes: string[] = []): CheckReport => ({
  check,
  result: { status: "done", looked: 9, items, notes },
  durationMs: 12,
})
const judge = (reports: CheckReport[], care = {}, lastWeek?: Record<string, string[]>) =>
  judgeChecks("main", reports, { settings: careSchema.parse(care), now, lastWeek })
const findingOf = (...all: Parameters<typeof judge>) => judge(...all)[0]?.finding

describe("a check's finding", () => {
  it("is ok when nothing was found, and says at how many things it looked", () => {
    expect(findingOf([done([])])).toMatchObject({
      subject: "database/main/care/unused-indexes",
      outcome: "ok",
      detail: "9 things looked at, nothing found",
      runbook: "database-unused-indexes",
      severity: "P3",
    })
  })

  it("is as bad as the worst item, which comes first, and a failure is confirmed at once", () => {
    const found = findingOf([done([item("a"), item("b", "fail"), item("c"), item("d")])])
    expect(found).toMatchObject({ outcome: "fail", isConfirmed: true })
    expect(found?.detail).toBe("b: b was never read; a: a was never read; c: c was never read; and 1 more")
    expect(findingOf([done([item("a")])])?.isConfirmed).toBeUndefined()
  })

  it("is unknown, never ok, when the check could not look or broke", () => {
    const skipped = findingOf([{ check, result: { status: "skipped", reason: "reader may not" }, durationMs: 0 }])
    expect(skipped).toMatchObject({ outcome: "unknown", detail: "not looked at: reader may not" })
    const broke = findingOf([{ check, result: { status: "failed", reason: "timeout" }, durationMs: 0 }])
    expect(broke).toMatchObject({ outcome: "unknown", detail: "the check broke: timeout" })
  })

  it("says what is new, still there and fixed since last week, and nothing where nobody looked then", () => {
    const reports = [done([item("a"), item("b")])]
    expect(findingOf(reports, {}, { "unused-indexes": ["b", "gone"] })).toMatchObject({
      detail: expect.stringContaining("since last week 1 new, 1 still, 1 fixed"),
      facts: { new: 1, still: 1, fixed: 1, found: 2 },
    })
    expect(findingOf(reports, {}, { other: ["b"] })?.detail).not.toContain("last week")
  })

  it("takes the team's severity", () => {
    expect(findingOf([done([])], { checks: { "unused-indexes": { severity: "P1" } } })?.severity).toBe("P1")
  })
})

describe("what is known", () => {
  const entry = { check: "unused-indexes", item: "a", until: "2026-03-30", reason: "the report of May needs it" }

  it("is set aside up to the day before its end", () => {
    expect(findingOf([done([item("a")])], { ignore: [entry] })).toMatchObject({
      outcome: "ok",
      detail: "9 things looked at, nothing found; 1 known item set aside",
      facts: { ignored: 1, found: 0 },
    })
    const over = findingOf([done([item("a")])], { ignore: [{ ...entry, until: "2026-03-29" }] })
    expect(over).toMatchObject({
      outcome: "warn",
      detail: expect.stringContaining("care.ignore of a ended on 2026-03-29"),
    })
  })

  it("is to be removed when it is not found any more", () => {
    expect(findingOf([done([])], { ignore: [entry] })?.detail).toContain(
      "care.ignore names a, which is not found any more",
    )
  })

  it("of another check does not count", () => {
    expect(findingOf([done([item("a")])], { ignore: [{ ...entry, check: "sequences" }] })?.outcome).toBe("warn")
  })
})

describe("the page", () => {
  it("shows each item with evidence, remedy and its undoing, and what was set aside with the reason", () => {
    const ignore = [{ check: "unused-indexes", item: "b", until: "2027-01-01", reason: "known | @team" }]
    const page = renderChecksPage("main", judge([done([item("a"), item("b")], ["young statistics"])], { ignore }, {}))
    expect(page).toContain("evidence: bytes 8192")
    expect(page).toContain("run: `drop index a`")
    expect(page).toContain("undo: `` create index `odd` on t (a) ``")
    expect(page).toContain("set aside until 2027-01-01: b (known \\| @<!-- -->team)")
    expect(page).toContain("note: young statistics")
  })
})

it("a database that cannot be asked is a failure, and one that can ends it", () => {
  const gone = judgeUnreachable("main", new Error("connection refused"))
  const back = judgeReached("main", [done([])])
  expect(gone).toMatchObject({ subject: "database/main/care", outcome: "fail" })
  expect(back).toMatchObject({ subject: "database/main/care", outcome: "ok", detail: "1 of 1 check asked in 12 ms" })
  expect(summarizeChecks([gone, back])).toBe(
    "2 checks: 1 ok, 1 fail; database/main/care: nothing could be asked: connection refused",
  )
})
