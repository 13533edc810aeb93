import { errorText } from "../core/error-text.ts"
import { formatCounted } from "../core/size.ts"
import type { PostgresAddress } from "../postgres/address.ts"
import { type BackPressure, type Pace, usualPace, watchPressure } from "../postgres/back-pressure.ts"
import { isConnectionLoss } from "../postgres/connect-error.ts"
import { describeLockHolders } from "../postgres/lock-holders.ts"
import { renderTableName } from "../postgres/name.ts"
import { isPassingConflict, retryConflicts, withTransaction } from "../postgres/transaction.ts"
import { transactionOutcome } from "../postgres/transaction-outcome.ts"
import { startTimer } from "../system/clock.ts"
import { batchRows, nextBatchRows } from "./batch-size.ts"
import { type Batch, type Change, type Cursor, takeBatch } from "./batches.ts"
import type { Applied, ApplyContext, CleanupPlan, Target } from "./contract.ts"
import { countMatching } from "./count-matching.ts"
import { dropList, listRows } from "./list-rows.ts"
import { startProgress } from "./progress.ts"
import { isLargeRemoval, vacuumTable } from "./vacuum.ts"

/** Limits of a batch; those of `usualBatchLimits` unless told. */
export type BatchLimits = {
  /** How long a batch waits for a lock. It may hold others meanwhile, so this is short. */
  lockTimeoutMs: number
  /** The same for the last pass, which waits for rows that others have locked. */
  patientLockTimeoutMs: number
  statementTimeoutMs: number
  /** For finding and counting what matches, which reads much and locks nothing. */
  countTimeoutMs: number
  retries: number
  retryWaitMs: number
}

export const usualBatchLimits: BatchLimits = {
  lockTimeoutMs: 400,
  patientLockTimeoutMs: 5000,
  statementTimeoutMs: 30_000,
  countTimeoutMs: 10 * 60_000,
  retries: 6,
  retryWaitMs: 250,
}

export type ApplyRowsContext = ApplyContext & {
  /** Where to ask what became of the last transaction when the connection is lost while it commits. */
  address?: PostgresAddress
  pace?: Partial<Pace>
  limits?: Partial<BatchLimits>
}

/** What really changed, and how it ended. */
export type RowsApplied = Applied & {
  /** Why rows are left although nothing went wrong: the next run goes on. */
  stopped?: string
  /** What went wrong. All that is counted in `removed` is committed all the same. */
  failure?: string
  /** Batches that were rolled back and tried again. */
  retries: number
  tookMs: number
  /** Of that, waited because the server was under pressure. */
  waitedMs: number
  /** Of `tookMs`, for the VACUUM after it. */
  vacuumMs: number
}

/**
 * Deletes, or sets columns of, the rows of a plan: batch by batch, each a transaction of its own, paced by what the server bears. Killed
 * at any point it has done whole batches, and the next run finds the rest. Does not reject: `failure` says what went wrong (the signal's
 * reason, too), beside exact numbers of what was done until then.
 */
export async function applyRows(plan: CleanupPlan, context: ApplyRowsContext): Promise<RowsApplied> {
  const elapsed = startTimer()
  const work: Work = {
    plan,
    context,
    limits: { ...usualBatchLimits, ...context.limits },
    change: plan.set ? { kind: "set", cells: plan.set } : { kind: "delete" },
    size: batchRows.first,
    removed: 0,
    batches: 0,
    retries: 0,
    vacuumMs: 0,
    byTarget: new Map(),
    notes: new Set(),
  }
  const result = await run(work).catch(async (error: unknown) => explainFailure(work, error))
  return {
    removed: work.removed,
    batches: work.batches,
    retries: work.retries,
    left: result.left ?? Math.max(0, plan.count - work.removed),
    heldBack: result.heldBack ?? plan.heldBack,
    notes: [...work.notes, ...(work.pressure?.notes() ?? [])],
    ...(result.stopped === undefined ? {} : { stopped: result.stopped }),
    ...(result.failure === undefined ? {} : { failure: result.failure }),
    ...(work.vacuumed === undefined ? {} : { vacuumed: work.vacuumed }),
    tookMs: elapsed(),
    waitedMs: work.pressure?.waitedMs() ?? 0,
    vacuumMs: work.vacuumMs,
  }
}

