import { DeleteObjectCommand, HeadObjectCommand, ListObjectsV2Command } from "@aws-sdk/client-s3"
import { checkKey, checkPrefix, compareKeys } from "./key.ts"
import { openBucket, type S3Limits } from "./s3-client.ts"
import { answerOf, type Operation, s3Failure } from "./s3-error.ts"
import { readObject } from "./s3-read.ts"
import { endUpload, unfinishedUploads } from "./s3-unfinished.ts"
import { uploadObject } from "./s3-upload.ts"
import type { Store, StoredObject } from "./store.ts"
import type { S3Address } from "./store-url.ts"

/**
 * A store in an S3 bucket, of AWS or another provider. On a versioned bucket an overwritten or removed object stays as an old version, which the
 * bucket's lifecycle rules must remove.
 */
export function s3Store(address: S3Address, limits: S3Limits): Store {
  const { name, bucket: Bucket, prefix: ownPrefix } = address
  const bucket = openBucket(address, limits)
  const { client } = bucket
  const ask = <T>(operation: Operation, key: string, answer: Promise<T>): Promise<T> =>
    answer.catch((error) => {
      throw s3Failure(error, operation, key, address)
    })

  const put: Store["put"] = (key, body, options) => uploadObject(bucket, key, body, options)

  const get: Store["get"] = async (key, { range, signal } = {}) => {
    checkKey(key, name)
    return readObject(bucket, key, range, signal)
  }

  const head: Store["head"] = async (key) => {
    checkKey(key, name)
    const found = client.send(new HeadObjectCommand({ Bucket, Key: ownPrefix + key })).catch((error) => {
      if (answerOf(error)?.status === 404) return undefined
      throw error
    })
    const answer = await ask("look at", key, found)
    return answer && storedObject(key, answer.ContentLength, answer.LastModified)
  }

  const list: Store["list"] = async (prefix) => {
    checkPrefix(prefix, name)
    const found: StoredObject[] = []
    let ContinuationToken: string | undefined
    do {
      const page = new ListObjectsV2Command({
        Bucket,
        Prefix: ownPrefix + prefix,
        ...(ContinuationToken !== undefined && { ContinuationToken }),
      })
      const answer = await ask("list", prefix, client.send(page))
      for (const { Key = "", Size, LastModified } of answer.Contents ?? []) {
        if (!Key.endsWith("/")) found.push(storedObject(Key.slice(ownPrefix.length), Size, LastModified)) // a console's "folder" is none of ours
      }
      if (answer.IsTruncated && answer.NextContinuationToken === ContinuationToken)
        throw new Error(`the listing of ${name} does not go on`)
      ContinuationToken = answer.NextContinuationToken
    } while (ContinuationToken !== undefined)
    return found.sort((left, right) => compareKeys(left.key, right.key))
  }

  const remove: Store["remove"] = async (key) => {
    checkKey(key, name)
    await ask("remove", key, client.send(new DeleteObjectCommand({ Bucket, Key: ownPrefix + key })))
  }

  const sweep: Store["sweep"] = async (prefix, olderThan) => {
    checkPrefix(prefix, name)
    let swept = 0
    for await (const { key, uploadId, begunAt } of unfinishedUploads(bucket, prefix)) {
      if (begunAt >= olderThan) continue
      await endUpload(bucket, key, uploadId)
      swept++
    }
    return swept
  }

  return { name, put, get, list, head, remove, sweep }
}

function storedObject(key: string, sizeBytes: number | undefined, modifiedAt: Date | undefined): StoredObject {
  if (sizeBytes === undefined || modifiedAt === undefined)
    throw new Error(`the answer about ${key} holds no size or no time`)
  return { key, sizeBytes, modifiedAt }
}
