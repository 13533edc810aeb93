import { Readable } from "node:stream"
import { buffer } from "node:stream/consumers"
import { generateHybridIdentity, generateX25519Identity, identityToRecipient } from "age-encryption"
import type { Recipients } from "../seal/recipients.ts"
import { type Counts, unsealStream } from "../seal/seal.ts"
import type { Store } from "../store/store.ts"
import { recordCounter } from "./archive-csv.ts"
import type { SealedPart } from "./archive-read.ts"

/** A key that lives in this run's memory alone, so that what was stored can be opened once more before anything is deleted. */
export type PassingKey = { identity: string; recipient: string }

/** Of the kind of the team's own keys: a file is only as safe against a quantum computer as its weakest recipient. */
export async function makePassingKey({ kind }: Pick<Recipients, "kind">): Promise<PassingKey> {
  const identity = await (kind === "post-quantum" ? generateHybridIdentity() : generateX25519Identity())
  return { identity, recipient: await identityToRecipient(identity) }
}

/**
 * Stores the sealed rows under `key`, reads the whole object back, opens it, and compares bytes, hashes and rows with what was read from the
 * table. Rejects, naming the difference, when anything differs; the object then counts for nothing.
 */
export async function storeVerified(
  store: Store,
  key: string,
  { rows, chunks, counts }: SealedPart,
  { identity }: PassingKey,
  signal: AbortSignal,
): Promise<void> {
  if ((await store.head(key)) !== undefined)
    throw new Error(`${key} exists already in ${store.name}: nothing was written over it, and nothing deleted`)
  const options = { contentType: "application/octet-stream", expectedBytes: counts.sealedBytes, signal }
  await store.put(key, Readable.from(chunks), options)
  const differences = await readBack(store, key, { rows, counts }, identity, signal).catch((cause: unknown) => {
    signal.throwIfAborted()
    throw new Error(`${key} could not be read back from ${store.name}, so nothing was deleted`, { cause })
  })
  if (differences.length > 0)
    throw new Error(
      `${key} came back from ${store.name} other than it was stored, so nothing was deleted: ${differences.join("; ")}`,
    )
}

/** Stores a small clear object, and reads it back. */
export async function putDocument(store: Store, key: string, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  await store.put(key, bytes, { contentType: "application/json", signal })
  const found = await buffer(await store.get(key, { signal }))
  if (!found.equals(bytes)) throw new Error(`${key} came back from ${store.name} other than it was stored`)
}

const documentLimitBytes = 4 * 1024 * 1024

/** A manifest or receipt; rejects when it is larger than one can be. */
export async function readSmall(store: Store, key: string, signal: AbortSignal): Promise<Uint8Array> {
  const head = await store.head(key)
  if (head && head.sizeBytes > documentLimitBytes)
    throw new Error(
      `${key} in ${store.name} has ${head.sizeBytes} bytes, at most ${documentLimitBytes} are expected of it`,
    )
  return buffer(await store.get(key, { signal }))
}

async function readBack(
  store: Store,
  key: string,
  expected: Pick<SealedPart, "rows" | "counts">,
  identity: string,
  signal: AbortSignal,
): Promise<string[]> {
  const { plain, counts } = unsealStream(await store.get(key, { signal }), { keys: [identity] })
  const records = recordCounter()
  for await (const chunk of plain) records.add(chunk)
  return differencesOf({ ...expected.counts, rows: expected.rows }, counts(), records.records - 1)
}

type Facts = Pick<Counts, "plainBytes" | "plainSha256" | "sealedBytes" | "sealedSha256"> & { rows: number }

/** What of a part is not as it should be, each with both values. */
export function differencesOf(expected: Facts, found: Omit<Facts, "rows">, rows: number): string[] {
  const pairs: [string, string | number, string | number][] = [
    ["sealed bytes", expected.sealedBytes, found.sealedBytes],
    ["SHA-256 of the sealed bytes", expected.sealedSha256, found.sealedSha256],
    ["plain bytes", expected.plainBytes, found.plainBytes],
    ["SHA-256 of the plain bytes", expected.plainSha256, found.plainSha256],
    ["rows", expected.rows, rows],
  ]
  return pairs.filter(([, a, b]) => a !== b).map(([what, a, b]) => `${what}: expected ${a}, found ${b}`)
}
