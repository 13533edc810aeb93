import { PassThrough, pipeline, Readable, Transform } from "node:stream"
import { decryptAge, encryptAge } from "./age.ts"
import { compressFrames } from "./compress-frames.ts"
import { decompressFrames } from "./decompress-frames.ts"
import type { Identities, Recipients } from "./recipients.ts"
import { hashedTally, tallied, tally } from "./tally.ts"

export type { Identities } from "./recipients.ts"

/** What passed so far, live. The hashes are known when the stream has ended; reading one earlier throws. */
export type Counts = {
  readonly plainBytes: number
  readonly plainSha256: string
  readonly compressedBytes: number
  readonly sealedBytes: number
  readonly sealedSha256: string
}

const defaultLevel = 2
const bufferBytes = 256 * 1024

/**
 * Plain bytes -> zstd -> age. The last chunk of `sealed`, without which nobody can open it to its end, comes after `source` has ended
 * well and the bytes of the stages were found to agree. When `source` fails, `sealed` fails with its error; destroying `sealed`
 * destroys `source`. Memory is the same for any length.
 */
export function sealStream(
  source: Readable,
  recipients: Pick<Recipients, "keys">,
  { level = defaultLevel }: { level?: number } = {},
): { sealed: Readable; counts: () => Counts } {
  const { plain, compressed, sealed, counts } = stages()
  const stream = through(source, (chunks) => {
    const frames = tallied(compressFrames(tallied(chunks, plain), level), compressed)
    return tallied(encryptAge(frames, recipients.keys), sealed)
  })
  return { sealed: stream, counts }
}

/**
 * The way back. What `plain` gives is authentic, but that the end is missing is seen only at the end: rely on nothing of it before it has
 * ended well. It fails with what is wrong: another key, damage, a cut, something added behind. Destroying it destroys `source`.
 */
export function unsealStream(
  source: Readable,
  identities: Pick<Identities, "keys">,
): { plain: Readable; counts: () => Counts } {
  const { plain, compressed, sealed, counts } = stages()
  const stream = through(source, (chunks) => {
    const frames = tallied(decryptAge(tallied(chunks, sealed), identities.keys), compressed)
    return tallied(decompressFrames(frames), plain)
  })
  return { plain: stream, counts }
}

/** Seals what fits in memory. */
export async function sealBytes(
  bytes: Uint8Array,
  recipients: Pick<Recipients, "keys">,
): Promise<{ bytes: Uint8Array; counts: Counts }> {
  const { sealed, counts } = sealStream(Readable.from([bytes]), recipients)
  const chunks: Uint8Array[] = []
  for await (const chunk of sealed) chunks.push(chunk)
  return { bytes: Buffer.concat(chunks), counts: counts() }
}

/** Unseals what fits in memory. Rejects when it would be more than `maxBytes`. */
export async function unsealBytes(
  bytes: Uint8Array,
  identities: Pick<Identities, "keys">,
  { maxBytes }: { maxBytes: number },
): Promise<Uint8Array> {
  const { plain, counts } = unsealStream(Readable.from([bytes]), identities)
  const chunks: Uint8Array[] = []
  for await (const chunk of plain) {
    chunks.push(chunk)
    if (counts().plainBytes > maxBytes) throw new Error(`the unsealed object has more than ${maxBytes} bytes`)
  }
  return Buffer.concat(chunks)
}

/**
 * `source` with its end held back until `exited` has resolved: what a program wrote counts only when it ended well. Fails as soon as
 * `exited` rejects, and when `source` fails; destroying it destroys `source`.
 */
export function heldUntil(source: Readable, exited: Promise<unknown>): Readable {
  const held = new Transform({
    highWaterMark: bufferBytes,
    transform: (chunk, _encoding, done) => done(null, chunk),
    flush: (done) => void exited.then(() => done(), done),
  })
  exited.catch((error) => held.destroy(error))
  return pipeline(source, held, failedAlready)
}

function stages() {
  const plain = hashedTally()
  const compressed = tally()
  const sealed = hashedTally()
  const counts = (): Counts => ({
    plainBytes: plain.bytes,
    get plainSha256() {
      return plain.sha256
    },
    compressedBytes: compressed.bytes,
    sealedBytes: sealed.bytes,
    get sealedSha256() {
      return sealed.sha256
    },
  })
  return { plain, compressed, sealed, counts }
}

function through(
  source: Readable,
  transform: (chunks: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>,
): Readable {
  const output = new PassThrough({ highWaterMark: bufferBytes })
  // A pipeline that waits for its source does not see that its last stream is gone.
  output.once("close", () => source.destroy())
  return pipeline(source, transform, output, failedAlready)
}

/** A pipeline's failure reaches whoever reads its last stream, which it has destroyed with the error. */
function failedAlready(): void {}