type Work = {
  plan: CleanupPlan
  context: ApplyRowsContext
  limits: BatchLimits
  change: Change
  pressure?: BackPressure
  size: number
  removed: number
  batches: number
  retries: number
  vacuumMs: number
  vacuumed?: boolean
  byTarget: Map<Target, number>
  notes: Set<string>
  /** Set while the last transaction commits: should the connection break now, nobody here knows whether it did. */
  committing?: { transaction: string; changed: number; target: Target } | undefined
}

type Ending = { left?: number; heldBack?: number; stopped?: string; failure?: string }

async function run(work: Work): Promise<Ending> {
  const { context, plan } = work
  const { client, log, signal } = context
  const progress = startProgress(log, plan.rule, Math.min(plan.count, context.limit ?? plan.count))
  work.pressure = await watchPressure(client, { pace: { ...usualPace, ...context.pace }, log, signal })
  return walkUntilDone(work, progress)
}

/** Enough for rows that refer to each other in long chains: each pass frees those that the one before referred to. */
const mostPasses = 1000

/**
 * Passes through all targets until nothing matches. The first ones leave out what others have locked, the last one waits for it. What the
 * first pass left dead is cleared away before anything is counted: the count would step over each of those rows.
 */
async function walkUntilDone(work: Work, progress: (done: number) => void): Promise<Ending> {
  const { selection } = work.plan
  let waits = false
  for (let pass = 1; ; pass++) {
    const before = work.removed
    const end = await walk(work, { waits, progress })
    if (pass === 1) await vacuum(work)
    const counts = await countMatching(work.context.client, selection, work.limits.countTimeoutMs)
    if (counts.left === 0) return counts
    if (end.stopped !== undefined) return { ...counts, stopped: end.stopped }
    const isIdle = work.removed === before
    const rows = formatCounted(counts.left, "row")
    if (isIdle && waits && end.picked > 0)
      throw new Error(
        `${rows} of ${renderTableName(selection.table)} cannot be changed: a trigger or a rule of the table keeps them as they are`,
      )
    if (isIdle && waits) return { ...counts, stopped: `${rows} came to match while this run went on` }
    if (pass === mostPasses) return { ...counts, stopped: `${rows} still match after ${mostPasses} passes` }
    waits = isIdle
  }
}

type WalkOptions = { waits: boolean; progress: (done: number) => void }

async function walk(work: Work, options: WalkOptions): Promise<{ picked: number; stopped?: string }> {
  const { plan, context, limits } = work
  let picked = 0
  for (const target of plan.selection.targets) {
    if (plan.selection.walk === "listed")
      await withTransaction(context.client, { statementTimeoutMs: limits.countTimeoutMs }, () =>
        listRows(context.client, plan.selection, target),
      )
    for (let cursor: Cursor | undefined = {}; cursor !== undefined; ) {
      context.signal.throwIfAborted()
      const room = (context.limit ?? Number.POSITIVE_INFINITY) - work.removed
      if (room <= 0) return { picked, stopped: `its limit of ${formatCounted(context.limit ?? 0, "row")} is reached` }
      const done = await batch(work, { target, cursor, rows: Math.min(work.size, room), waits: options.waits })
      if ("lockedBy" in done) return { picked, stopped: done.lockedBy }
      picked += done.picked
      cursor = done.next
      options.progress(work.removed)
      const stopped = await work.pressure?.settle(done)
      if (stopped !== undefined) return { picked, stopped }
    }
  }
  if (plan.selection.walk === "listed") await dropList(context.client)
  return { picked }
}

type BatchPlace = { target: Target; cursor: Cursor; rows: number; waits: boolean }

