import { pipeline } from "node:stream"
import { constants, createZstdDecompress, type ZstdCompress, zstdCompress } from "node:zlib"
import { byteQueue } from "./byte-queue.ts"
import { frameWalker } from "./frame-walker.ts"

const frameBytes = 1024 * 1024
const framesInFlight = 3
const outputBytes = 256 * 1024

/**
 * Compresses to a row of zstd frames of 1 MiB each, which any decoder reads as one content (RFC 8878, section 3). Frames can be made
 * on several threads at once, as one long frame could not, and each holds its length and a checksum. Nothing gives one empty frame.
 * Throws at the end unless the compressor took every byte.
 */
export async function* compressFrames(source: AsyncIterable<Uint8Array>, level: number): AsyncGenerator<Uint8Array> {
  let givenBytes = 0
  let takenBytes = 0
  const blocks = inBlocks(source, (bytes) => {
    givenBytes += bytes
  })
  for await (const frame of inOrder(blocks, framesInFlight, (block) => compressFrame(block, level))) {
    takenBytes += frame.takenBytes
    yield frame.bytes
  }
  if (takenBytes !== givenBytes) throw new Error(`of ${givenBytes} bytes only ${takenBytes} were compressed`)
}

/** Decodes a row of zstd frames, whoever made them. Throws when the last one is not complete or something else comes behind it. */
export async function* decompressFrames(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const decoder = createZstdDecompress({ chunkSize: outputBytes })
  let givenBytes = 0
  async function* wholeFrames(chunks: AsyncIterable<Uint8Array>) {
    const walker = frameWalker()
    for await (const chunk of chunks) {
      givenBytes += chunk.length
      yield* walker.cut(chunk)
    }
    walker.finish()
  }
  try {
    yield* pipeline(source, wholeFrames, decoder, failedAlready)
  } catch (error) {
    throw isZstdError(error) ? new Error("the compressed data is damaged", { cause: error }) : error
  }
  if (decoder.bytesWritten !== givenBytes) {
    throw new Error(`of ${givenBytes} compressed bytes only ${decoder.bytesWritten} were decoded`)
  }
}

async function* inBlocks(
  source: AsyncIterable<Uint8Array>,
  given: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  const queue = byteQueue()
  let count = 0
  for await (const chunk of source) {
    given(chunk.length)
    queue.push(chunk)
    for (; queue.size >= frameBytes; count++) yield queue.take(frameBytes)
  }
  if (queue.size > 0 || count === 0) yield queue.take(queue.size)
}

/** Works on up to `limit` items at a time and gives the results in the order of the items. */
async function* inOrder<T, R>(
  items: AsyncIterable<T>,
  limit: number,
  work: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const pending: Promise<R>[] = []
  for await (const item of items) {
    const result = work(item)
    result.catch(() => undefined) // thrown where it is awaited; nobody awaits it when something else failed before
    pending.push(result)
    const oldest = pending.length >= limit ? pending.shift() : undefined
    if (oldest) yield await oldest
  }
  for (const result of pending) yield await result
}

function compressFrame(block: Uint8Array, level: number): Promise<{ bytes: Uint8Array; takenBytes: number }> {
  const params = { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_checksumFlag]: 1 }
  return new Promise((resolve, reject) => {
    zstdCompress(block, { params, chunkSize: outputBytes, info: true }, (error, result) => {
      if (error) return reject(error)
      // `info` changes the shape of the result, which its type does not say.
      const { buffer, engine } = result as unknown as { buffer: Buffer; engine: ZstdCompress }
      resolve({ bytes: buffer, takenBytes: engine.bytesWritten })
    })
  })
}

function isZstdError(error: unknown): boolean {
  return error instanceof Error && "code" in error && String(error.code).startsWith("ZSTD_")
}

/** The failure is thrown where the last stream of the pipeline is read. */
function failedAlready(): void {}
