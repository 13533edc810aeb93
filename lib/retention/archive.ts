import { z } from "zod"
import { formatBytes, formatCounted } from "../core/size.ts"
import { type BackPressure, type Pace, usualPace, watchPressure } from "../postgres/back-pressure.ts"
import { isConnectionLoss } from "../postgres/connect-error.ts"
import { describeLockHolders } from "../postgres/lock-holders.ts"
import { renderTableName } from "../postgres/name.ts"
import { ensureOpsTables } from "../postgres/ops-schema.ts"
import { isPassingConflict } from "../postgres/transaction.ts"
import type { Recipients } from "../seal/recipients.ts"
import type { Store } from "../store/store.ts"
import { startTimer } from "../system/clock.ts"
import type { RowsApplied } from "./apply.ts"
import { cascadingKeys, type DeletedPart } from "./archive-delete.ts"
import { failureText } from "./archive-failure.ts"
import { partOfKey, runFolder } from "./archive-names.ts"
import { archivePart, type PartContext } from "./archive-part.ts"
import { readLimits, readPart, type SealedPart } from "./archive-read.ts"
import { partsBelow } from "./archive-state.ts"
import { makePassingKey } from "./archive-store.ts"
import { closeWalk, openWalk, type Position } from "./archive-walk.ts"
import { batchRows, nextBatchRows } from "./batch-size.ts"
import type { Applied, ApplyContext, CleanupPlan, Target } from "./contract.ts"
import { countMatching } from "./count-matching.ts"
import { startProgress } from "./progress.ts"
import { isLargeRemoval, vacuumTable } from "./vacuum.ts"

export type ArchiveContext = ApplyContext & {
  store: Store
  recipients: Recipients
  /** Name of the database in the configuration: part of every key. */
  database: string
  pace?: Partial<Pace>
}

/** `batches` are parts. */
export type Archived = Pick<RowsApplied, keyof Applied | "stopped" | "failure" | "tookMs" | "waitedMs"> & {
  /** Where its parts are on the store; absent when there was nothing to archive. */
  folder?: string
  plainBytes: number
  sealedBytes: number
  /** Rows that were archived and stayed, since others changed, held or locked them meanwhile. Each is archived again when its time comes. */
  kept: number
}

/** A part is one object on the store and one transaction: small enough for memory and for who waits, large enough for its requests. */
const largestPart = { rows: 20_000, plainBytes: 16 * 1024 * 1024 }
const countTimeoutMs = 10 * 60_000

/**
 * Moves the rows of a plan to the store, part by part: read in one snapshot, sealed, stored, read back and compared, described, and only
 * then deleted, each in exactly the version that was archived. A last pass waits for rows that others had locked. Call `resumeArchives` before it.
 * Stops at the first part that cannot be stored, verified or deleted: all of its rows are still in the table, and `failure` says why,
 * beside exact numbers of what was done until then.
 */
export async function archiveRows(plan: CleanupPlan, context: ArchiveContext): Promise<Archived> {
  const elapsed = startTimer()
  const work: Work = {
    ...{ plan, context, size: batchRows.first, byTarget: new Map(), notes: new Set() },
    done: { removed: 0, batches: 0, plainBytes: 0, sealedBytes: 0, kept: 0 },
  }
  const refusals = archiveRefusals(plan, context.recipients)
  const end =
    refusals.length > 0
      ? { failure: refusals.join("; ") }
      : await run(work).catch((error: unknown) => failed(error, context.signal))
  const counts = { left: Math.max(0, plan.count - work.done.removed), heldBack: plan.heldBack, ...end }
  const notes = [...work.notes, ...(work.pressure?.notes() ?? [])]
  return { ...work.done, ...counts, notes, tookMs: elapsed(), waitedMs: work.pressure?.waitedMs() ?? 0 }
}

/** Why a plan must not be archived; empty when it may. */
export function archiveRefusals(
  { action, cascades }: Pick<CleanupPlan, "action" | "cascades">,
  { keys }: Pick<Recipients, "keys">,
): string[] {
  const refusals: string[] = []
  if (action !== "archive") refusals.push(`its action is ${action} and not archive`)
  if (keys.length === 0) refusals.push("there is no public key to seal the archive for: nobody could open it")
  for (const { effect, count, through, ...table } of cascades) {
    if (effect !== "deleted" || count === 0) continue
    refusals.push(
      `${formatCounted(count, "row")} of ${renderTableName(table)} would be deleted with them through the foreign key ${through} and be in no archive: archive those first by a rule of their own, above this one, or make the key "on delete restrict"`,
    )
  }
  return refusals
}

type Done = Pick<Archived, "removed" | "batches" | "plainBytes" | "sealedBytes" | "kept" | "folder">
type End = Partial<Pick<Archived, "left" | "heldBack" | "stopped" | "failure" | "vacuumed">>

type Work = {
  plan: CleanupPlan
  context: ArchiveContext
  pressure?: BackPressure
  /** Rows that the next part takes. */
  size: number
  done: Done
  byTarget: Map<Target, number>
  notes: Set<string>
}

/** A run that is told to end hangs up: that is no fault of the connection. */
function failed(error: unknown, signal: AbortSignal): End {
  if (signal.aborted) return { failure: failureText(signal.reason) }
  const failure = failureText(error)
  if (!isConnectionLoss(error)) return { failure }
  return { failure: `the connection to the database was lost (${failure}): the next run settles what was under way` }
}

