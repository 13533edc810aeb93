import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { careSchema } from "../../../lib/config/care-schema.ts"
import { actionKinds } from "../../../lib/dbcare/actions.ts"
import type {
  ConstraintFacts,
  IndexFacts,
  MaintenanceState,
  ServerFacts,
  TableFacts,
} from "../../../lib/dbcare/maintenance-state.ts"
import { planMaintenance, rightsRemedy, wantedKinds } from "../../../lib/dbcare/plan-maintenance.ts"
import { needsFreeze, staleness, vacuumNeed } from "../../../lib/dbcare/vacuum-need.ts"

const server: ServerFacts = {
  ...{ versionNumber: 150_014, role: "keeper", isReplica: false, databaseBytes: 100_000_000 },
  ...{ vacuumThreshold: 50, vacuumScale: 0.2, vacuumMaxThreshold: null, insertThreshold: 1000, insertScale: 0.2 },
  ...{ analyzeThreshold: 50, analyzeScale: 0.1, freezeMaxAge: 200_000_000, multixactFreezeMaxAge: 400_000_000 },
  tempFileLimitBytes: -1,
}
const table: TableFacts = {
  ...{
    oid: "1",
    schema: "public",
    name: "events",
    kind: "r",
    owner: "app",
    owns: true,
    mayVacuum: true,
    mayReindex: true,
  },
  ...{ estimatedRows: 1000, liveRows: 1000, deadRows: 0, changedRows: 0, insertedRows: 0, wasAnalyzed: true },
  ...{ lagsBehindParts: false, transactionAge: 0, multixactAge: 0, options: [] },
}
const index: IndexFacts = {
  ...{
    oid: "10",
    tableOid: "1",
    schema: "public",
    name: "events_id",
    method: "btree",
    isValid: true,
    isPartial: false,
  },
  ...{ isExclusion: false, isBeingBuilt: false, definition: "f 1", sizeBytes: 10_000_000, estimatedRows: 1000 },
  ...{ fillFactor: 90, columns: [{ widthBytes: 8, nullShare: 0 }] },
}
const constraint: ConstraintFacts = {
  ...{ oid: "20", tableOid: "1", name: "known", kind: "c", expression: "(id > 0)", columns: ["id"], ofSchema: null },
  ...{ ofName: null, ofColumns: [], isMatchFull: false },
}
const care = careSchema.parse({})

describe("a vacuum", () => {
  it("is due a fifth beyond the number of dead rows at which autovacuum itself would act, and not before", () => {
    expect(vacuumNeed({ ...table, deadRows: 300 }, server)).toBeUndefined()
    expect(vacuumNeed({ ...table, deadRows: 301 }, server)?.reason).toBe("301 rows dead, autovacuum acts at 250")
  })

  it("goes by the table's own settings, and by the cap of newer servers", () => {
    const patient = { ...table, deadRows: 5000, options: ["autovacuum_vacuum_threshold=10000", "fillfactor=70"] }
    expect(vacuumNeed(patient, server)).toBeUndefined()
    const huge = { ...table, estimatedRows: 1e9, deadRows: 130_000_000 }
    expect(vacuumNeed(huge, server)).toBeUndefined()
    expect(vacuumNeed(huge, { ...server, vacuumMaxThreshold: 100_000_000 })).toBeDefined()
  })

  it("is due for many new rows as well, where the server counts them and nobody switched it off", () => {
    const grown = { ...table, insertedRows: 5000 }
    expect(vacuumNeed(grown, server)?.reason).toContain("new since the last VACUUM")
    expect(vacuumNeed(grown, { ...server, insertThreshold: -1 })).toBeUndefined()
    expect(vacuumNeed({ ...grown, insertedRows: null }, { ...server, insertThreshold: null })).toBeUndefined()
  })

  it("freezes from three quarters of the age at which autovacuum must, by transactions or by multixacts", () => {
    expect(needsFreeze({ ...table, transactionAge: 149_999_999 }, server)).toBeUndefined()
    expect(needsFreeze({ ...table, transactionAge: 150_000_000 }, server)?.reason).toBe(
      "its oldest row id is 150,000,000 transactions old, autovacuum must act at 200,000,000",
    )
    expect(needsFreeze({ ...table, multixactAge: 300_000_000 }, server)?.reason).toContain("multixacts old")
    const { actions } = plan({ tables: [{ ...table, transactionAge: 190_000_000 }] })
    expect(actions.map(({ statement }) => statement)).toEqual(['VACUUM (FREEZE) "public"."events"'])
  })
})

describe("an analyze", () => {
  it("is due for a table that never was analysed and has rows, and for more changes than autovacuum waits for", () => {
    expect(staleness({ ...table, wasAnalyzed: false }, server)?.reason).toBe("never analysed")
    expect(staleness({ ...table, wasAnalyzed: false, liveRows: 0 }, server)).toBeUndefined()
    expect(staleness({ ...table, changedRows: 150 }, server)).toBeUndefined()
    expect(staleness({ ...table, changedRows: 151 }, server)).toBeDefined()
  })
})

