import { createHash } from "node:crypto"
import { createWriteStream } from "node:fs"
import { join } from "node:path"
import { pipeline } from "node:stream/promises"
import { errorText } from "../core/error-text.ts"
import type { Log } from "../core/log.ts"
import { formatCounted } from "../core/size.ts"
import type { Store } from "../store/store.ts"
import { saysDiskFull } from "./disk-full.ts"
import type { StoredObjectFacts } from "./manifest.ts"
import { judged, type Level } from "./receipt.ts"
import type { Recorded } from "./recorded.ts"
import { type BackupSet, readSmallObject, setKey } from "./set.ts"

export type Downloaded = { level: Level; files: Map<string, string> }

/** Fetches every sealed object of a set to `dir` and compares size and SHA-256 of all with the manifest, and that with the ledger. */
export async function downloadSet(
  store: Store,
  set: BackupSet,
  dir: string,
  recorded: Recorded,
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
      if (saysDiskFull(error)) throw error
      differences.push(`${object.name}: ${errorText(error)}`)
    }
  }
  const recovery = await checkRecovery(store, set, signal)
  if (recovery) differences.push(recovery)
  const manifest = compareManifest(set, recorded)
  if (manifest.difference) differences.push(manifest.difference)
  return {
    level: judged(
      `${objects.length + 1} objects have the size and SHA-256 of the manifest; ${manifest.detail}`,
      differences,
    ),
    files,
  }
}

/** Anyone can encrypt to a public key: only the ledger tells whether this very manifest was written by a backup run. */
function compareManifest(set: BackupSet, recorded: Recorded): { detail: string; difference?: string } {
  const { manifestSha256, sets } = recorded
  if (manifestSha256 === set.manifestSha256) return { detail: "the manifest is the one that the ledger recorded" }
  if (sets === 0) return { detail: "who wrote the manifest is unknown: the ledger at hand has no record of any set" }
  const found =
    manifestSha256 === undefined
      ? `the ledger recorded ${formatCounted(sets, "set")} of ${set.database} and not this one: no backup run that ended well wrote it: run the backup again`
      : `its SHA-256 is ${set.manifestSha256}, the ledger recorded ${manifestSha256} when the set was written`
  return { detail: "the manifest was compared with the ledger", difference: `manifest.json: ${found}` }
}

/** The page that people follow in a recovery: small, and in clear, so that it is read whole. */
async function checkRecovery(store: Store, set: BackupSet, signal: AbortSignal): Promise<string | undefined> {
  const { name, bytes, sha256 } = set.manifest.objects.recovery
  try {
    const found = await readSmallObject(store, setKey(set.database, set.id, name), bytes, signal)
    if (createHash("sha256").update(found).digest("hex") === sha256) return undefined
    return `${name}: it is not the page that the backup wrote: do not follow what it says`
  } catch (error) {
    signal.throwIfAborted()
    return `${name}: ${errorText(error)}`
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
