import { once } from "node:events"
import { type Readable, Transform, Writable } from "node:stream"
import { pipeline } from "node:stream/promises"
import {
  constants,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createInflateRaw,
  createZstdDecompress,
} from "node:zlib"

/** `isCut`: there was more than may be read. */
export type ReadBody = { bytes: Uint8Array; isCut: boolean }

/** The message of the error with which reading fails when a coding is broken or unknown; what happens to the connection has others. */
export const unpackFailed = "the body cannot be unpacked"

/** What is asked for, and understood. */
export const acceptedCodings = "gzip, deflate, br, zstd"

const maxCodings = 3
/** 8 MiB, more than which nobody may use over HTTP (RFC 9659). */
const zstdWindowLog = 23
const enough = new Error("enough was read")

/**
 * Reads a body, unpacked as its content coding tells, up to `maxBytes` of what comes out; never holds much more than that, and leaves
 * the rest unread. `onBytes` hears of what came over the line. Rejects with the connection's error, or `unpackFailed`.
 */
export async function readBody(
  body: Readable,
  coding: string,
  maxBytes: number,
  onBytes: (sizeBytes: number) => void,
): Promise<ReadBody> {
  const unpackers = await unpackersFor(coding, body)
  if (unpackers.length === 0) return readPlain(body, maxBytes, onBytes)
  const chunks: Uint8Array[] = []
  let sizeBytes = 0
  let packedBytes = 0
  const counter = new Transform({
    transform(chunk: Uint8Array, _, done) {
      packedBytes += chunk.length
      onBytes(chunk.length)
      done(null, chunk)
    },
  })
  const collector = new Writable({
    write(chunk: Uint8Array, _, done) {
      if (sizeBytes < maxBytes) chunks.push(chunk.subarray(0, maxBytes - sizeBytes))
      sizeBytes += chunk.length
      done(sizeBytes > maxBytes ? enough : null)
    },
  })
  try {
    await pipeline([body, counter, ...unpackers, collector])
  } catch (error) {
    const isNothing = packedBytes === 0 && isUnpackError(error) // such as after HEAD
    if (error !== enough && !isNothing) {
      throw isUnpackError(error) ? new Error(`${unpackFailed} (${coding})`, { cause: error }) : error
    }
  }
  return { bytes: Buffer.concat(chunks), isCut: sizeBytes > maxBytes }
}

/** What is not packed needs no pipeline and no iterator, each of which costs more than all the rest of a small answer. */
function readPlain(body: Readable, maxBytes: number, onBytes: (sizeBytes: number) => void): Promise<ReadBody> {
  const { promise, resolve, reject } = Promise.withResolvers<ReadBody>()
  const chunks: Uint8Array[] = []
  let sizeBytes = 0
  const finish = () => resolve({ bytes: Buffer.concat(chunks), isCut: sizeBytes > maxBytes })
  body.on("data", (chunk: Uint8Array) => {
    if (sizeBytes > maxBytes) return
    onBytes(chunk.length)
    chunks.push(chunk.subarray(0, maxBytes - sizeBytes))
    sizeBytes += chunk.length
    if (sizeBytes <= maxBytes) return
    finish()
    body.destroy()
  })
  body.once("end", finish)
  body.once("error", reject)
  body.once("close", () => reject(closedEarly)) // nothing after the end
  if (body.destroyed) reject(body.errored ?? closedEarly) // it tells no more
  return promise
}

const closedEarly = new Error("the body was closed before its end")

async function unpackersFor(coding: string, body: Readable): Promise<Transform[]> {
  const names = coding
    .toLowerCase()
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "" && name !== "identity")
  if (names.length > maxCodings) throw new Error(`${unpackFailed} (${names.length} codings)`)
  if (names.length === 1 && names[0] === "deflate") return [await inflater(body)]
  return names.reverse().map((name) => {
    const make = makers.get(name)
    if (!make) throw new Error(`${unpackFailed} (unknown coding)`)
    return make()
  })
}

const makers = new Map<string, () => Transform>([
  ["gzip", createGunzip],
  ["x-gzip", createGunzip],
  ["deflate", createInflate],
  ["br", createBrotliDecompress],
  ["zstd", () => createZstdDecompress({ params: { [constants.ZSTD_d_windowLogMax]: zstdWindowLog } })],
])

/** Some servers send `deflate` without the frame that the standard asks for; the first byte tells. */
async function inflater(body: Readable): Promise<Transform> {
  if (body.readableLength === 0 && !body.readableEnded) await once(body, "readable")
  const first: Uint8Array | null = body.read()
  if (first === null) return createInflate()
  body.unshift(first)
  return ((first[0] ?? 0) & 0x0f) === 8 ? createInflate() : createInflateRaw()
}

function isUnpackError(error: unknown): boolean {
  return error instanceof Error && "code" in error && /^(Z_|ZSTD_|ERR__|ERR_BROTLI|ERR_ZSTD)/.test(String(error.code))
}
