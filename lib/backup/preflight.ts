import { randomBytes } from "node:crypto"
import { buffer } from "node:stream/consumers"
import type { Client } from "pg"
import { errorText } from "../core/error-text.ts"
import type { Log } from "../core/log.ts"
import { type PostgresAddress, tlsWeakness } from "../postgres/address.ts"
import { listUnreadable, renderUnreadable } from "../postgres/preflight.ts"
import { findDumpPrograms } from "../postgres/programs.ts"
import type { Recipients } from "../seal/recipients.ts"
import type { Store } from "../store/store.ts"
import type { Manifest, ServerFacts } from "./manifest.ts"
import type { Excluded } from "./proof.ts"
import { newestSetFolder, readSet } from "./set.ts"
import { readServerFacts } from "./source.ts"

export type PreflightOrder = {
  database: string
  address: PostgresAddress
  store: Store
  recipients: Recipients
  settings: { excluded: Excluded }
  binDirectories: readonly string[]
  log: Log
  signal: AbortSignal
}

/** All that must be known and right before the first byte is dumped. */
export type Preflight = {
  server: ServerFacts
  databaseBytes: number
  programs: { pg_dump: string; pg_dumpall: string }
  clientVersion: string
  /** Manifest of the newest committed set, to compare the new one with. */
  previous: Manifest | undefined
  warnings: string[]
}

/** Looks at the server, the role's rights, the programs and the newest set. Throws an error that names everything in the way. */
export async function preflight(client: Client, order: PreflightOrder): Promise<Preflight> {
  const { server, databaseBytes } = await readServerFacts(client)
  const found = await findDumpPrograms(server.major, ["pg_dump", "pg_dumpall"], order)
  const unreadable = renderUnreadable(await listUnreadable(client, order.settings.excluded), order.address.user)
  if (unreadable) throw new Error(unreadable)
  const previous = await previousManifest(order)
  const weakness = tlsWeakness(order.address)
  return {
    server,
    databaseBytes,
    programs: found.paths,
    clientVersion: String(found.major),
    previous: previous.manifest,
    warnings: [
      ...order.recipients.warnings,
      ...[weakness, found.warning, previous.warning].filter((text) => text !== undefined),
    ],
  }
}

/** An unreadable manifest must not keep tonight's backup from being made. */
async function previousManifest({
  store,
  database,
  signal,
}: PreflightOrder): Promise<{ manifest: Manifest | undefined; warning?: string }> {
  const folder = await newestSetFolder(store, database)
  if (!folder) return { manifest: undefined }
  try {
    return { manifest: (await readSet(store, folder, signal)).manifest }
  } catch (error) {
    signal.throwIfAborted()
    return { manifest: undefined, warning: `the new set was compared with none before it: ${errorText(error)}` }
  }
}

/** Writes, reads back and removes a small object, as a real backup would. Says what this key may do. */
export async function probeStore(store: Store, database: string, signal: AbortSignal): Promise<string> {
  const key = `${database}/.probe-${randomBytes(6).toString("hex")}`
  const bytes = randomBytes(64)
  await store.put(key, bytes, { contentType: "application/octet-stream", signal })
  const back = await buffer(await store.get(key, { signal }))
  if (!back.equals(bytes)) throw new Error(`${store.name} gave back other bytes than were written`)
  try {
    await store.remove(key)
    return "write, read and delete"
  } catch (error) {
    return `write and read (${key} stays, as it should where the key may not delete: ${errorText(error)})`
  }
}
