import type { CareConfig } from "../config/care-schema.ts"
import { formatBytes } from "../core/size.ts"
import { quoteName, quoteTable, renderTableName } from "../postgres/name.ts"
import { type ActionKind, actionKinds, type MaintenancePlan, type NotDone } from "./actions.ts"
import { judgeBloat, worthBytes } from "./index-bloat.ts"
import { leftoverBase } from "./leftovers.ts"
import type { ConstraintFacts, IndexFacts, MaintenanceState, ServerFacts, TableFacts } from "./maintenance-state.ts"
import { plans } from "./plans.ts"
import { needsFreeze, staleness, vacuumNeed } from "./vacuum-need.ts"
import { violationQueries } from "./validate.ts"

export type PlanWishes = {
  care: Pick<CareConfig, "actions" | "bloatPercent" | "limits" | "plan">
  /** These kinds of action alone. */
  kinds?: CareConfig["actions"] | undefined
  /** One table alone, such as `public.events`. */
  table?: string | undefined
}

/** What is due of a database, what of it this role may not do, and what cannot be known: in the order in which it is done. Pure. */
export function planMaintenance(state: MaintenanceState, wishes: PlanWishes): MaintenancePlan {
  const { care, table } = wishes
  const plan: MaintenancePlan = { actions: [], notDone: [], notes: [] }
  const kinds = wantedKinds(care.actions, wishes.kinds)
  const tables = state.tables.filter((one) => table === undefined || renderTableName(one) === table)
  const byOid = new Map(tables.map((one) => [one.oid, one]))
  const indexes = state.indexes.filter(({ tableOid }) => byOid.has(tableOid))
  const draft: Draft = { ...plan, server: state.server, byOid }
  if (kinds.includes("leftovers")) planLeftovers(draft, indexes)
  if (kinds.includes("validate")) planValidate(draft, state.constraints)
  if (kinds.includes("reindex")) planReindex(draft, indexes, wishes)
  if (kinds.includes("vacuum")) for (const one of tables) planVacuum(draft, one)
  if (kinds.includes("analyze")) for (const one of tables) planAnalyze(draft, one)
  plan.actions.sort((a, b) => actionKinds.indexOf(a.action) - actionKinds.indexOf(b.action) || b.need - a.need)
  return plan
}

/** The kinds that are looked for. What an interrupted rebuild left goes with the rebuilding. */
export function wantedKinds(allowed: CareConfig["actions"], only: CareConfig["actions"] | undefined): ActionKind[] {
  const wanted = allowed.filter((kind) => !only || only.includes(kind))
  return actionKinds.filter((kind) => wanted.some((one) => one === (kind === "leftovers" ? "reindex" : kind)))
}

type Draft = MaintenancePlan & { server: ServerFacts; byOid: ReadonlyMap<string, TableFacts> }

function planLeftovers(draft: Draft, indexes: readonly IndexFacts[]): void {
  for (const index of indexes) {
    const table = draft.byOid.get(index.tableOid)
    const base = leftoverBase(index, indexes)
    if (!table || !base) continue
    const target = renderTableName(index)
    if (!table.owns) refuse(draft, "leftovers", target, ownership(table, draft.server))
    else if (index.isBeingBuilt) {
      const reason = "somebody works on its table: it may be an index that is just being built"
      draft.notDone.push({ action: "leftovers", target, reason, isRight: false })
    } else {
      const statement = `DROP INDEX CONCURRENTLY ${quoteTable(index)}`
      const size = index.sizeBytes === null ? "" : `, ${formatBytes(index.sizeBytes)}`
      const reason = `invalid, left by an interrupted rebuild of ${base}${size}`
      const need = index.sizeBytes ?? 0
      draft.actions.push({ action: "leftovers", table, target, statement, reason, need, index, base })
    }
  }
}

function planValidate(draft: Draft, constraints: readonly ConstraintFacts[]): void {
  for (const constraint of constraints) {
    const table = draft.byOid.get(constraint.tableOid)
    if (!table) continue
    const target = `${renderTableName(table)}.${constraint.name}`
    if (!table.owns) {
      refuse(draft, "validate", target, ownership(table, draft.server))
      continue
    }
    const statement = `ALTER TABLE ${quoteTable(table)} VALIDATE CONSTRAINT ${quoteName(constraint.name)}`
    const reason = `${constraint.kind === "f" ? "foreign key" : "check"} was added NOT VALID`
    const violations = violationQueries(table, constraint)
    draft.actions.push({ action: "validate", table, target, statement, reason, need: 0, constraint, violations })
  }
}

