import { constants, createZstdCompress } from "node:zlib"
import { freeBlock } from "../system/pipe.ts"
import { byteQueue } from "./byte-queue.ts"
import { frameWalker } from "./frame-walker.ts"

const frameBytes = 512 * 1024
const outputBytes = 256 * 1024
const encoderCount = 3

/**
 * Compresses to a row of zstd frames of 512 KiB each, which any decoder reads as one content (RFC 8878, section 3). Knowing the length
 * of what it gets, the compressor is a quarter faster than with one endless frame, and several can work at once. Each frame has a checksum;
 * no bytes give one empty frame. Throws at the end unless every byte was taken.
 */
export async function* compressFrames(source: AsyncIterable<Uint8Array>, level: number): AsyncGenerator<Uint8Array> {
  const encoders = Array.from({ length: encoderCount }, () => frameEncoder(level))
  const frames: Promise<Uint8Array>[] = []
  let givenBytes = 0
  try {
    for await (const block of inBlocks(source)) {
      const oldest = frames.length === encoderCount ? frames.shift() : undefined
      if (oldest) yield await oldest
      givenBytes += block.length
      frames.push(nextOf(encoders).compress(block))
    }
    for (const frame of frames) yield await frame
    const takenBytes = encoders.reduce((sum, encoder) => sum + encoder.takenBytes(), 0)
    if (takenBytes !== givenBytes) throw new Error(`of ${givenBytes} bytes only ${takenBytes} were compressed`)
  } finally {
    for (const encoder of encoders) encoder.close()
  }
}

async function* inBlocks(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const queue = byteQueue()
  let count = 0
  for await (const chunk of source) {
    queue.push(chunk)
    for (; queue.size >= frameBytes; count++) yield queue.take(frameBytes)
  }
  if (queue.size > 0 || count === 0) yield queue.take(queue.size)
}

/** They take turns: whose frame is the oldest is the next to be free. */
function nextOf(encoders: FrameEncoder[]): FrameEncoder {
  const encoder = encoders.shift()
  if (!encoder) throw new Error("there is no encoder")
  encoders.push(encoder)
  return encoder
}

type FrameEncoder = {
  /** One frame with all of `block`, which is freed. One at a time. */
  compress(block: Uint8Array): Promise<Uint8Array>
  takenBytes(): number
  close(): void
}

/** An encoder to which each write is a frame, and whose memory serves all of them. */
function frameEncoder(level: number): FrameEncoder {
  const encoder = createZstdCompress({
    chunkSize: outputBytes,
    flush: constants.ZSTD_e_end,
    params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_checksumFlag]: 1 },
  })
  let parts: Uint8Array[] = []
  encoder.on("data", (part) => parts.push(part))
  encoder.on("error", () => undefined) // the write that failed is told as well

  async function encode(block: Uint8Array): Promise<Uint8Array> {
    await new Promise<void>((resolve, reject) => {
      encoder.write(block, (error) => (error ? reject(error) : resolve()))
    })
    freeBlock(block)
    const frame = oneFrame(parts)
    parts = []
    return frame
  }

  function compress(block: Uint8Array): Promise<Uint8Array> {
    const frame = encode(block)
    frame.catch(() => undefined) // thrown where it is awaited; nobody does when something else failed before
    return frame
  }

  return { compress, takenBytes: () => encoder.bytesWritten, close: () => encoder.destroy() }
}

/** The parts as one piece. Throws unless they are exactly one frame: those of several encoders must not mix. */
function oneFrame(parts: Uint8Array[]): Uint8Array {
  const [only = new Uint8Array()] = parts
  const bytes = parts.length === 1 ? only : Buffer.concat(parts)
  const walker = frameWalker()
  const frames = walker.cut(bytes)
  walker.finish()
  if (frames.length !== 1) throw new Error(`the compressor gave ${frames.length} frames for one`)
  return bytes
}