describe("a rebuild", () => {
  it("comes for more dead space than configured, the largest gain first and invalid ones before", () => {
    const small = { ...index, oid: "11", name: "small", sizeBytes: 1_000_000 }
    const broken = { ...index, oid: "12", name: "broken", isValid: false, sizeBytes: 8192, definition: "f 2" }
    const { actions } = plan({ indexes: [small, index, broken] })
    expect(actions.map(({ target }) => target)).toEqual(["public.broken", "public.events_id", "public.small"])
    expect(plan({ indexes: [index] }, { care: { ...care, bloatPercent: 100 } }).actions).toEqual([])
  })

  it("trusts what was measured over what was estimated", () => {
    expect(plan({ indexes: [{ ...index, measuredBytes: 9_000_000 }] }).actions).toEqual([])
    expect(plan({ indexes: [{ ...index, measuredBytes: 1_000_000 }] }).actions[0]?.reason).toBe(
      "90 % of its 10.0 MB is dead space (measured)",
    )
  })

  it("does not take a table for empty whose statistics were reset", () => {
    const reset = { ...table, wasAnalyzed: false, liveRows: 10, estimatedRows: 400_000 }
    expect(plan({ tables: [reset], indexes: [index] }, { kinds: ["reindex"] }).actions).toEqual([])
  })

  it("says what it cannot judge, and leaves kinds of index that it knows nothing of", () => {
    const blind = { ...index, columns: [{ widthBytes: null, nullShare: 0 }] }
    const gin = { ...index, name: "words", method: "gin", columns: [] }
    const { actions, notes } = plan({ indexes: [blind, gin] })
    expect([actions, notes]).toEqual([
      [],
      ["dead space of public.events_id cannot be told before ANALYZE has seen the table"],
    ])
  })

  it.each([
    [{ ...server, versionNumber: 110_000 }, index, "PostgreSQL 12"],
    [{ ...server, versionNumber: 140_003 }, index, "may corrupt"],
    [{ ...server, tempFileLimitBytes: 1000 }, index, "temp_file_limit"],
    [server, { ...index, isExclusion: true }, "exclusion constraint"],
    [server, { ...index, isValid: false, isBeingBuilt: true }, "being built"],
  ])("is refused with its reason: %#", (server, one, reason) => {
    const { actions, notDone } = plan({ server, indexes: [one] })
    expect([actions, notDone]).toEqual([[], [expect.objectContaining({ isRight: false })]])
    expect(notDone[0]?.reason).toContain(reason)
  })

  it("keeps within the limit of the provider's plan, and of one's own", () => {
    const full = { ...server, databaseBytes: 499_990_000 }
    const { notDone } = plan({ server: full, indexes: [index] }, { care: { ...care, plan: "supabase-free" } })
    expect(notDone[0]?.reason).toContain("of the 500 MB allowed")
    const unlimited = plan({ server: full, indexes: [index] })
    expect([unlimited.actions.length, unlimited.notes]).toEqual([
      1,
      [expect.stringMatching(/^the server's free disk cannot be seen: a rebuild needs up to .* beside the old index/)],
    ])
  })
})

describe("the plan", () => {
  it("names what the role may not do, each with the owner, and one remedy for all of it", () => {
    const foreign = {
      ...table,
      owner: "boss",
      owns: false,
      mayVacuum: false,
      mayReindex: false,
      deadRows: 5000,
      changedRows: 5000,
    }
    const state = { tables: [foreign], indexes: [index], constraints: [constraint] }
    const { actions, notDone } = plan(state)
    expect(actions).toEqual([])
    expect(notDone.map(({ action }) => action)).toEqual(["validate", "reindex", "vacuum", "analyze"])
    expect(new Set(notDone.map(({ reason }) => reason))).toEqual(
      new Set(["keeper is not owner of public.events (that is boss)"]),
    )
    expect(rightsRemedy(server, notDone)).toBe(
      'grant <owner> to "keeper", or give writeUrl the role that owns the tables',
    )
    const newer = { ...server, versionNumber: 170_002 }
    expect(rightsRemedy(newer, notDone)).toContain(
      'for vacuum, analyze and reindex alone: grant pg_maintain to "keeper"',
    )
    expect(rightsRemedy(newer, notDone.slice(1))).toBe('grant pg_maintain to "keeper"')
    expect(rightsRemedy(server, [])).toBeUndefined()
  })

  it("holds nothing that was not asked for", () => {
    expect(wantedKinds(["reindex", "vacuum"], undefined)).toEqual(["leftovers", "reindex", "vacuum"])
    expect(wantedKinds(["vacuum"], ["reindex", "vacuum"])).toEqual(["vacuum"])
    const other = { ...table, oid: "2", name: "other", deadRows: 5000 }
    const { actions } = plan({ tables: [{ ...table, deadRows: 5000 }, other] }, { table: "public.other" })
    expect(actions.map(({ target }) => target)).toEqual(["public.other"])
  })

  it("is in the order of the kinds, by need within, and never has a thing twice, whatever the state", () => {
    const tables = fc.array(
      fc.record({
        deadRows: fc.nat(10_000),
        changedRows: fc.nat(10_000),
        transactionAge: fc.nat(200_000_000),
        mayVacuum: fc.boolean(),
      }),
      { maxLength: 12 },
    )
    fc.assert(
      fc.property(tables, (facts) => {
        const all = facts.map((some, at) => ({ ...table, ...some, oid: String(at), name: `t${at}` }))
        const { actions, notDone } = plan({ tables: all })
        const order = actions.map(({ action }) => actionKinds.indexOf(action))
        expect(order).toEqual([...order].sort((a, b) => a - b))
        for (const kind of actionKinds) {
          const needs = actions.filter(({ action }) => action === kind).map(({ need }) => need)
          expect(needs).toEqual([...needs].sort((a, b) => b - a))
        }
        const keys = [...actions, ...notDone].map(({ action, target }) => `${action} ${target}`)
        expect(new Set(keys).size).toBe(keys.length)
        const due = all.flatMap((one) => (staleness(one, server) ? [one] : [])).length
        expect(keys.filter((key) => key.startsWith("analyze"))).toHaveLength(due)
      }),
    )
  })
})

type Wishes = Partial<Parameters<typeof planMaintenance>[1]>

function plan(state: Partial<MaintenanceState>, wishes: Wishes = {}) {
  const whole = { server, tables: [table], indexes: [], constraints: [], ...state }
  return planMaintenance(whole, { care, ...wishes })
}
