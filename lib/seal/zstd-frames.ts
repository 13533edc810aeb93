import { pipeline } from "node:stream"
import { constants, createZstdCompress, createZstdDecompress, type ZstdCompress } from "node:zlib"
import { freeBlock } from "../system/pipe.ts"
import { byteQueue } from "./byte-queue.ts"
import { frameWalker } from "./frame-walker.ts"

const frameBytes = 512 * 1024
const outputBytes = 256 * 1024

/**
 * Compresses to a row of zstd frames of 512 KiB each, which any decoder reads as one content (RFC 8878, section 3). Knowing the length of
 * what it gets, the compressor is a quarter faster than with one endless frame. Each frame has a checksum.
 * Throws at the end unless the compressor took every byte.
 */
export async function* compressFrames(source: AsyncIterable<Uint8Array>, level: number): AsyncGenerator<Uint8Array> {
  const encoder = createZstdCompress({
    chunkSize: outputBytes,
    flush: constants.ZSTD_e_end, // each write is a frame
    params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_checksumFlag]: 1 },
  })
  const fed = feed(encoder, source)
  yield* encoder
  const givenBytes = await fed
  if (encoder.bytesWritten !== givenBytes) {
    throw new Error(`of ${givenBytes} bytes only ${encoder.bytesWritten} were compressed`)
  }
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

/** Gives the encoder all of `source`, and resolves with how much that was. A failure is thrown where the encoder is read. */
async function feed(encoder: ZstdCompress, source: AsyncIterable<Uint8Array>): Promise<number> {
  let givenBytes = 0
  try {
    for await (const block of inBlocks(source)) {
      givenBytes += block.length
      await write(encoder, block)
      freeBlock(block)
    }
    encoder.end()
  } catch (error) {
    encoder.destroy(error as Error)
  }
  return givenBytes
}
/** Resolves when the bytes were compressed, and are needed no more. */
function write(encoder: ZstdCompress, block: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    encoder.write(block, (error) => (error ? reject(error) : resolve()))
  })
}

async function* inBlocks(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const queue = byteQueue()
  for await (const chunk of source) {
    queue.push(chunk)
    while (queue.size >= frameBytes) yield queue.take(frameBytes)
  }
  if (queue.size > 0) yield queue.take(queue.size)
}

function isZstdError(error: unknown): boolean {
  return error instanceof Error && "code" in error && String(error.code).startsWith("ZSTD_")
}

/** The failure is thrown where the last stream of the pipeline is read. */
function failedAlready(): void {}
