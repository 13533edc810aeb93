import { pipeline } from "node:stream"
import { createZstdDecompress } from "node:zlib"
import { frameWalker } from "./frame-walker.ts"

const outputBytes = 256 * 1024

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

function isZstdError(error: unknown): boolean {
  return error instanceof Error && "code" in error && String(error.code).startsWith("ZSTD_")
}

/** The failure is thrown where the last stream of the pipeline is read. */
function failedAlready(): void {}
