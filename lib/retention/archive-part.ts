import { formatCounted } from "../core/size.ts"
import { renderTableName } from "../postgres/name.ts"
import { pinnedSettings } from "../postgres/pinned-settings.ts"
import { isPassingConflict, retryConflicts } from "../postgres/transaction.ts"
import type { Recipients } from "../seal/recipients.ts"
import { startTimer } from "../system/clock.ts"
import { type DeletedPart, type DeleteOrder, deletePart } from "./archive-delete.ts"
import { failureText } from "./archive-failure.ts"
import { abandonPart, closePart, type FinishContext } from "./archive-finish.ts"
import { type ArchiveManifest, renderDocument } from "./archive-manifest.ts"
import { partKeys } from "./archive-names.ts"
import type { SealedPart } from "./archive-read.ts"
import { beginPart, movePart } from "./archive-state.ts"
import { type PassingKey, putDocument, storeVerified } from "./archive-store.ts"

/** What all parts of a run share. */
export type PartContext = FinishContext & {
  rule: string
  slot: Date
  folder: string
  serverVersion: string
  recipients: Recipients
  passingKey: PassingKey
}

export type PartOrder = Omit<DeleteOrder, "id" | "rows" | "sealedSha256"> & {
  number: number
  part: SealedPart
  /** Told as soon as the rows are gone: what fails after that brings none of them back. */
  onDeleted: (deleted: DeletedPart, tookMs: number) => void
}

/** Each attempt that waits for rows does so for seconds. */
const attempts = { passing: { times: 4, waitMs: 250 }, waiting: { times: 2, waitMs: 250 } }

/**
 * Brings one part from memory to the store, and its rows out of the table: stored, read back and compared, described, verified, deleted,
 * closed. Rejects at the first step that fails; of a part that did not come to `deleted` every row is still in the table.
 */
export async function archivePart(context: PartContext, order: PartOrder): Promise<void> {
  const { client, store, log, signal, folder, rule, run } = context
  const { part, number } = order
  const keys = partKeys({ folder, number })
  const id = await beginPart(client, { rule, table: renderTableName(order.target), key: keys.rows, run })
  const reached = (step: string) => log.debug(`${keys.rows}: ${step}`)
  try {
    reached("begun")
    await storeVerified(store, keys.rows, part, context.passingKey, signal)
    reached("stored and read back")
    await putDocument(store, keys.manifest, renderDocument(describePart(context, order)), signal)
    reached("described")
    await movePart(client, id, "writing", "verified")
    reached("verified")
    const elapsed = startTimer()
    const deleted = await deleteRetrying(context, {
      ...order,
      id,
      rows: part.rows,
      sealedSha256: part.counts.sealedSha256,
    })
    order.onDeleted(deleted, elapsed())
    reached("deleted")
    await closePart(context, id)
    reached("closed")
  } catch (error) {
    await giveUp(context, id, error)
    throw error
  }
}

/** Rows that stay locked for all attempts are left to the next run. */
async function deleteRetrying({ client, log, signal }: PartContext, order: DeleteOrder): Promise<DeletedPart> {
  const onRetry = (error: unknown) =>
    log.debug(`trying to delete ${formatCounted(order.rows, "row")} again: ${failureText(error)}`)
  const take = (waitsForLocks: boolean) =>
    retryConflicts({ ...attempts[waitsForLocks ? "waiting" : "passing"], signal, onRetry }, () =>
      deletePart(client, { ...order, waitsForLocks }),
    )
  try {
    return await take(order.waitsForLocks)
  } catch (error) {
    if (!order.waitsForLocks || !isPassingConflict(error)) throw error
    return take(false)
  }
}

/** Says that nothing of the part was deleted. What cannot be said now, the next run does. */
async function giveUp(context: PartContext, id: string, error: unknown): Promise<void> {
  if (context.signal.aborted) return
  await abandonPart(context, id, "the run failed before its rows were deleted").catch((second: unknown) => {
    context.log.warn(`${failureText(error)}; the part is left to the next run: ${failureText(second)}`)
  })
}

function describePart(context: PartContext, { part, target, walk, number }: PartOrder): ArchiveManifest {
  const { table, orderColumns } = walk.selection
  const { plainBytes, plainSha256, sealedBytes, sealedSha256 } = part.counts
  const name = partKeys({ folder: "", number }).rows.slice(1)
  return {
    format: "nightshift-archive/1",
    database: context.database,
    rule: context.rule,
    table: { schema: table.schema, name: table.name },
    target: { schema: target.schema, name: target.name },
    part: number,
    slot: context.slot.toISOString(),
    run: context.run,
    readAt: part.readAt.toISOString(),
    server: { version: context.serverVersion },
    columns: part.columns,
    orderedBy: orderColumns,
    ...(part.ages && { ages: part.ages }),
    rows: part.rows,
    object: { name, plainBytes, plainSha256, sealedBytes, sealedSha256 },
    settings: pinnedSettings,
    recipients: context.recipients.fingerprints,
  }
}
