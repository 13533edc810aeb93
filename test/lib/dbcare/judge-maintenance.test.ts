import { describe, expect, it } from "vitest"
import type { ActionEnd, ActionOutcome, MaintenanceAction } from "../../../lib/dbcare/actions.ts"
import { judgeMaintenance, judgeRehearsal, maintenanceRecords } from "../../../lib/dbcare/judge-maintenance.ts"
import type { Maintenance } from "../../../lib/dbcare/maintain.ts"
import { renderMaintenancePage } from "../../../lib/dbcare/maintenance-page.ts"

const server: Maintenance["server"] = {
  ...{
    versionNumber: 150_014,
    role: "keeper",
    isReplica: false,
    databaseBytes: 1,
    vacuumThreshold: 50,
    vacuumScale: 0.2,
  },
  ...{ vacuumMaxThreshold: null, insertThreshold: 1000, insertScale: 0.2, analyzeThreshold: 50, analyzeScale: 0.1 },
  ...{ freezeMaxAge: 2e8, multixactFreezeMaxAge: 4e8, tempFileLimitBytes: -1 },
}
const kinds = ["vacuum", "analyze"] as const

describe("the findings of a run", () => {
  it.each<[ActionEnd, string]>([
    ["done", "ok"],
    ["gone", "ok"],
    ["blocked", "warn"],
    ["violated", "warn"],
    ["failed", "fail"],
  ])("tell of an action that ended as %s: %s", (end, outcome) => {
    const findings = judgeMaintenance("main", after([ended(analyze("a"), end)]), kinds)
    expect(findings.find(({ subject }) => subject.endsWith("/analyze"))?.outcome).toBe(outcome)
    expect(findings.find(({ subject }) => subject.endsWith("/vacuum"))).toMatchObject({ outcome: "ok" })
  })

  it("put what the server refused with what the plan already missed, into one warning", () => {
    const notDone = [{ action: "vacuum" as const, target: "public.b", reason: "not owner of b", isRight: true }]
    const findings = judgeMaintenance("main", after([ended(analyze("a"), "refused")], { notDone }), kinds)
    expect(findings.filter(({ outcome }) => outcome !== "ok")).toMatchObject([
      { subject: "database/main/maintenance/rights", outcome: "warn", facts: { missing: 2 } },
    ])
  })

  it("name what was left for the next run, and fail when the run broke", () => {
    const left = [analyze("a"), analyze("b")]
    const late = judgeMaintenance("main", after([], { left }), kinds)
    expect(late[0]).toMatchObject({
      outcome: "warn",
      detail: expect.stringContaining("left for the next run: analyze public.a; analyze public.b"),
    })
    const broken = judgeMaintenance("main", after([], { left, error: new Error("the lock is lost") }), kinds)
    expect(broken[0]).toMatchObject({
      outcome: "fail",
      detail: expect.stringContaining("2 not begun: the lock is lost"),
    })
  })

  it("name at most eight things in a sentence", () => {
    const many = Array.from({ length: 20 }, (_, at) => ended(analyze(`t${at}`), "done"))
    const detail = judgeMaintenance("main", after(many), kinds).at(-1)?.detail
    expect(detail).toContain("public.t7 ")
    expect(detail).toMatch(/and 12 more$/)
  })

  it("warn of what stands in the way, in a dry run too", () => {
    const notDone = [{ action: "vacuum" as const, target: "public.b", reason: "no room", isRight: false }]
    const findings = judgeRehearsal("main", after([], { notDone }), kinds)
    expect(findings.find(({ subject }) => subject.endsWith("vacuum"))).toMatchObject({
      outcome: "warn",
      detail: "dry run: nothing is due; in the way: public.b: no room",
    })
  })
})

describe("the page", () => {
  it("is a table of statements and what came of them, in which no name opens markup", () => {
    const action = analyze("a|b<i>")
    const page = renderMaintenancePage("main", { ...after([ended(action, "done")]), plan: planOf([action]) }, false)
    expect(page).toContain("| analyze | public.a\\|b&lt;i&gt; | never analysed | ANALYZE x | done: said (1.2 s) |")
    expect(renderMaintenancePage("main", { ...after([]), plan: planOf([action]) }, true)).toMatch(
      /^### Maintenance of main: the plan, nothing was changed\n[\s\S]*\| planned \|/,
    )
    expect(renderMaintenancePage("main", after([]), false)).toContain("Nothing is due")
  })

  it("has what was not to be done, and what could not be known", () => {
    const plan = {
      ...planOf([]),
      notDone: [{ action: "reindex" as const, target: "x", reason: "no room", isRight: false }],
      notes: ["unknown"],
    }
    const page = renderMaintenancePage("main", { ...after([]), plan }, false)
    expect(page).toContain("| reindex | x | no room |")
    expect(page).toContain("unknown")
  })
})

it("a record holds the action, its end and its sizes", () => {
  const outcome = { ...ended(analyze("a"), "done"), beforeBytes: 10, afterBytes: 4 }
  expect(maintenanceRecords("main", after([outcome]), { now: new Date(0), run: "r1" })).toEqual([
    {
      stream: "maintenance/main.jsonl",
      row: {
        ...{ type: "maintenance", at: "1970-01-01T00:00:00.000Z", action: "analyze", target: "public.a", end: "done" },
        ...{ durationMs: 1234, run: "r1", beforeBytes: 10, afterBytes: 4 },
      },
    },
  ])
})

function analyze(name: string): MaintenanceAction {
  const table = { oid: "1", schema: "public", name }
  return {
    action: "analyze",
    table,
    target: `public.${name}`,
    statement: "ANALYZE x",
    reason: "never analysed",
    need: 1,
  }
}

function ended(action: MaintenanceAction, end: ActionEnd): ActionOutcome {
  return { action, end, detail: "said", durationMs: 1234 }
}

function planOf(actions: MaintenanceAction[]): Maintenance["plan"] {
  return { actions, notDone: [], notes: [] }
}

function after(
  outcomes: ActionOutcome[],
  {
    notDone = [],
    left = [],
    error,
  }: { notDone?: Maintenance["plan"]["notDone"]; left?: MaintenanceAction[]; error?: Error } = {},
): Maintenance {
  const plan = { ...planOf(outcomes.map(({ action }) => action)), notDone }
  return { server, plan, outcomes, left, ...(error && { error }) }
}
