import type { Readable } from "node:stream"

/** One stored object, as a listing or a look at it tells. */
export type StoredObject = { key: string; sizeBytes: number; modifiedAt: Date }

export type PutOptions = {
  contentType: string
  /** Upper bound of what will come, in bytes, where it is known: chooses the part size of a multipart upload. */
  expectedBytes?: number
  /** Object lock: not to be removed before this time, where the store supports it. */
  retainUntil?: Date
  /** Stops the transfer and leaves no object and no open upload behind. */
  signal?: AbortSignal
}

/** The bytes from `start` up to, not including, `end`. Bytes past the object's end are left out; a start past it is an error. */
export type ByteRange = { start: number; end: number }

/** What was stored: the number of bytes and their SHA-256 in hexadecimal digits. */
export type Stored = { sizeBytes: number; sha256: string }

/**
 * Where objects live. Keys are relative to the store's own prefix, use `/`, and never start or end with it.
 *
 * A put publishes a whole object or nothing: when `body` fails, is destroyed or `signal` fires, the promise rejects
 * and the key is as it was before. All methods reject with an `Error` that names the object and the store, never a credential.
 */
export type Store = {
  /** The store's URL without credentials, for people. */
  readonly name: string
  put(key: string, body: Readable | Uint8Array, options: PutOptions): Promise<Stored>
  /** Rejects with `ObjectMissing` when there is no such object. The stream fails when the object ends early. */
  get(key: string, options?: { range?: ByteRange; signal?: AbortSignal }): Promise<Readable>
  /** All objects whose key starts with `prefix` (a plain string prefix), in key order. */
  list(prefix: string): Promise<StoredObject[]>
  head(key: string): Promise<StoredObject | undefined>
  /** Removing what is not there is not an error. */
  remove(key: string): Promise<void>
  /** Ends uploads below `prefix` that were begun before `olderThan` and never finished; returns how many. */
  sweep(prefix: string, olderThan: Date): Promise<number>
}

/** Thrown by `get` for a key that holds no object. */
export class ObjectMissing extends Error {
  constructor(key: string, store: string) {
    super(`${key} does not exist in ${store}`)
    this.name = "ObjectMissing"
  }
}
