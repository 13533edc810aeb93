import type { Client } from "pg"
import type { CareConfig } from "../config/care-schema.ts"
import { nearest } from "../config/nearest.ts"
import { ConfigError } from "../core/config-error.ts"
import type { Log } from "../core/log.ts"
import type { PostgresAddress } from "../postgres/address.ts"
import { withClient } from "../postgres/connect.ts"
import { withExclusiveSession } from "../postgres/exclusive.ts"
import { renderTableName } from "../postgres/name.ts"
import { refuseUnsuitableAddress } from "../postgres/pooler.ts"
import { startTimer } from "../system/clock.ts"
import type { ActionOutcome, MaintenanceAction, MaintenancePlan } from "./actions.ts"
import { judgeBloat, liveShareOf, measureIndex, worthBytes } from "./index-bloat.ts"
import { type MaintenanceState, readMaintenanceState, type ServerFacts } from "./maintenance-state.ts"
import { type PlanWishes, planMaintenance, wantedKinds } from "./plan-maintenance.ts"
import { runAction } from "./run-action.ts"

export type MaintenanceOrder = {
  database: string
  address: PostgresAddress
  care: CareConfig
  wishes: Pick<PlanWishes, "kinds" | "table">
  lockWaitMs: number
  /** Actions at most; the others are left for the next run. */
  limit?: number | undefined
  /** How much of the run's time is left. What is not begun by then is left for the next run. */
  remainingMs: () => number
  log: Log
  signal: AbortSignal
}

/** What was planned, and what came of it. */
export type Maintenance = {
  server: ServerFacts
  plan: MaintenancePlan
  outcomes: ActionOutcome[]
  /** Not begun: the time was up, or the run broke. */
  left: MaintenanceAction[]
  /** What ended the run before its time. */
  error?: unknown
}

const job = "maintenance"

/** Says what would be done, and changes nothing: as the role and at the address of a real run, without its lock. */
export async function rehearseMaintenance(order: MaintenanceOrder): Promise<Maintenance> {
  const connection = { applicationName: `nightshift/${job}`, statementTimeoutMs: 120_000, signal: order.signal }
  await refuseUnsuitableAddress(order.address, connection)
  return withClient(order.address, connection, async (client) => ({
    ...(await makePlan(client, order)),
    outcomes: [],
    left: [],
  }))
}

/**
 * Plans what is due and does it, one action after the other, each with its own time limit and verified after, while no other job works on
 * the database. What fails is told of that action, and the others go on; when the connection breaks, what was done until then is told.
 * Rejects when nothing could begin.
 */
export async function maintain(order: MaintenanceOrder): Promise<Maintenance> {
  let maintenance: Maintenance | undefined
  try {
    return await withExclusiveSession({ ...order, job }, async (client, signal) => {
      const planned = await makePlan(client, order)
      maintenance = { ...planned, outcomes: [], left: [...planned.plan.actions] }
      await prepareSession(client, planned.server)
      await workOff(client, maintenance, order, signal)
      return maintenance
    })
  } catch (error) {
    if (!maintenance) throw error
    return { ...maintenance, error }
  }
}

async function workOff(
  client: Client,
  { outcomes, left }: Maintenance,
  order: MaintenanceOrder,
  locked: AbortSignal,
): Promise<void> {
  const { care, log, remainingMs, limit = Number.POSITIVE_INFINITY, signal: ending } = order
  for (let action = left[0]; action && remainingMs() > 0 && outcomes.length < limit; action = left[0]) {
    locked.throwIfAborted()
    log.info(action.statement)
    const elapsed = startTimer()
    const limitMs = Math.max(1, Math.min(care.actionTimeLimit.ms, remainingMs()))
    const { error, ...result } = await runAction(client, action, { limitMs, ending })
    left.shift()
    outcomes.push({ ...result, action, durationMs: elapsed() })
    if (error !== undefined) throw error
  }
}

/** A statement of a client that is gone ends within this time, and with it the lock of the job. */
const clientCheckMs = 5000

/** The role's own limits must not cut an action short: each has its own. */
async function prepareSession(client: Client, { versionNumber }: ServerFacts): Promise<void> {
  if (versionNumber >= 140_000) {
    await client.query("set idle_session_timeout = 0")
    await client.query(`set client_connection_check_interval = ${clientCheckMs}`).catch((error: unknown) => {
      if (!(error instanceof Error && "code" in error && error.code === "22023")) throw error // not on every system
    })
  }
  if (versionNumber >= 170_000) await client.query("set transaction_timeout = 0")
}

async function makePlan(client: Client, order: MaintenanceOrder): Promise<Pick<Maintenance, "plan" | "server">> {
  const { care, wishes, database } = order
  const state = await readMaintenanceState(client)
  if (state.server.isReplica)
    throw new Error(
      `writeUrl of ${database} leads to a replica, which takes no maintenance: give it the primary's address`,
    )
  refuseUnknownTable(state, order)
  if (wantedKinds(care.actions, wishes.kinds).includes("reindex")) await measureSuspects(client, state, order)
  return { server: state.server, plan: planMaintenance(state, { ...wishes, care }) }
}

function refuseUnknownTable({ tables }: MaintenanceState, { database, wishes: { table } }: MaintenanceOrder): void {
  const known = tables.map(renderTableName)
  if (table === undefined || known.includes(table)) return
  const close = nearest(table, known)
  throw new ConfigError(`--table ${table}: ${database} has no such table${close ? `: did you mean ${close}?` : ""}`)
}

/** An estimate that says "bloated", or nothing at all, is confirmed where the role may. */
async function measureSuspects(client: Client, state: MaintenanceState, { care, wishes, log }: MaintenanceOrder) {
  const tables = new Map(state.tables.map((table) => [table.oid, table]))
  for (const index of state.indexes) {
    const table = tables.get(index.tableOid)
    if (!table?.mayReindex || !index.isValid || index.method !== "btree" || (index.sizeBytes ?? 0) < worthBytes)
      continue
    if (wishes.table !== undefined && renderTableName(table) !== wishes.table) continue
    const estimate = judgeBloat(index, table)
    if (estimate && estimate.percent <= care.bloatPercent) continue
    try {
      const measured = await measureIndex(client, index, liveShareOf(table))
      if (measured !== undefined) index.measuredBytes = measured
    } catch (error) {
      if (!(error instanceof Error && "code" in error && measurable.includes(String(error.code)))) throw error
      log.info(`dead space of ${renderTableName(index)} is estimated: it could not be measured (${error.code})`)
    }
  }
}

/** Took too long, is locked, may not, is gone: the estimate stands. */
const measurable = ["57014", "55P03", "42501", "42P01", "42704", "XX000", "XX002"]
