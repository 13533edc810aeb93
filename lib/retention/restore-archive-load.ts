import { pipeline } from "node:stream/promises"
import type { Client } from "pg"
import { from as copyFrom } from "pg-copy-streams"
import { quoteName, quoteTable, type TableName } from "../postgres/name.ts"
import { withTransaction } from "../postgres/transaction.ts"
import { type Identities, unsealStream } from "../seal/seal.ts"
import type { Store } from "../store/store.ts"
import { recordCounter, withoutRecords } from "./archive-csv.ts"
import { pins } from "./archive-read.ts"
import { differencesOf } from "./archive-store.ts"
import type { RestorablePart } from "./restore-archive-parts.ts"

export type LoadContext = {
  client: Client
  store: Store
  identities: Identities
  run: string
  signal: AbortSignal
}

/** A table that parts are loaded into. */
export type SideTable = TableName & { oid: string }

/**
 * Loads a part in one transaction, which is committed only when the file was read to its end and found to be what the manifest says.
 * Returns how many rows were loaded, or `undefined` when they had been before.
 */
export async function loadPart(
  context: LoadContext,
  part: RestorablePart,
  into: SideTable,
): Promise<number | undefined> {
  const { client, run } = context
  const { key, manifest, rowsKept } = part
  return withTransaction(client, {}, async () => {
    const wanted = manifest.rows - rowsKept.length
    const { rowCount } = await client.query(
      `insert into ops.archive_load (object_key, table_oid, sealed_sha256, rows, run_id) values ($1, $2, $3, $4, $5)
       on conflict do nothing`,
      [key, into.oid, manifest.object.sealedSha256, wanted, run],
    )
    if (rowCount === 0) return undefined
    await client.query(`select ${pins("true")}`)
    const loaded = await copyRows(context, part, into)
    if (loaded !== wanted) throw new Error(`${key}: expected ${wanted} rows, the server took ${loaded}`)
    return loaded
  })
}

async function copyRows(
  { client, store, identities, signal }: LoadContext,
  part: RestorablePart,
  into: TableName,
): Promise<number> {
  const { key, manifest, rowsKept } = part
  const { plain, counts } = unsealStream(await store.get(key, { signal }), identities)
  const records = recordCounter()
  const left = new Set(rowsKept)
  const columns = manifest.columns.map(({ name }) => quoteName(name)).join(", ")
  const copy = client.query(
    copyFrom(`copy ${quoteTable(into)} (${columns}) from stdin (format csv, header, encoding 'UTF8')`),
  )
  await pipeline(
    plain,
    async function* (chunks: AsyncIterable<Uint8Array>) {
      for await (const chunk of chunks) {
        records.add(chunk)
        yield chunk
      }
    },
    (chunks: AsyncIterable<Uint8Array>) => withoutRecords(chunks, left),
    copy,
  )
  const differences = differencesOf({ ...manifest.object, rows: manifest.rows }, counts(), records.records - 1)
  if (differences.length > 0) throw new Error(`${key} is not what its manifest says: ${differences.join("; ")}`)
  return copy.rowCount
}
