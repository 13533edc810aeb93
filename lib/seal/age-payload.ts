import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto"
import { byteQueue } from "./byte-queue.ts"

const algorithm = "chacha20-poly1305"
const nonceBytes = 16
const chunkBytes = 64 * 1024
const tagBytes = 16
const sealedChunkBytes = chunkBytes + tagBytes
const maxChunks = 2 ** 48

/**
 * Encrypts the payload of an age file: what follows the header (https://c2sp.org/age, "Payload"). The caller writes what `start`, `seal`
 * and `finish` return, in order. The last chunk comes from `finish` alone: without it nobody can open the file to its end.
 */
export type PayloadSealer = { start(): Uint8Array; seal(bytes: Uint8Array): Uint8Array; finish(): Uint8Array }

export function payloadSealer(fileKey: Uint8Array): PayloadSealer {
  const nonce = randomBytes(nonceBytes)
  const key = payloadKey(fileKey, nonce)
  const queue = byteQueue()
  let counter = 0
  return {
    start: () => nonce,
    seal(bytes) {
      queue.push(bytes)
      const chunks: Uint8Array[] = []
      while (queue.size > chunkBytes) chunks.push(...sealChunk(key, counter++, false, queue.take(chunkBytes)))
      return joined(chunks)
    },
    finish: () => joined(sealChunk(key, counter, true, queue.take(queue.size))),
  }
}

/** How long the payload of so many bytes is, nonce and tags included. */
export function payloadSize(plainBytes: number): number {
  return nonceBytes + plainBytes + tagBytes * Math.max(1, Math.ceil(plainBytes / chunkBytes))
}

/**
 * Decrypts a payload. Each chunk that `open` gives is authentic, but only `finish` tells that the end was not cut off. Both throw when
 * the payload is not what was sealed with this file key.
 */
export type PayloadOpener = { open(bytes: Uint8Array): Iterable<Uint8Array>; finish(): Uint8Array }

export function payloadOpener(fileKey: Uint8Array): PayloadOpener {
  const queue = byteQueue()
  let key: Uint8Array | undefined
  let counter = 0
  let hasEnded = false

  function* open(bytes: Uint8Array): Generator<Uint8Array> {
    queue.push(bytes)
    if (!key && queue.size >= nonceBytes) key = payloadKey(fileKey, queue.take(nonceBytes))
    while (key && queue.size >= sealedChunkBytes && !hasEnded) {
      const sealed = queue.take(sealedChunkBytes)
      const chunk = openChunk(key, counter, false, sealed)
      hasEnded = chunk === undefined
      yield chunk ?? openChunk(key, counter, true, sealed) ?? damaged(counter)
      counter++
    }
    if (hasEnded && queue.size > 0) throw new Error("the sealed data goes on after its end: something was added to it")
  }

  function finish(): Uint8Array {
    if (hasEnded) return new Uint8Array()
    if (!key || queue.size < tagBytes) throw new Error("the sealed data is cut off: its last chunk is missing")
    const sealed = queue.take(queue.size)
    const chunk = openChunk(key, counter, true, sealed) ?? damaged(counter)
    if (chunk.length === 0 && counter > 0) throw new Error("the sealed data is malformed: its last chunk is empty")
    return chunk
  }

  return { open, finish }
}

/** Nonce of a chunk: 11 bytes of counter, big-endian, and one that is 1 for the last chunk. Refuses to count further than 2^48. */
export function chunkNonce(counter: number, isLast: boolean): Uint8Array {
  if (counter >= maxChunks) throw new RangeError("too much data for one age file: over 2^48 chunks")
  const nonce = Buffer.alloc(12)
  nonce.writeUIntBE(counter, 5, 6)
  nonce[11] = isLast ? 1 : 0
  return nonce
}

function payloadKey(fileKey: Uint8Array, nonce: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", fileKey, nonce, "payload", 32))
}

function sealChunk(key: Uint8Array, counter: number, isLast: boolean, chunk: Uint8Array): Uint8Array[] {
  const cipher = createCipheriv(algorithm, key, chunkNonce(counter, isLast), { authTagLength: tagBytes })
  const sealed = cipher.update(chunk)
  cipher.final()
  return [sealed, cipher.getAuthTag()]
}

/** One piece of the cipher's own output, which is freed at once: much work for the garbage collector, and nobody else holds it. */
function joined(parts: Uint8Array[]): Uint8Array {
  const whole = Buffer.concat(parts)
  for (const { buffer, length } of parts) {
    if (buffer instanceof ArrayBuffer && buffer.byteLength === length) buffer.transfer(0)
  }
  return whole
}

/** The chunk's plain bytes, or `undefined` when it is not authentic. */
function openChunk(key: Uint8Array, counter: number, isLast: boolean, sealed: Uint8Array): Uint8Array | undefined {
  const decipher = createDecipheriv(algorithm, key, chunkNonce(counter, isLast), { authTagLength: tagBytes })
  decipher.setAuthTag(sealed.subarray(-tagBytes))
  const chunk = decipher.update(sealed.subarray(0, -tagBytes))
  try {
    decipher.final()
  } catch {
    return undefined
  }
  return chunk
}

function damaged(counter: number): never {
  const position = nonceBytes + counter * sealedChunkBytes
  throw new Error(
    `the sealed data is damaged or cut off: chunk ${counter}, at byte ${position} of the payload, is not authentic`,
  )
}
