import { createHash } from "node:crypto"
import { addAbortSignal, type Readable } from "node:stream"
import type { Stored } from "./store.ts"

/** The bytes of a body, counted and hashed as they are read. */
export type MeteredBody = { chunks: AsyncIterableIterator<Uint8Array>; counts(): Stored; destroy(): void }

/**
 * Takes over the body of a put. `chunks` fails when the stream fails, is destroyed, or `signal` fires, and when it was already used up
 * (a consumed stream would else become an empty object). `counts` is for the time after the last chunk.
 */
export function meteredBody(body: Readable | Uint8Array, signal: AbortSignal): MeteredBody {
  const hash = createHash("sha256")
  const source = chunksOf(body, signal)
  let sizeBytes = 0

  async function* chunks() {
    for await (const chunk of source) {
      hash.update(chunk)
      sizeBytes += chunk.length
      yield chunk
    }
    signal.throwIfAborted()
  }

  return {
    chunks: chunks(),
    counts: () => ({ sizeBytes, sha256: hash.copy().digest("hex") }),
    destroy: () => void (body instanceof Uint8Array || body.destroy()),
  }
}

async function* oneChunk(bytes: Uint8Array) {
  yield bytes
}

function chunksOf(body: Readable | Uint8Array, signal: AbortSignal): AsyncIterable<Uint8Array> {
  if (body instanceof Uint8Array) return oneChunk(body)
  if (body.readableEnded) throw new Error("the stream to store was already read to its end")
  body.on("error", () => undefined) // reaches whoever reads; alone it must not be an uncaught exception
  return bytesOf(addAbortSignal(signal, body))
}

async function* bytesOf(stream: Readable): AsyncGenerator<Uint8Array> {
  for await (const chunk of stream as AsyncIterable<unknown>) {
    if (chunk instanceof Uint8Array) yield chunk
    else if (typeof chunk === "string") yield Buffer.from(chunk)
    else throw new TypeError(`the stream to store gave a ${typeof chunk}, not bytes`)
  }
}
