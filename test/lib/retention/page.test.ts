import { describe, expect, it } from "vitest"
import type { CleanupPlan } from "../../../lib/retention/contract.ts"
import { type Ended, judgeApplied, judgePlan, judgeReport } from "../../../lib/retention/findings.ts"
import { renderCleanupPage } from "../../../lib/retention/page.ts"
import { parseRule, planOf } from "../../support/planned-rule.ts"
import { withDatabase } from "../../support/postgres.ts"

const rule = { name: "old | <b>", table: "logs", column: "at", olderThan: "1 day", where: "body <> '</pre>'" }
const ended: Ended = { removed: 2, batches: 1, left: 0, heldBack: 0, notes: [] }

const withPlan = (fn: (plan: CleanupPlan) => void) =>
  withDatabase(
    `create table logs (id text primary key, at timestamptz, body text);
     insert into logs values ('a|b', '2026-01-01', 'x'), ('<img>', '2026-01-02', 'y'), ('new', '2027-01-01', 'z')`,
    async (database) => fn(await planOf(database, rule)),
  )

describe("the page", () => {
  it("shows the plan, how a batch finds its rows and then what changed; names and keys open no markup", () =>
    withPlan((plan) => {
      const page = renderCleanupPage("main", [{ plan, ended }])
      expect(page).toContain("### Cleanup of main: the plan")
      expect(page).toContain(
        "| old \\| &lt;b&gt; | delete | public.logs | 2 | 66.7 % | 2026-01-01T00:00:00Z | 2026-01-02T00:00:00Z | 0 | 0 |",
      )
      expect(page).toContain("- such as the keys a\\|b; &lt;img&gt;")
      expect(page).toContain("### Cleanup of main: what changed")
      expect(page).toContain("| old \\| &lt;b&gt; | 2 | 1 | 0 | 0 | done |")
      expect(page).toContain("body &lt;&gt; '&lt;/pre&gt;'")
      expect(page).not.toMatch(/<(?!\/?(details|summary|pre)>)/)
      expect(renderCleanupPage("main", [{ plan: { ...plan, sampleKeys: [] } }])).not.toMatch(/keys|what changed/)
    }))

  it("is empty where there is nothing to show", () => {
    expect(renderCleanupPage("main", [])).toBe("")
  })
})

describe("the findings", () => {
  it("are red where rows are left that should not be, and where the apply failed", () =>
    withPlan((plan) => {
      const judge = (more: Partial<Ended>, limit?: number) => judgeApplied("main", plan, { ...ended, ...more }, limit)
      expect(judge({})).toMatchObject({ outcome: "ok", detail: "deleted 2 rows of public.logs", runbook: "cleanup" })
      expect(judge({ removed: 1, left: 1 })).toMatchObject({ outcome: "fail" })
      expect(judge({ removed: 1, left: 1, stopped: "rows are locked by pid 7" })).toMatchObject({
        outcome: "warn",
        detail: "deleted 1 row of public.logs; 1 row still matches: rows are locked by pid 7",
      })
      expect(judge({ removed: 1, left: 1 }, 1)).toMatchObject({ outcome: "ok" })
      expect(judge({ removed: 1, left: 1, failure: "the connection broke" })).toMatchObject({
        outcome: "fail",
        detail: "stopped: the connection broke; deleted 1 row of public.logs; 1 row still matches",
      })
    }))

  it("never hold a key of a row", () =>
    withPlan((plan) => {
      for (const finding of [
        judgePlan("main", plan),
        judgePlan("main", { ...plan, refusals: ["no"] }),
        judgeApplied("main", plan, ended, undefined),
      ])
        expect(JSON.stringify(finding)).not.toMatch(/img|a\|b/)
    }))

  it("of a report warn from as many rows on as the rule says", () =>
    withPlan((plan) => {
      const report = { ...plan, action: "report" as const }
      expect(judgeReport("main", report, parseRule({ ...rule, warnAt: 3 })).outcome).toBe("ok")
      expect(judgeReport("main", report, parseRule({ ...rule, warnAt: 2 })).outcome).toBe("warn")
      expect(judgeReport("main", { ...report, count: 0 }, parseRule(rule))).toMatchObject({
        outcome: "ok",
        detail: "no row of public.logs",
      })
    }))
})