function planReindex(draft: Draft, indexes: readonly IndexFacts[], { care }: PlanWishes): void {
  const unknown: string[] = []
  for (const index of indexes) {
    const table = draft.byOid.get(index.tableOid)
    if (!table || leftoverBase(index, indexes)) continue
    const target = renderTableName(index)
    const bloat = index.method === "btree" ? judgeBloat(index, table) : undefined
    const isLarge = (index.sizeBytes ?? 0) >= worthBytes
    if (index.isValid && index.method === "btree" && isLarge && !bloat) unknown.push(target)
    const isBloated = isLarge && bloat !== undefined && bloat.percent > care.bloatPercent
    if (index.isValid && !isBloated) continue
    const obstacle = reindexObstacle(draft.server, table, index, bloat?.expectedBytes ?? index.sizeBytes ?? 0, care)
    if (obstacle) {
      draft.notDone.push({ action: "reindex", target, ...obstacle })
      continue
    }
    const sizeBytes = index.sizeBytes ?? 0
    const how = bloat?.isMeasured ? "measured" : "estimated"
    const reason = index.isValid
      ? `${Math.round(bloat?.percent ?? 0)} % of its ${formatBytes(sizeBytes)} is dead space (${how})`
      : "invalid: no query uses it, and every write pays for it"
    draft.actions.push({
      ...{ action: "reindex", table, target, reason, index, sizeBytes, wasValid: index.isValid },
      statement: `REINDEX INDEX CONCURRENTLY ${quoteTable(index)}`,
      expectedBytes: bloat?.expectedBytes ?? sizeBytes,
      need: index.isValid ? sizeBytes - (bloat?.expectedBytes ?? sizeBytes) : Number.MAX_SAFE_INTEGER,
    })
  }
  const largest = Math.max(0, ...draft.actions.map((one) => (one.action === "reindex" ? one.expectedBytes : 0)))
  if (largest > 0 && limitOf(care) === undefined) {
    const need = `a rebuild needs up to ${formatBytes(largest)} beside the old index, and as much for sorting`
    draft.notes.push(`the server's free disk cannot be seen: ${need}`)
  }
  if (unknown.length > 0)
    draft.notes.push(`dead space of ${unknown.join(", ")} cannot be told before ANALYZE has seen the table`)
}

/** Why an index is not rebuilt, whatever its need. */
function reindexObstacle(
  server: ServerFacts,
  table: TableFacts,
  index: IndexFacts,
  expectedBytes: number,
  care: PlanWishes["care"],
): Pick<NotDone, "reason" | "isRight"> | undefined {
  if (!table.mayReindex) return { reason: ownership(table, server), isRight: true }
  const no = (reason: string) => ({ reason, isRight: false })
  if (server.versionNumber < 120_000) return no("REINDEX CONCURRENTLY needs PostgreSQL 12: upgrade the server")
  // Release notes of 14.4: indexes that were rebuilt concurrently could be corrupt.
  if (server.versionNumber >= 140_000 && server.versionNumber < 140_004)
    return no("REINDEX CONCURRENTLY of PostgreSQL 14.0 to 14.3 may corrupt the index: upgrade to 14.4 or later")
  if (index.isExclusion)
    return no("an exclusion constraint cannot be rebuilt beside writers: REINDEX INDEX in a maintenance window")
  if (!index.isValid && index.isBeingBuilt) return no("somebody works on its table: it may just be being built")
  const limitBytes = limitOf(care)
  if (limitBytes !== undefined && server.databaseBytes + expectedBytes > limitBytes) {
    const room = `the new index needs ${formatBytes(expectedBytes)} beside the old one, and the database has ${formatBytes(server.databaseBytes)} of the ${formatBytes(limitBytes)} allowed`
    return no(`${room}: remove data first, or raise the limit (care.limits.databaseBytes)`)
  }
  if (server.tempFileLimitBytes >= 0 && server.tempFileLimitBytes < expectedBytes) {
    return no(
      `sorting it may take ${formatBytes(expectedBytes)} of temporary files, and temp_file_limit is ${formatBytes(server.tempFileLimitBytes)}: raise it for this role`,
    )
  }
  return undefined
}

/** How large the database may be, where that is known. */
function limitOf({ limits, plan }: PlanWishes["care"]): number | undefined {
  return limits.databaseBytes ?? (plan === "none" ? undefined : plans[plan].databaseBytes)
}

function planVacuum(draft: Draft, table: TableFacts): void {
  const target = renderTableName(table)
  const freeze = needsFreeze(table, draft.server)
  const due = freeze ?? vacuumNeed(table, draft.server)
  if (!due) return
  if (!table.mayVacuum) {
    refuse(draft, "vacuum", target, ownership(table, draft.server))
    return
  }
  const statement = `VACUUM ${freeze ? "(FREEZE) " : ""}${quoteTable(table)}`
  draft.actions.push({ action: "vacuum", table, target, statement, ...due, freezes: freeze !== undefined })
}

function planAnalyze(draft: Draft, table: TableFacts): void {
  const due = staleness(table, draft.server)
  if (!due) return
  const target = renderTableName(table)
  if (!table.mayVacuum) {
    refuse(draft, "analyze", target, ownership(table, draft.server))
    return
  }
  draft.actions.push({ action: "analyze", table, target, statement: `ANALYZE ${quoteTable(table)}`, ...due })
}

function refuse(draft: Draft, action: ActionKind, target: string, reason: string): void {
  draft.notDone.push({ action, target, reason, isRight: true })
}

function ownership({ owner, ...table }: TableFacts, { role }: ServerFacts): string {
  return `${role} is not owner of ${renderTableName(table)} (that is ${owner})`
}

/** What somebody with the right can run so that the next run may; nothing for a plan that lacks no right. */
export function rightsRemedy(server: ServerFacts, notDone: readonly NotDone[]): string | undefined {
  const kinds = new Set(notDone.filter(({ isRight }) => isRight).map(({ action }) => action))
  if (kinds.size === 0) return undefined
  const asOwner = `grant <owner> to ${quoteName(server.role)}, or give writeUrl the role that owns the tables`
  const onlyMaintains = ![...kinds].some((kind) => kind === "validate" || kind === "leftovers")
  if (server.versionNumber < 170_000) return asOwner
  const maintain = `grant pg_maintain to ${quoteName(server.role)}`
  return onlyMaintains ? maintain : `${asOwner}; for vacuum, analyze and reindex alone: ${maintain}`
}
