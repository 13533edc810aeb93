import { randomUUID } from "node:crypto"
import type { Readable } from "node:stream"
import { meteredBody } from "./body.ts"
import { checkKey } from "./key.ts"
import { choosePartSize, partFiller } from "./parts.ts"
import type { Bucket } from "./s3-client.ts"
import { putParts } from "./s3-multipart.ts"
import { checkPublished, putWhole, type Upload } from "./s3-object.ts"
import type { PutOptions, Stored } from "./store.ts"

/**
 * Stores `body` as one object: in one request when it is shorter than a part, else as a multipart upload of which two parts at a time are
 * in memory. Asks for the size of the finished object and compares.
 */
export async function uploadObject(
  bucket: Bucket,
  key: string,
  body: Readable | Uint8Array,
  options: PutOptions,
): Promise<Stored> {
  checkKey(key, bucket.address.name)
  const name = `${key} in ${bucket.address.name}`
  const stop = new AbortController()
  const signal = options.signal ? AbortSignal.any([stop.signal, options.signal]) : stop.signal
  const upload: Upload = { bucket, key, id: randomUUID(), options, stop, signal }
  const source = meteredBody(body, signal)
  const fillNext = partFiller(source.chunks)
  const fill = (buffer: Uint8Array) =>
    fillNext(buffer).catch((cause) => {
      throw new Error(`cannot store ${name}: what was to be stored broke off`, { cause })
    })
  try {
    const first = await fill(Buffer.allocUnsafeSlow(choosePartSize(options.expectedBytes)))
    if (first.length < first.buffer.byteLength) await putWhole(upload, first)
    else await putParts(upload, first, fill)
  } catch (error) {
    source.destroy()
    throw options.signal?.aborted ? new Error(`cannot store ${name}: it was stopped`, { cause: error }) : error
  }
  const stored = source.counts()
  await checkPublished(upload, stored.sizeBytes)
  return stored
}
