import { createHash } from "node:crypto"
import { buffer } from "node:stream/consumers"
import { type Manifest, parseManifest } from "../../lib/backup/manifest.ts"
import { listSetFolders, objectNames, setKey } from "../../lib/backup/set.ts"
import type { Store } from "../../lib/store/store.ts"

/** Names of what counts as a backup of `main`, oldest first. */
export async function committedSets(store: Store): Promise<string[]> {
  return (await listSetFolders(store, "main")).filter(({ isCommitted }) => isCommitted).map(({ id }) => id)
}

/** The days of what counts as a backup of `main`: names end with the second of the snapshot, which depends on how fast the machine is. */
export async function committedDays(store: Store): Promise<string[]> {
  return (await committedSets(store)).map((id) => id.slice(0, 10))
}

/** Every object with the hash of its content: what must not change on a bad day. */
export async function contents(store: Store): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const { key } of await store.list("")) found[key] = sha256(await readObject(store, key))
  return found
}

export async function readObject(store: Store, key: string): Promise<Buffer> {
  return buffer(await store.get(key))
}

export async function readManifest(store: Store, set: string): Promise<Manifest> {
  return parseManifest(await readObject(store, setKey("main", set, objectNames.manifest)))
}

/** Puts other bytes in the place of an object. */
export async function replaceObject(store: Store, key: string, change: (bytes: Buffer) => Uint8Array): Promise<void> {
  await store.put(key, change(await readObject(store, key)), { contentType: "application/octet-stream" })
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex")
}