/** One batch, tried again with fewer rows when it meets what passes by itself. */
async function batch(work: Work, place: BatchPlace): Promise<(Batch & { tookMs: number }) | { lockedBy: string }> {
  const { context, limits } = work
  const retry = { times: place.waits ? 2 : limits.retries, waitMs: limits.retryWaitMs, signal: context.signal }
  let { rows } = place
  const onRetry = (error: unknown) => {
    work.retries++
    rows = Math.max(1, Math.floor(rows / 2))
    work.size = Math.min(work.size, rows)
    context.log.debug(`${work.plan.rule}: trying ${formatCounted(rows, "row")} again: ${errorText(error)}`)
  }
  try {
    return await retryConflicts({ ...retry, onRetry }, () => commitBatch(work, { ...place, rows }))
  } catch (error) {
    if (!isPassingConflict(error)) throw error
    const holders = await describeLockHolders(context.client, place.target.oid)
    const by = holders === "" ? "" : ` by ${holders}`
    if (place.waits) return { lockedBy: `rows are locked${by}` }
    throw new Error(`${renderTableName(place.target)} is locked${by}`, { cause: error })
  }
}

async function commitBatch(work: Work, place: BatchPlace): Promise<Batch & { tookMs: number }> {
  const { client } = work.context
  const { waits, ...where } = place
  const { lockTimeoutMs, patientLockTimeoutMs, statementTimeoutMs } = work.limits
  const options = {
    lockTimeoutMs: waits ? patientLockTimeoutMs : lockTimeoutMs,
    statementTimeoutMs: Math.max(statementTimeoutMs, patientLockTimeoutMs),
  }
  const elapsed = startTimer()
  let roundTripMs = 0
  const done = await withTransaction(client, options, async () => {
    roundTripMs = elapsed()
    const { selection } = work.plan
    const isExact = work.context.limit !== undefined
    const batch = await takeBatch(client, { ...where, selection, change: work.change, waitsForLocks: waits, isExact })
    work.committing = { transaction: batch.transaction, changed: batch.changed, target: place.target }
    return batch
  })
  count(work, done.changed, place.target)
  // What the network takes says nothing of the rows; begin and commit are there for any number of them.
  const tookMs = Math.max(0, elapsed() - 4 * roundTripMs)
  if (!waits) work.size = nextBatchRows(place.rows, { rows: done.picked, tookMs, waiting: done.waiting })
  return { ...done, tookMs }
}

function count(work: Work, changed: number, target: Target): void {
  work.committing = undefined
  if (changed === 0) return
  work.removed += changed
  work.batches++
  work.byTarget.set(target, (work.byTarget.get(target) ?? 0) + changed)
}

async function vacuum(work: Work): Promise<void> {
  const { client, log, signal } = work.context
  const elapsed = startTimer()
  const options = { log, signal, lockTimeoutMs: work.limits.patientLockTimeoutMs }
  for (const [target, removed] of work.byTarget) {
    if (!(await isLargeRemoval(client, target, removed))) continue
    const { isDone, notes } = await vacuumTable(client, target, options)
    work.vacuumed = (work.vacuumed ?? true) && isDone
    for (const note of notes) work.notes.add(note)
  }
  work.vacuumMs = elapsed()
}

/** A transaction that was committing when the connection broke is asked for over another one: it counts when it was committed. */
async function explainFailure(work: Work, error: unknown): Promise<Ending> {
  const { committing, context } = work
  const isLoss = isConnectionLoss(error)
  const { signal } = context
  // A run that is told to end hangs up: that is no fault of the connection.
  const lost = isLoss ? `the connection to the database was lost: ${errorText(error)}` : errorText(error)
  const failure = signal.aborted ? errorText(signal.reason) : lost
  if (!committing || !isLoss) return { failure }
  if (!context.address)
    return {
      failure: `${failure}; whether the last ${formatCounted(committing.changed, "row")} were changed is unknown`,
    }
  const outcome = await transactionOutcome(context.address, committing.transaction, context.run).catch(errorText)
  if (outcome === "committed") count(work, committing.changed, committing.target)
  const isKnown = outcome === "committed" || outcome === "aborted"
  return isKnown
    ? { failure }
    : {
        failure: `${failure}; whether the last ${formatCounted(committing.changed, "row")} were changed is unknown: ${outcome}`,
      }
}
