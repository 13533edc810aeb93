import { Readable } from "node:stream"
import { setTimeout as sleep } from "node:timers/promises"
import { GetObjectCommand, type GetObjectCommandOutput } from "@aws-sdk/client-s3"
import { checkRange } from "./range.ts"
import type { Bucket } from "./s3-client.ts"
import { answerOf, s3Failure } from "./s3-error.ts"
import { type ByteRange, ObjectMissing } from "./store.ts"

/** How often in a row a download goes on after a broken connection without having gained a byte. */
const maxFruitless = 5
const firstPauseMs = 200

type Download = { body: Readable; start: number; end: number; etag: string | undefined }

/**
 * Streams an object or a range of it. A connection that breaks, ends early, or was cut because the reader was slow is taken up again
 * where it stopped, as long as the object is still the same one.
 */
export async function readObject(
  bucket: Bucket,
  key: string,
  range?: ByteRange,
  signal?: AbortSignal,
): Promise<Readable> {
  if (range) checkRange(range)
  const closed = new AbortController()
  const stop = signal ? AbortSignal.any([signal, closed.signal]) : closed.signal
  const ask = (part: ByteRange | undefined, etag?: string) => download(bucket, key, part, etag, stop)
  const first = await ask(range)
  const source = resumable(
    first,
    (at) => ask({ start: at, end: first.end }, first.etag),
    stop,
    `${key} in ${bucket.address.name}`,
  )
  const stream = new Readable({
    highWaterMark: 1024 * 1024,
    read() {
      source.next().then(
        (chunk) => this.push(chunk),
        (error) => this.destroy(error),
      )
    },
    destroy(error, done) {
      closed.abort()
      source.close()
      done(error)
    },
  })
  signal?.addEventListener("abort", () => stream.destroy(signal.reason), { once: true, signal: closed.signal })
  return stream
}

function resumable(first: Download, resume: (at: number) => Promise<Download>, stop: AbortSignal, name: string) {
  let current = first
  let chunks = iterate(current.body)
  let at = first.start
  let fruitless = 0

  async function next(): Promise<Uint8Array | null> {
    while (at < first.end) {
      const read = await chunks.next().catch((error: unknown) => ({ broken: error }))
      if (!("broken" in read) && !read.done) {
        fruitless = 0
        at += read.value.length
        if (at > first.end) throw new Error(`cannot read ${name}: it sends more bytes than it said`)
        return read.value
      }
      stop.throwIfAborted()
      const cause = "broken" in read ? read.broken : undefined
      if (++fruitless > maxFruitless) {
        throw new Error(
          `cannot read ${name}: it broke off after ${at - first.start} of ${first.end - first.start} bytes, again and again`,
          { cause },
        )
      }
      await sleep(firstPauseMs * 2 ** (fruitless - 1), undefined, { signal: stop })
      current = await resume(at)
      chunks = iterate(current.body)
    }
    return null
  }
  return { next, close: () => void current.body.destroy() }
}

function iterate(body: Readable): AsyncIterator<Uint8Array> {
  return body[Symbol.asyncIterator]()
}

async function download(
  bucket: Bucket,
  key: string,
  range: ByteRange | undefined,
  etag: string | undefined,
  signal: AbortSignal,
): Promise<Download> {
  const { client, address } = bucket
  const command = new GetObjectCommand({
    Bucket: address.bucket,
    Key: address.prefix + key,
    ...(range && { Range: `bytes=${range.start}-${range.end - 1}` }),
    ...(etag !== undefined && { IfMatch: etag }),
  })
  try {
    const found = downloadOf(await client.send(command, { abortSignal: signal }), range)
    if (etag === undefined || found.etag === etag) return found
    found.body.destroy() // a server that does not know If-Match
  } catch (error) {
    const answer = answerOf(error)
    if (answer?.code === "NoSuchKey") throw new ObjectMissing(key, address.name)
    if (answer?.status === 412) throw replaced(key, address.name, error)
    throw s3Failure(error, "read", key, address)
  }
  throw replaced(key, address.name)
}

function replaced(key: string, store: string, cause?: unknown): Error {
  return new Error(`${key} in ${store} was replaced while it was read: start again`, { cause })
}

function downloadOf(answer: GetObjectCommandOutput, range: ByteRange | undefined): Download {
  const { Body: body, ContentLength: sizeBytes, ContentRange: told = "", ETag: etag } = answer
  if (!(body instanceof Readable)) throw new Error("the answer has no body")
  if (sizeBytes === undefined) throw new Error("the answer does not say how long it is")
  if (!range) return { body, start: 0, end: sizeBytes, etag }
  const total = new RegExp(`^bytes ${range.start}-\\d+/(\\d+)$`).exec(told)?.[1]
  if (total !== undefined) return { body, start: range.start, end: Math.min(range.end, Number(total)), etag }
  body.destroy()
  throw new Error(`bytes from ${range.start} were asked for, and the answer holds ${told || "the whole object"}`)
}