async function run(work: Work): Promise<End> {
  const { plan, context, done } = work
  const { client, log, signal } = context
  await ensureOpsTables(client, ["archive_part"])
  work.pressure = await watchPressure(client, { pace: { ...usualPace, ...context.pace }, log, signal })
  const progress = startProgress(log, plan.rule, Math.min(plan.count, context.limit ?? plan.count))
  const archive = await startArchive(work)
  let stopped: string | undefined
  for (const target of plan.selection.targets) stopped ??= await archiveTarget(work, archive, target, progress)
  await closeWalk(client)
  const counts = await countMatching(client, plan.selection, countTimeoutMs)
  const vacuumed = await vacuum(work)
  if (done.batches > 0) work.notes.add(summarize(done))
  if (counts.left > 0) stopped ??= "rows are locked, changed or came to match while this run went on"
  return {
    ...counts,
    ...(counts.left > 0 && stopped !== undefined && { stopped }),
    ...(vacuumed !== undefined && { vacuumed }),
  }
}

type Archive = PartContext & { nextNumber: number }

/** Numbers go on behind those of an earlier attempt of the same run: nothing is ever written over. */
async function startArchive({ plan, context }: Work): Promise<Archive> {
  const { client, store, database, slot, run, recipients } = context
  const folder = runFolder(database, plan.rule, slot, run)
  const stored = (await store.list(`${folder}/`)).map((object) => object.key)
  const known = (await partsBelow(client, `${folder}/`)).map((part) => part.key)
  const { rows } = await client.query("select current_setting('server_version') as version")
  return {
    ...{ ...context, folder, rule: plan.rule },
    nextNumber: Math.max(0, ...[...stored, ...known].map((key) => partOfKey(key)?.number ?? 0)) + 1,
    passingKey: await makePassingKey(recipients),
    serverVersion: z.string().parse(rows[0]?.version),
  }
}

/** Returns why it ended early. */
async function archiveTarget(work: Work, archive: Archive, target: Target, progress: (done: number) => void) {
  const { done } = work
  for (const waitsForLocks of [false, true]) {
    const keptBefore = done.kept
    const stopped = await walk(work, archive, { target, waitsForLocks, progress })
    if (stopped !== undefined || done.kept === keptBefore) return stopped
  }
  return undefined
}

type WalkOptions = { target: Target; waitsForLocks: boolean; progress: (done: number) => void }

async function walk(work: Work, archive: Archive, { target, waitsForLocks, progress }: WalkOptions) {
  const { done, context, plan } = work
  const { client, signal, recipients } = context
  const cascading = await cascadingKeys(client, plan.selection, target)
  const walk = await openWalk(client, plan.selection, target, readLimits)
  const keys = [...recipients.keys, archive.passingKey.recipient]
  let after: Position | undefined
  for (;;) {
    signal.throwIfAborted()
    const room = (context.limit ?? Number.POSITIVE_INFINITY) - done.removed
    if (room <= 0) return `its limit of ${formatCounted(context.limit ?? 0, "row")} is reached`
    const size = { ...largestPart, rows: Math.min(work.size, largestPart.rows, room) }
    const part = await readPart(client, walk, after, size, keys)
    if (part === undefined) return undefined
    const number = archive.nextNumber++
    const batch = { tookMs: 0, waiting: 0 }
    const onDeleted = (deleted: DeletedPart, tookMs: number) => {
      Object.assign(batch, { tookMs, waiting: deleted.waiting })
      count(work, { target, part, deleted, folder: archive.folder })
    }
    try {
      await archivePart(archive, { walk, target, cascading, waitsForLocks, part, number, onDeleted })
      after = part.last
      work.size = nextBatchRows(size.rows, { ...batch, rows: part.rows })
      progress(done.removed)
      const stopped = await work.pressure?.settle(batch)
      if (stopped !== undefined) return stopped
    } catch (error) {
      if (isPassingConflict(error)) throw await lockedTable(work, target, error)
      if (!isTooSlow(error) || part.rows === 1) throw error
      work.size = Math.max(1, Math.floor(part.rows / 4))
      context.log.info(`deleting ${formatCounted(part.rows, "row")} took too long: going on with ${work.size}`)
    }
  }
}

async function lockedTable({ context }: Work, target: Target, cause: unknown): Promise<Error> {
  const holders = await describeLockHolders(context.client, target.oid)
  return new Error(`${renderTableName(target)} is locked${holders === "" ? "" : ` by ${holders}`}`, { cause })
}

type Counted = { target: Target; part: SealedPart; deleted: DeletedPart; folder: string }

function count({ done, byTarget }: Work, { target, part, deleted, folder }: Counted): void {
  done.folder = folder
  done.batches++
  done.removed += deleted.rowsDeleted
  done.kept += deleted.rowsKept.length
  done.plainBytes += part.counts.plainBytes
  done.sealedBytes += part.counts.sealedBytes
  byTarget.set(target, (byTarget.get(target) ?? 0) + deleted.rowsDeleted)
}

/** The server ended the statement since it ran into its time limit. */
function isTooSlow(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "57014"
}

async function vacuum({ byTarget, context, notes }: Work): Promise<boolean | undefined> {
  const { client, log, signal } = context
  let vacuumed: boolean | undefined
  for (const [target, removed] of byTarget) {
    if (!(await isLargeRemoval(client, target, removed))) continue
    const vacuum = await vacuumTable(client, target, { log, signal })
    vacuumed = (vacuumed ?? true) && vacuum.isDone
    for (const note of vacuum.notes) notes.add(note)
  }
  return vacuumed
}

function summarize({ removed, batches, plainBytes, sealedBytes, kept, folder }: Done): string {
  const stayed = kept === 0 ? "" : `; ${formatCounted(kept, "row")} changed, locked or held meanwhile stayed at first`
  return `${formatCounted(removed, "row")} in ${formatCounted(batches, "part")} below ${folder}, ${formatBytes(plainBytes)} sealed as ${formatBytes(sealedBytes)}${stayed}`
}
