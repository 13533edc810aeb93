import type { Client } from "pg"
import { z } from "zod"
import { errorText } from "../core/error-text.ts"
import { formatCounted } from "../core/size.ts"
import { describeLockHolders } from "../postgres/lock-holders.ts"
import { quoteTable, renderTableName } from "../postgres/name.ts"
import { isPassingConflict, retryConflicts, withTransaction } from "../postgres/transaction.ts"
import { startTimer } from "../system/clock.ts"
import { type ApplyRowsContext, type RowsApplied, usualBatchLimits } from "./apply.ts"
import type { CleanupPlan, PlannedPartition } from "./contract.ts"

export type PartitionLimits = {
  /** Everybody else waits behind a lock on the whole table that is waited for: this is short, and it is tried again. */
  lockTimeoutMs: number
  /** A partition is detached concurrently when all who read it are done, which nobody waits behind. */
  concurrentTimeoutMs: number
  statementTimeoutMs: number
  retries: number
  retryWaitMs: number
}

const usualLimits: PartitionLimits = {
  lockTimeoutMs: 400,
  concurrentTimeoutMs: 60_000,
  statementTimeoutMs: usualBatchLimits.statementTimeoutMs,
  retries: 8,
  retryWaitMs: 250,
}

export type RemovePartitionsContext = Omit<ApplyRowsContext, "limits"> & { limits?: Partial<PartitionLimits> }

/**
 * Drops or detaches the partitions of a plan, one at a time and in its order, and looks whether each is gone. One with a legal hold on a row
 * stays. Ends at the first that cannot be had. Does not reject: `failure` says what went wrong, beside what was done until then.
 */
export async function removePartitions(plan: CleanupPlan, context: RemovePartitionsContext): Promise<RowsApplied> {
  const elapsed = startTimer()
  const work: Work = { plan, context, limits: { ...usualLimits, ...context.limits }, retries: 0 }
  const gone: PlannedPartition[] = []
  const notes: string[] = []
  let heldBack = plan.heldBack
  let ending: Pick<RowsApplied, "failure" | "stopped"> = {}
  const rowsOf = (partitions: readonly PlannedPartition[]) => partitions.reduce((sum, { rows }) => sum + rows, 0)
  for (const partition of plan.partitions ?? []) {
    const name = renderTableName(partition)
    if (rowsOf(gone) + partition.rows > (context.limit ?? Number.POSITIVE_INFINITY)) {
      ending = { stopped: `${name} would exceed its limit of ${formatCounted(context.limit ?? 0, "row")}` }
      break
    }
    try {
      const held = await removeOne(work, partition)
      if (held > 0) {
        heldBack += held
        notes.push(`${name} stays whole: a legal hold on ${formatCounted(held, "row")} of it came after the plan`)
        continue
      }
      gone.push(partition)
      context.log.info(`${plan.rule}: ${pastOf(plan)} ${name}, ${formatCounted(partition.rows, "row")}`)
    } catch (error) {
      ending = { failure: `${name}: ${errorText(error)}` }
      break
    }
  }
  const removed = rowsOf(gone)
  const counts = { removed, batches: gone.length, retries: work.retries, left: plan.count - removed, heldBack }
  return { ...counts, notes, ...ending, tookMs: elapsed(), waitedMs: 0, vacuumMs: 0 }
}

type Work = { plan: CleanupPlan; context: RemovePartitionsContext; limits: PartitionLimits; retries: number }

const pastOf = ({ action }: CleanupPlan) => (action === "drop" ? "dropped" : "detached")

/** Returns how many of its rows are on hold: with none it is gone. */
async function removeOne(work: Work, partition: PlannedPartition): Promise<number> {
  const { plan, context, limits } = work
  const { client, signal } = context
  const remove = plan.action === "drop" ? drop : detach
  const onRetry = () => void work.retries++
  const retry = { times: limits.retries, waitMs: limits.retryWaitMs, signal, onRetry }
  const held = await retryConflicts(retry, () => remove(work, partition)).catch(async (error: unknown) => {
    if (!isPassingConflict(error)) throw error
    const holders = await describeLockHolders(client, partition.oid)
    throw new Error(holders === "" ? "it is locked" : `it is locked by ${holders}`, { cause: error })
  })
  const { isAttached } = await readState(client, partition)
  if (held === 0 && isAttached)
    throw new Error(`it is still a partition of ${renderTableName(partition.parent)} after it was ${pastOf(plan)}`)
  return held
}

