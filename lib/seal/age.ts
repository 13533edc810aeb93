import { openHeader, readHeader, writeHeader } from "./age-header.ts"
import { payloadOpener, payloadSealer, payloadSize } from "./age-payload.ts"

/**
 * Encrypts to an age file (https://c2sp.org/age) that each of the recipients can open. Its last chunk comes after `chunks` have ended
 * well: without that nobody can open it to its end.
 */
export async function* encryptAge(
  chunks: AsyncIterable<Uint8Array>,
  recipients: readonly string[],
): AsyncGenerator<Uint8Array> {
  const { header, fileKey } = await writeHeader(recipients)
  const payload = payloadSealer(fileKey)
  const start = payload.start()
  yield Buffer.concat([header, start])
  let plainBytes = 0
  let sealedBytes = start.length
  for await (const chunk of chunks) {
    plainBytes += chunk.length
    const sealed = payload.seal(chunk)
    sealedBytes += sealed.length
    if (sealed.length > 0) yield sealed
  }
  const last = payload.finish()
  sealedBytes += last.length
  if (sealedBytes !== payloadSize(plainBytes)) {
    throw new Error(
      `${plainBytes} bytes were sealed as ${sealedBytes} and not as ${payloadSize(plainBytes)}: withheld the end`,
    )
  }
  yield last
}

/**
 * Decrypts an age file with whichever of the identities fits. What comes is authentic, but a cut, damage further on or something added
 * is found only there: it throws then, so use nothing before the end was reached.
 */
export async function* decryptAge(
  chunks: AsyncIterable<Uint8Array>,
  identities: readonly string[],
): AsyncGenerator<Uint8Array> {
  const source = chunks[Symbol.asyncIterator]()
  const { header, rest } = await readHeader(source)
  const payload = payloadOpener(await openHeader(header, identities))
  yield* payload.open(rest)
  for (let next = await source.next(); !next.done; next = await source.next()) yield* payload.open(next.value)
  yield payload.finish()
}
