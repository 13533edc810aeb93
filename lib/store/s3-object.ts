import {
  HeadObjectCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  PutObjectRetentionCommand,
} from "@aws-sdk/client-s3"
import { formatCount } from "../core/size.ts"
import type { Bucket } from "./s3-client.ts"
import { isUnclear, s3Failure } from "./s3-error.ts"
import type { PutOptions } from "./store.ts"

/** One put on its way. `signal` fires when the caller stops it or `stop` does, which is how a failed part ends the others. */
export type Upload = {
  bucket: Bucket
  key: string
  /** Stored with the object, so that after an unclear answer it can be told from an older one of the same key. */
  id: string
  options: PutOptions
  stop: AbortController
  signal: AbortSignal
}

/** Who may bypass it needs a right of its own, and a retention time set by mistake can be corrected: `COMPLIANCE` binds the owner too. */
const lockMode = "GOVERNANCE"
const idHeader = "nightshift-upload"
const lookMs = 30_000
/** A stopped run has five seconds to clean up. */
const hurriedLookMs = 1_500

/** Bucket and key, as every request of an upload names them. */
export function placeOf({ bucket, key }: Upload): { Bucket: string; Key: string } {
  return { Bucket: bucket.address.bucket, Key: bucket.address.prefix + key }
}

/** What an object is stored with. Buckets with object lock want a checksum of each request, which the client does not add by itself. */
export function objectSettings({
  bucket: { address },
  id,
  options,
}: Upload): Omit<PutObjectCommandInput, "Bucket" | "Key"> {
  return {
    ContentType: options.contentType,
    Metadata: { [idHeader]: id },
    ...(address.storageClass !== undefined && {
      StorageClass: address.storageClass as PutObjectCommandInput["StorageClass"],
    }),
    ...(address.encryption && { ServerSideEncryption: address.encryption }),
    ...(address.kmsKeyId !== undefined && { SSEKMSKeyId: address.kmsKeyId }),
    ...(options.retainUntil && {
      ObjectLockMode: lockMode,
      ObjectLockRetainUntilDate: options.retainUntil,
      ...checksumOf(options),
    }),
  }
}

/** The checksum that requests carry where object lock is asked for. */
export function checksumOf({ retainUntil }: PutOptions): { ChecksumAlgorithm?: "SHA256" } {
  return retainUntil ? { ChecksumAlgorithm: "SHA256" } : {}
}

/** Stores an object in one request. */
export async function putWhole(upload: Upload, bytes: Uint8Array): Promise<void> {
  upload.signal.throwIfAborted()
  const command = new PutObjectCommand({ ...placeOf(upload), ...objectSettings(upload), Body: bytes })
  try {
    await upload.bucket.client.send(command, { abortSignal: upload.signal })
  } catch (error) {
    if (isUnclear(error) && (await isPublished(upload))) return
    throw storeFailure(upload, error)
  }
}

/** What a failed request to store means. */
export function storeFailure({ bucket, key, options }: Upload, error: unknown): Error {
  return s3Failure(error, options.retainUntil ? "store and lock" : "store", key, bucket.address)
}

/** Whether the object that is there now is the one of this upload: asked when an answer got lost. False when that cannot be told. */
export async function isPublished(upload: Upload): Promise<boolean> {
  const limit = AbortSignal.timeout(upload.options.signal?.aborted ? hurriedLookMs : lookMs)
  return upload.bucket.client.send(new HeadObjectCommand(placeOf(upload)), { abortSignal: limit }).then(
    (found) => found.Metadata?.[idHeader] === upload.id,
    () => false, // the error that brought us here is the one to tell
  )
}

/** Throws unless the stored object has the size of what was sent, and is locked where that was asked for. */
export async function checkPublished(upload: Upload, sizeBytes: number): Promise<void> {
  const { client, address } = upload.bucket
  const found = await client.send(new HeadObjectCommand(placeOf(upload))).catch((error) => {
    throw s3Failure(error, "look at", upload.key, address)
  })
  if (found.ContentLength !== sizeBytes) {
    const sizes = `${formatCount(sizeBytes)} bytes were sent and ${formatCount(found.ContentLength ?? 0)} are there`
    throw new Error(
      `${upload.key} in ${address.name} is not what was stored: ${sizes}: does another run write the same key?`,
    )
  }
  if (upload.options.retainUntil && !found.ObjectLockRetainUntilDate) await lock(upload, found.VersionId)
}

/** For servers that forget the lock of a multipart upload (Ceph 16 does), or do not tell it: asking again changes nothing. */
async function lock(upload: Upload, VersionId: string | undefined): Promise<void> {
  const command = new PutObjectRetentionCommand({
    ...placeOf(upload),
    ...checksumOf(upload.options),
    VersionId,
    Retention: { Mode: lockMode, RetainUntilDate: upload.options.retainUntil },
  })
  await upload.bucket.client.send(command).catch((error) => {
    throw s3Failure(error, "lock", upload.key, upload.bucket.address)
  })
}