/** The parent is locked first, as by every query: in the other order the two would wait for each other. */
async function drop({ plan, context: { client }, limits }: Work, partition: PlannedPartition): Promise<number> {
  return withTransaction(client, limits, async () => {
    if (plan.selection.hasHolds) await client.query("lock table ops.legal_hold in share mode")
    await client.query(`lock table only ${quoteTable(partition.parent)} in access exclusive mode`)
    await client.query(`lock table ${quoteTable(partition)} in access exclusive mode`)
    await refuseReplaced(client, plan, partition)
    const held = await countHeld(client, plan, partition)
    if (held === 0) await client.query(`drop table ${quoteTable(partition)} restrict`)
    return held
  })
}

/**
 * Concurrently where the layout allows: nobody then waits behind it. An attempt that is cut short leaves the partition half detached, which
 * the next one finishes. Its rows stay, so that a hold which comes while it goes on is on rows that are still there.
 */
async function detach({ plan, context: { client }, limits }: Work, partition: PlannedPartition): Promise<number> {
  const sql = `alter table ${quoteTable(partition.parent)} detach partition ${quoteTable(partition)}`
  await refuseReplaced(client, plan, partition)
  const held = await countHeld(client, plan, partition)
  if (held > 0) return held
  const { hasDefault, isPending } = await readState(client, partition)
  if (hasDefault) await withTransaction(client, limits, () => client.query(sql))
  else await alone(client, limits.concurrentTimeoutMs, `${sql} ${isPending ? "finalize" : "concurrently"}`)
  return 0
}

/** Runs what cannot run in a transaction, with a limit to its waits. */
async function alone(client: Client, timeoutMs: number, sql: string): Promise<void> {
  await client.query(`set lock_timeout = ${Math.ceil(timeoutMs)}`)
  try {
    await client.query(sql)
  } finally {
    await client.query("reset lock_timeout")
  }
}

const stateRow = z.object({ isAttached: z.boolean(), isPending: z.boolean(), hasDefault: z.boolean() })

async function readState(client: Client, { oid, parent }: PlannedPartition): Promise<z.output<typeof stateRow>> {
  const { rows } = await client.query(
    `select exists (select from pg_catalog.pg_inherits i where i.inhrelid = $1::oid) as "isAttached",
            exists (select from pg_catalog.pg_inherits i where i.inhrelid = $1::oid and i.inhdetachpending) as "isPending",
            exists (select from pg_catalog.pg_partitioned_table p where p.partrelid = to_regclass($2) and p.partdefid <> 0) as "hasDefault"`,
    [oid, quoteTable(parent)],
  )
  return stateRow.parse(rows[0])
}

async function refuseReplaced(client: Client, { selection }: CleanupPlan, partition: PlannedPartition): Promise<void> {
  const { rows } = await client.query(
    `select to_regclass('ops.legal_hold') is not null as "holdsExist",
            exists (select from pg_catalog.pg_inherits i
                     where i.inhrelid = $1::oid and i.inhrelid = to_regclass($2) and i.inhparent = to_regclass($3)) as "isSame"`,
    [partition.oid, quoteTable(partition), quoteTable(partition.parent)],
  )
  const { holdsExist, isSame } = z.object({ holdsExist: z.boolean(), isSame: z.boolean() }).parse(rows[0])
  if (!isSame) throw new Error("it is no longer the partition that was planned: the next run plans anew")
  if (holdsExist !== selection.hasHolds)
    throw new Error("ops.legal_hold was made or removed since this run was planned: the next run plans anew")
}

/** Reads the partition only where any hold is in force. */
async function countHeld(client: Client, { selection }: CleanupPlan, partition: PlannedPartition): Promise<number> {
  if (!selection.hasHolds) return 0
  const { rows: holds } = await client.query("select from ops.legal_hold where released_at is null limit 1")
  if (holds.length === 0) return 0
  const { condition, withoutHolds, values } = selection
  const { rows } = await client.query(
    `select count(*)::float8 as held from ${quoteTable(partition)} t where ${withoutHolds} and not ${condition}`,
    values,
  )
  return z.object({ held: z.number() }).parse(rows[0]).held
}
