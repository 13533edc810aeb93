const frameMagic = 0xfd2fb528
const startBytes = 5
const blockHeaderBytes = 3
const checksumBytes = 4

/**
 * Follows the frames of zstd data without decoding them (RFC 8878, section 3.1.1).
 *
 * Node's decoder drops a frame that follows another in the same write, and takes a file that ends between frames for granted
 * whatever was lost: so it gets nothing that reaches over the end of a frame, and the walker says whether the end was one.
 */
export type FrameWalker = {
  /** The same bytes in order, divided where a frame ends. Throws at what is neither a frame nor a part of one. */
  cut(bytes: Uint8Array): Uint8Array[]
  /** Throws unless at least one frame came and the last one is complete. */
  finish(): void
}

type Part = "start" | "rest of header" | "block header" | "block"

export function frameWalker(): FrameWalker {
  const head = Buffer.alloc(startBytes)
  let part: Part = "start"
  let remaining = startBytes
  let isLastBlock = false
  let hasChecksum = false
  let frames = 0

  function cut(bytes: Uint8Array): Uint8Array[] {
    const pieces: Uint8Array[] = []
    let begin = 0
    for (let at = 0; at < bytes.length; ) {
      const step = Math.min(remaining, bytes.length - at)
      if (part === "start") head.set(bytes.subarray(at, at + step), startBytes - remaining)
      if (part === "block header") head.set(bytes.subarray(at, at + step), blockHeaderBytes - remaining)
      at += step
      remaining -= step
      while (remaining === 0) nextPart()
      if (part === "start" && remaining === startBytes) {
        pieces.push(bytes.subarray(begin, at))
        begin = at
      }
    }
    if (begin < bytes.length) pieces.push(bytes.subarray(begin))
    return pieces
  }

  function nextPart(): void {
    if (part === "start") {
      const header = frameHeader(head)
      hasChecksum = header.hasChecksum
      enter("rest of header", header.restBytes)
    } else if (part === "block header") {
      const block = blockHeader(head)
      isLastBlock = block.isLast
      enter("block", block.bytes + (isLastBlock && hasChecksum ? checksumBytes : 0))
    } else if (part === "block" && isLastBlock) {
      frames++
      enter("start", startBytes)
    } else enter("block header", blockHeaderBytes)
  }

  function enter(next: Part, bytes: number): void {
    part = next
    remaining = bytes
  }

  function finish(): void {
    if (frames === 0 || part !== "start" || remaining < startBytes) {
      throw new Error("the compressed data is cut off: it ends inside a zstd frame")
    }
  }

  return { cut, finish }
}

/** How much of a frame's header follows its first 5 bytes, and whether 4 bytes of checksum follow its last block. */
function frameHeader(head: Buffer): { restBytes: number; hasChecksum: boolean } {
  const descriptor = head[4] ?? 0
  const reserved = descriptor & 0x08
  if (head.readUInt32LE(0) !== frameMagic || reserved)
    throw new Error("the unsealed data is not zstd: no frame begins here")
  const isSingleSegment = (descriptor & 0x20) !== 0
  const sizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 0x03] ?? 0
  return { restBytes: (isSingleSegment ? 0 : 1) + dictionaryBytes + sizeBytes, hasChecksum: (descriptor & 0x04) !== 0 }
}

/** How many bytes of the block follow its 3 bytes of header. A block of one repeated byte holds only that byte. */
function blockHeader(head: Buffer): { bytes: number; isLast: boolean } {
  const header = head.readUIntLE(0, blockHeaderBytes)
  const kind = (header >> 1) & 0x03
  if (kind === 3) throw new Error("the compressed data is damaged: a zstd block of a reserved kind")
  return { bytes: kind === 1 ? 1 : header >> 3, isLast: (header & 1) === 1 }
}
