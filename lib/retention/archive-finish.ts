import type { Client } from "pg"
import type { Log } from "../core/log.ts"
import { missingTables } from "../postgres/ops-schema.ts"
import type { Store } from "../store/store.ts"
import { failureText } from "./archive-failure.ts"
import { type ArchiveReceipt, renderDocument } from "./archive-manifest.ts"
import { archivePrefix, partKeys, partOfKey } from "./archive-names.ts"
import { deletedOf, movePart, type PartRow, readPartRow, unfinishedParts } from "./archive-state.ts"
import { putDocument } from "./archive-store.ts"

export type FinishContext = {
  /** In the exclusive session; outside of a transaction. */
  client: Client
  /** Name of the database in the configuration: part of every key. */
  database: string
  store: Store
  run: string
  log: Log
  signal: AbortSignal
}

/** What earlier runs had left, and what became of it. `problems` are parts that need a person. */
export type Resumed = { closed: number; abandoned: number; problems: string[] }

/**
 * Deals with every part that an earlier run left unfinished; to be called before anything is archived, under the lock of the database. Which
 * rows left the table is known from the state alone: it changed in the transaction that deleted them. A part of which none did is given
 * up and its rows are archived anew; one of which they did gets the receipt that was still to be written.
 */
export async function resumeArchives(context: FinishContext): Promise<Resumed> {
  const { client, database, log, signal } = context
  const resumed: Resumed = { closed: 0, abandoned: 0, problems: [] }
  if ((await missingTables(client, ["archive_part"])).length > 0) return resumed
  for (const part of await unfinishedParts(client, archivePrefix(database))) {
    signal.throwIfAborted()
    try {
      if (part.state === "deleted") {
        await closePart(context, part.id)
        resumed.closed++
      } else {
        await abandonPart(context, part.id, `run ${part.run} ended before its rows were deleted`)
        resumed.abandoned++
      }
    } catch (error) {
      signal.throwIfAborted()
      log.warn(`part ${part.key} of an archive could not be finished: ${failureText(error)}`)
      resumed.problems.push(`${part.key}: ${failureText(error)}`)
    }
  }
  return resumed
}

/** Writes the receipt of a part whose rows were deleted. Rejects when the rows are not on the store: then nobody has them. */
export async function closePart({ client, store, signal }: FinishContext, id: string): Promise<void> {
  const part = await readPartRow(client, id)
  const { sealedSha256, rowsDeleted, rowsKept } = deletedOf(part)
  if ((await store.head(part.key)) === undefined)
    throw new Error(
      `its ${rowsDeleted} rows were deleted from the table and ${part.key} is not in ${store.name}: find out who removed it, or where the store is that the run used`,
    )
  const receipt: ArchiveReceipt = {
    format: "nightshift-archive-receipt/1",
    name: nameOf(part.key),
    sealedSha256,
    run: part.run,
    deletedAt: part.changedAt.toISOString(),
    rowsDeleted,
    rowsKept,
  }
  await putDocument(store, keysOf(part).receipt, renderDocument(receipt), signal)
  await movePart(client, id, "deleted", "closed")
}

/**
 * Gives a part up whose rows were not deleted, and says so beside it on the store. The state is read again on a session with no transaction
 * open: what is not `deleted` then never will be.
 */
export async function abandonPart(
  { client, store, run, signal }: FinishContext,
  id: string,
  reason: string,
): Promise<void> {
  const part = await readPartRow(client, id)
  if (part.state !== "writing" && part.state !== "verified") return
  const keys = keysOf(part)
  if ((await store.head(keys.manifest)) !== undefined) {
    const mark = { format: "nightshift-archive-abandoned/1", name: nameOf(part.key), run, reason } as const
    await putDocument(store, keys.abandoned, renderDocument(mark), signal)
  }
  await movePart(client, id, part.state, "abandoned")
}

function keysOf({ key }: PartRow) {
  const name = partOfKey(key)
  if (!name) throw new Error(`${key} in ops.archive_part is no key of a part`)
  return partKeys(name)
}

function nameOf(key: string): string {
  return key.slice(key.lastIndexOf("/") + 1)
}
