import { createHash } from "node:crypto"
import { createWriteStream } from "node:fs"
import { join } from "node:path"
import { pipeline } from "node:stream/promises"
import { errorText } from "../core/error-text.ts"
import type { Log } from "../core/log.ts"
import type { Store } from "../store/store.ts"
import type { StoredObjectFacts } from "./manifest.ts"
import { judged, type Level } from "./receipt.ts"
import { type BackupSet, setKey } from "./set.ts"

export type Downloaded = { level: Level; files: Map<string, string> }

/** Fetches every sealed object of a set to `dir` and compares size and SHA-256 with the manifest. */
export async function downloadSet(
  store: Store,
  set: BackupSet,
  dir: string,
  recordedManifestSha256: string | undefined,
  { log, signal }: { log: Log; signal: AbortSignal },
): Promise<Downloaded> {
  const { dump, proof, config, roles } = set.manifest.objects
  const objects = [dump, proof, config, ...(roles ? [roles] : [])]
  const differences: string[] = []
  const files = new Map<string, string>()
  for (const object of objects) {
    const file = join(dir, object.name)
    try {
      const complaint = await downloadObject(store, setKey(set.database, set.id, object.name), file, object, {
        log,
        signal,
      })
      if (complaint) differences.push(`${object.name}: ${complaint}`)
      else files.set(object.name, file)
    } catch (error) {
      signal.throwIfAborted()
      differences.push(`${object.name}: ${errorText(error)}`)
    }
  }
  const manifest = compareManifest(set, recordedManifestSha256)
  if (manifest.difference) differences.push(manifest.difference)
  return {
    level: judged(
      `${objects.length} objects have the size and SHA-256 of the manifest; ${manifest.detail}`,
      differences,
    ),
    files,
  }
}

/** Anyone can encrypt to a public key: only the ledger tells whether this very manifest was written by a backup run. */
function compareManifest(set: BackupSet, recorded: string | undefined): { detail: string; difference?: string } {
  if (recorded === undefined) return { detail: "the ledger at hand has no record of this set's manifest" }
  if (recorded === set.manifestSha256) return { detail: "the manifest is the one that the ledger recorded" }
  return {
    detail: "the manifest was compared with the ledger",
    difference: `manifest.json: its SHA-256 is ${set.manifestSha256}, the ledger recorded ${recorded} when the set was written`,
  }
}

async function downloadObject(
  store: Store,
  key: string,
  file: string,
  expected: StoredObjectFacts,
  { log, signal }: { log: Log; signal: AbortSignal },
): Promise<string | undefined> {
  const hash = createHash("sha256")
  let bytes = 0
  const progress = log.progress(`download ${expected.name}`, expected.sealedBytes)
  const source = await store.get(key, { signal })
  try {
    await pipeline(
      source,
      async function* (chunks: AsyncIterable<Uint8Array>) {
        for await (const chunk of chunks) {
          hash.update(chunk)
          bytes += chunk.length
          progress.at(bytes)
          if (bytes > expected.sealedBytes) return
          yield chunk
        }
      },
      createWriteStream(file, { mode: 0o600 }),
      { signal },
    )
  } finally {
    progress.done()
  }
  if (bytes !== expected.sealedBytes)
    return `expected ${expected.sealedBytes} bytes, found ${bytes > expected.sealedBytes ? "more" : bytes}`
  const sha256 = hash.digest("hex")
  return sha256 === expected.sealedSha256 ? undefined : `expected SHA-256 ${expected.sealedSha256}, found ${sha256}`
}
