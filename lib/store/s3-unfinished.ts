import {
  AbortMultipartUploadCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
} from "@aws-sdk/client-s3"
import type { Bucket } from "./s3-client.ts"
import { answerOf, s3Failure } from "./s3-error.ts"

export type UnfinishedUpload = { key: string; uploadId: string; begunAt: Date }

/**
 * Uploads below a prefix that were begun and neither completed nor ended. MinIO shows them only for a prefix that is a whole key; it ends
 * stale ones by itself after a day.
 */
export async function* unfinishedUploads(bucket: Bucket, prefix: string): AsyncGenerator<UnfinishedUpload> {
  const ownPrefix = bucket.address.prefix
  let after: Marker | undefined
  do {
    const answer = await pageOfUploads(bucket, prefix, after)
    for (const { Key: key, UploadId: uploadId, Initiated: begunAt } of answer.Uploads ?? []) {
      if (!key?.startsWith(ownPrefix + prefix) || !uploadId || !begunAt) continue
      yield { key: key.slice(ownPrefix.length), uploadId, begunAt }
    }
    const next: Marker = { KeyMarker: answer.NextKeyMarker, UploadIdMarker: answer.NextUploadIdMarker }
    const goesOn = next.KeyMarker !== after?.KeyMarker || next.UploadIdMarker !== after?.UploadIdMarker
    after = answer.IsTruncated && goesOn ? next : undefined
  } while (after)
}

type Marker = { KeyMarker: string | undefined; UploadIdMarker: string | undefined }

function pageOfUploads(
  { client, address }: Bucket,
  prefix: string,
  after: Marker | undefined,
): Promise<ListMultipartUploadsCommandOutput> {
  const command = new ListMultipartUploadsCommand({ Bucket: address.bucket, Prefix: address.prefix + prefix, ...after })
  return client.send(command).catch((error) => {
    throw s3Failure(error, "list the unfinished uploads of", prefix, address)
  })
}

const rounds = 3

/**
 * Ends an upload and frees its parts. A part that was on its way may arrive after the first attempt, so it is repeated until the server
 * does not know the upload any more (https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html).
 */
export async function endUpload(
  { client, address }: Bucket,
  key: string,
  uploadId: string,
  signal?: AbortSignal,
): Promise<void> {
  const command = { Bucket: address.bucket, Key: address.prefix + key, UploadId: uploadId }
  for (let round = 0; round < rounds; round++) {
    try {
      await client.send(new AbortMultipartUploadCommand(command), signal ? { abortSignal: signal } : {})
    } catch (error) {
      if (answerOf(error)?.code === "NoSuchUpload") return
      throw s3Failure(error, "end the unfinished upload of", key, address)
    }
  }
}
