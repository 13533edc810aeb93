import {
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3"
import { errorText } from "../core/error-text.ts"
import { formatBytes } from "../core/size.ts"
import { maxParts } from "./parts.ts"
import { checksumOf, isPublished, objectSettings, placeOf, storeFailure, type Upload } from "./s3-object.ts"
import { endUpload } from "./s3-unfinished.ts"

/** How long the request that begins an upload may go on after a stop: its answer is needed to end the upload. */
const graceMs = 1_500
const cleanUpMs = 60_000
/** A stopped run has five seconds to clean up. */
const hurriedCleanUpMs = 2_000

/**
 * Stores an object in parts of the size of `first`. On any failure the upload is ended, so that no parts stay behind that cost money; a
 * failure that came after the server had completed the object is none.
 *
 * lib-storage's Upload is not used: it answers an abort before the upload has ended, lets requests on their way run on, and never ends an
 * upload whose source has stalled.
 */
export async function putParts(upload: Upload, first: Uint8Array, fill: Fill): Promise<void> {
  const { client } = upload.bucket
  const UploadId = await begin(upload)
  let isCompleting = false
  try {
    const Parts = await sendParts(upload, UploadId, first, fill)
    isCompleting = true
    const command = new CompleteMultipartUploadCommand({ ...placeOf(upload), UploadId, MultipartUpload: { Parts } })
    await client.send(command, { abortSignal: upload.signal }).catch((error) => {
      throw storeFailure(upload, error)
    })
  } catch (error) {
    const left = await giveUp(upload, UploadId)
    if (isCompleting && (await isPublished(upload))) return
    throw left === undefined ? error : new Error(`${errorText(error)}; ${left}`, { cause: error })
  }
}

type Fill = (buffer: Uint8Array) => Promise<Uint8Array>

async function begin(upload: Upload): Promise<string> {
  const { client } = upload.bucket
  upload.signal.throwIfAborted()
  const command = new CreateMultipartUploadCommand({ ...placeOf(upload), ...objectSettings(upload) })
  const { UploadId } = await client.send(command, { abortSignal: delayed(upload.signal, graceMs) }).catch((error) => {
    throw storeFailure(upload, error)
  })
  if (UploadId === undefined)
    throw new Error(`cannot store ${upload.key} in ${upload.bucket.address.name}: the answer names no upload`)
  return UploadId
}

function delayed(signal: AbortSignal, ms: number): AbortSignal {
  const late = new AbortController()
  signal.addEventListener("abort", () => setTimeout(() => late.abort(signal.reason), ms).unref(), { once: true })
  return late.signal
}

type Lane = { buffer: Uint8Array; sent: Promise<void> }

async function sendParts(upload: Upload, UploadId: string, first: Uint8Array, fill: Fill): Promise<CompletedPart[]> {
  const { stop, signal } = upload
  const parts: CompletedPart[] = []
  let lane: Lane = { buffer: first, sent: Promise.resolve() }
  let other: Lane = { buffer: Buffer.allocUnsafeSlow(first.length), sent: Promise.resolve() }
  const send = async (number: number, bytes: Uint8Array) => {
    parts[number - 1] = await sendPart(upload, UploadId, number, bytes)
  }
  try {
    let bytes = first
    for (let number = 1; bytes.length > 0; number++) {
      if (number > maxParts) throw tooLong(upload, first.length)
      lane.sent = send(number, bytes).catch((error) => stop.abort(error))
      if (bytes.length < first.length) break
      ;[lane, other] = [other, lane]
      await lane.sent
      signal.throwIfAborted()
      bytes = await fill(lane.buffer)
    }
  } catch (error) {
    stop.abort(error)
  }
  await Promise.all([lane.sent, other.sent])
  signal.throwIfAborted()
  return parts
}

async function sendPart(
  upload: Upload,
  UploadId: string,
  PartNumber: number,
  Body: Uint8Array,
): Promise<CompletedPart> {
  const { client } = upload.bucket
  const command = new UploadPartCommand({
    ...placeOf(upload),
    ...checksumOf(upload.options),
    UploadId,
    PartNumber,
    Body,
  })
  const { ETag, ChecksumSHA256 } = await client.send(command, { abortSignal: upload.signal }).catch((error) => {
    throw storeFailure(upload, error)
  })
  return { PartNumber, ...(ETag !== undefined && { ETag }), ...(ChecksumSHA256 !== undefined && { ChecksumSHA256 }) }
}

function tooLong({ key, bucket }: Upload, partBytes: number): Error {
  const most = formatBytes(partBytes * maxParts)
  return new Error(
    `cannot store ${key} in ${bucket.address.name}: it is longer than ${most}, more than was expected of it`,
  )
}

/** Ends the upload. Where that is not possible, says what stays behind. */
async function giveUp({ bucket, key, options }: Upload, uploadId: string): Promise<string | undefined> {
  const limit = AbortSignal.timeout(options.signal?.aborted ? hurriedCleanUpMs : cleanUpMs)
  return endUpload(bucket, key, uploadId, limit).then(
    () => undefined,
    (error) => `its unfinished upload stays until a sweep removes it (${errorText(error)})`,
  )
}
