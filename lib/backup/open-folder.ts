import { errorText } from "../core/error-text.ts"
import type { Log } from "../core/log.ts"
import type { Recipients } from "../seal/recipients.ts"
import { sealBytes } from "../seal/seal.ts"
import type { Store } from "../store/store.ts"
import type { StoredObjectFacts } from "./manifest.ts"
import { objectNames, setId, setKey } from "./set.ts"

export type OpenFolder = {
  id: string
  /** Full key of an object of this set. */
  key(name: string): string
  put(name: string, bytes: Uint8Array, contentType: string): Promise<void>
  /** Seals a small text and stores it. */
  seal(name: string, text: string): Promise<StoredObjectFacts>
  /** Stores the manifest: the last object, which makes the folder a set. */
  commit(manifest: Uint8Array): Promise<void>
}

export type FolderOrder = {
  store: Store
  database: string
  recipients: Recipients
  at: Date
  log: Log
  signal: AbortSignal
}

/** The manifest may or may not have arrived. */
export class CommitUncertain extends Error {
  constructor(folder: string, cause: unknown) {
    super(`${folder} is a complete set if its manifest.json arrived, and counts as nothing if not`, { cause })
    this.name = "CommitUncertain"
  }
}

const idAttempts = 120
const cleanupLimitMs = 3000

/**
 * Runs `fn` with a set folder that nobody used before. When `fn` fails, what it stored is removed again as far as this key may delete;
 * without a manifest the rest counts as nothing, and `prune` takes it later. Once the manifest is on its way nothing is removed:
 * it may have arrived in spite of the error, and a manifest without its objects would look like a backup.
 */
export async function withSetFolder<T>(order: FolderOrder, fn: (folder: OpenFolder) => Promise<T>): Promise<T> {
  const { store, database, recipients, log, signal } = order
  const id = await unusedId(order)
  const key = (name: string) => setKey(database, id, name)
  const put = async (name: string, bytes: Uint8Array, contentType: string) => {
    await store.put(key(name), bytes, { contentType, expectedBytes: bytes.length, signal })
  }
  const seal = async (name: string, text: string) => {
    const sealed = await sealBytes(new TextEncoder().encode(text), recipients)
    await put(name, sealed.bytes, "application/octet-stream")
    const { plainBytes, plainSha256, sealedBytes, sealedSha256 } = sealed.counts
    return { name, plainBytes, plainSha256, sealedBytes, sealedSha256 }
  }
  let isCommitting = false
  const commit = async (manifest: Uint8Array) => {
    signal.throwIfAborted()
    isCommitting = true
    await put(objectNames.manifest, manifest, "application/json")
  }
  try {
    return await fn({ id, key, put, seal, commit })
  } catch (error) {
    if (isCommitting) throw new CommitUncertain(`${key("")} in ${store.name}`, error)
    await removeRemains(store, key(""), log)
    throw error
  }
}

/** Two sets in one second must not meet: the later one takes the next free second. */
async function unusedId({ store, database, at }: FolderOrder): Promise<string> {
  for (let second = 0; second < idAttempts; second++) {
    const id = setId(new Date(at.getTime() + second * 1000))
    if ((await store.list(setKey(database, id, ""))).length === 0) return id
  }
  throw new Error(
    `${database}/${setId(at)} and the ${idAttempts} seconds after it hold sets already in ${store.name}: check the clock`,
  )
}

async function removeRemains(store: Store, prefix: string, log: Log): Promise<void> {
  const limit = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error(`not done within ${cleanupLimitMs / 1000} s`)), cleanupLimitMs).unref()
  })
  try {
    await Promise.race([removeAll(store, prefix), limit])
  } catch (error) {
    log.warn(`what the failed backup left at ${prefix} stays until prune removes it: ${errorText(error)}`)
  }
}

async function removeAll(store: Store, prefix: string): Promise<void> {
  for (const object of await store.list(prefix)) await store.remove(object.key)
}
