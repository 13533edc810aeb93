/** Bytes that came in pieces of any size and are wanted in pieces of another. */
export type ByteQueue = {
  readonly size: number
  push(bytes: Uint8Array): void
  /** Takes the first `count` bytes, without copying them where they came in one piece. `count` is at most `size`. */
  take(count: number): Uint8Array
}

export function byteQueue(): ByteQueue {
  const pieces: Uint8Array[] = []
  let size = 0

  function take(count: number): Uint8Array {
    if (count > size) throw new RangeError(`cannot take ${count} of ${size} bytes`)
    size -= count
    const parts: Uint8Array[] = []
    let missing = count
    while (missing > 0) {
      const piece = pieces.shift() ?? new Uint8Array()
      parts.push(piece.subarray(0, missing))
      if (piece.length > missing) pieces.unshift(piece.subarray(missing))
      missing -= Math.min(missing, piece.length)
    }
    const [only = new Uint8Array()] = parts
    return parts.length > 1 ? Buffer.concat(parts, count) : only
  }

  return {
    get size() {
      return size
    },
    push(bytes) {
      if (bytes.length > 0) pieces.push(bytes)
      size += bytes.length
    },
    take,
  }
}
