import type { Client } from "pg"
import { z } from "zod"
import { formatBytes } from "../core/size.ts"
import type { ActionResult, IndexRef } from "./actions.ts"
import { siblingsOf, sweepAfter } from "./leftovers.ts"
import { oldSnapshot } from "./obstacles.ts"

export type ReindexOrder = {
  statement: string
  table: { oid: string }
  index: IndexRef
  sizeBytes: number
  expectedBytes: number
  wasValid: boolean
}

const stateRow = z.object({ isValid: z.boolean(), sizeBytes: z.coerce.number() })

/**
 * Rebuilds an index beside readers and writers, and sees that it is valid and smaller. Does not begin while a transaction is open that it
 * would wait for. Throws what the server answers; what a failure leaves behind is dropped first.
 */
export async function reindex(client: Client, order: ReindexOrder): Promise<ActionResult> {
  const { index, sizeBytes, expectedBytes, wasValid, statement } = order
  const snapshot = await oldSnapshot(client, order.table.oid)
  if (snapshot)
    return { end: "blocked", detail: `a rebuild would wait for ${snapshot}: it is tried again when that has ended` }
  const before = await siblingsOf(client, order)
  if (!before.some(({ oid }) => oid === index.oid))
    return { end: "gone", detail: "it is gone, or was rebuilt, since the plan was made" }
  try {
    await client.query(statement)
  } catch (error) {
    if (isDuplicate(error)) {
      await sweepAfter(client, { ...order, before })
      const detail = "its rows hold duplicates, so that it cannot become valid: remove them, or drop the index"
      return { end: "violated", detail }
    }
    throw new ReindexFailed(error, await sweepOrSay(client, { ...order, before }))
  }
  if (!wasValid) await sweepAfter(client, { ...order, before })
  const { rows } = await client.query(
    `select i.indisvalid and i.indisready as "isValid", pg_relation_size(c.oid) as "sizeBytes"
       from pg_class c join pg_index i on i.indexrelid = c.oid join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = $1 and c.relname = $2`,
    [index.schema, index.name],
  )
  const [after] = z.array(stateRow).parse(rows)
  if (!after?.isValid) return { end: "failed", detail: "it was rebuilt without an error, and is not valid" }
  const sizes = { beforeBytes: sizeBytes, afterBytes: after.sizeBytes }
  const change = `${formatBytes(sizeBytes)} before, ${formatBytes(after.sizeBytes)} after`
  if (wasValid && after.sizeBytes >= sizeBytes) {
    const detail = `rebuilt and valid, but no smaller (${change}; ${formatBytes(expectedBytes)} were expected): an old snapshot keeps dead rows, or the estimate was wrong: install the extension pgstattuple, or raise care.bloatPercent`
    return { end: "blocked", detail, ...sizes }
  }
  return { end: "done", detail: `rebuilt and valid: ${change}`, ...sizes }
}

/** A rebuild that did not come to its end. Its cause is what the server answered. */
export class ReindexFailed extends Error {
  constructor(cause: unknown, swept: string) {
    super(swept, { cause })
    this.name = "ReindexFailed"
  }
}

/** What a failed rebuild left behind costs every write until it is dropped. Where that fails as well, the next run drops it. */
async function sweepOrSay(client: Client, order: Parameters<typeof sweepAfter>[1]): Promise<string> {
  try {
    const swept = await sweepAfter(client, order)
    return swept.length > 0 ? `what it left is dropped: ${swept.join(", ")}` : "it left nothing behind"
  } catch {
    return "an invalid index that it left, named with the suffix _ccnew or _ccold, is dropped by the next run" // the rebuild's own error is told
  }
}

function isDuplicate(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "23505"
}
