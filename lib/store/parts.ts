import { formatBytes } from "../core/size.ts"

/** S3 takes at most this many parts in one upload. */
export const maxParts = 10_000

const mebibyte = 1024 * 1024
const minPartBytes = 8 * mebibyte
const maxPartBytes = 5 * 1024 * mebibyte
/** What comes may be longer than was thought: a dump as text is not the size of the database. */
const headroom = 1.25
const assumedBytes = 100e9

/** The size of each part of an upload of about `expectedBytes`: all parts but the last must be equal. Unknown lengths get room for 125 GB. */
export function choosePartSize(expectedBytes = assumedBytes): number {
  const bytes = Math.ceil((expectedBytes * headroom) / maxParts / mebibyte) * mebibyte
  if (bytes > maxPartBytes)
    throw new Error(`${formatBytes(expectedBytes)} do not fit in one object: split what is stored`)
  return Math.max(minPartBytes, bytes)
}

/** Fills one buffer after the other from a stream of chunks. What is returned is shorter than the buffer only at the end. */
export function partFiller(chunks: AsyncIterator<Uint8Array>): (buffer: Uint8Array) => Promise<Uint8Array> {
  let rest: Uint8Array = new Uint8Array(0)
  return async (buffer) => {
    let filled = 0
    while (filled < buffer.length) {
      if (rest.length === 0) {
        const next = await chunks.next()
        if (next.done) break
        rest = next.value
      }
      const taken = rest.subarray(0, buffer.length - filled)
      buffer.set(taken, filled)
      filled += taken.length
      rest = rest.subarray(taken.length)
    }
    return buffer.subarray(0, filled)
  }
}
