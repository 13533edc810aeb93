import { randomUUID } from "node:crypto"
import { ListMultipartUploadsCommand } from "@aws-sdk/client-s3"
import { afterAll, afterEach, beforeAll, expect, inject } from "vitest"
import { openStore } from "../../../lib/store/open.ts"
import type { S3Limits } from "../../../lib/store/s3-client.ts"
import type { Store } from "../../../lib/store/store.ts"
import { type FaultyProxy, type Rule, startFaultyProxy } from "../../support/faulty-proxy.ts"
import { type BucketOptions, createBucket, s3Client, s3UrlFor } from "../../support/s3-server.ts"

export const s3 = inject("s3")
export const credentials = { accessKeyId: s3.accessKeyId, secretAccessKey: s3.secretAccessKey }
export const client = s3Client(s3)
export const binary = { contentType: "application/octet-stream" }
export const mebibyte = 1024 * 1024
export const isCeph = s3.kind === "ceph"
if (!isCeph)
  process.stderr.write(
    "s3rver checks no keys, lists no second page and no unfinished uploads, and locks nothing: the tests of these are left out\n",
  )

export let bucket: string
const proxies: FaultyProxy[] = []

beforeAll(async () => {
  bucket = await newBucket()
})
afterEach(async () => {
  for (const proxy of proxies.splice(0)) await proxy.stop()
})
afterAll(() => client.destroy())

export async function newBucket(options?: BucketOptions): Promise<string> {
  const name = `test-${randomUUID()}`
  await createBucket(s3, name, options)
  return name
}

/** A store under a prefix of its own, tried three times per request so that failures come soon. */
export function openAt(
  endpoint = s3.endpoint,
  { settings = "", inBucket = bucket, ...limits }: Partial<S3Limits> & { settings?: string; inBucket?: string } = {},
) {
  const prefix = randomUUID()
  const url = `${s3UrlFor({ ...s3, endpoint }, inBucket, prefix)}${settings}`
  const store = openStore(url, { variable: "BACKUP_STORE", credentials, attempts: 3, ...limits })
  return { store, prefix }
}

/** The same behind a proxy that breaks things by `rules`; it is stopped after the test. */
export async function withFaults(rules: Rule[], limits: Parameters<typeof openAt>[1] = {}) {
  const proxy = await startFaultyProxy(s3.endpoint, rules)
  proxies.push(proxy)
  return { proxy, ...openAt(proxy.url, limits) }
}

/** Keys of the uploads under a prefix that were begun and not ended. */
export async function unfinished(prefix: string): Promise<string[]> {
  const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: `${prefix}/` }))
  return Uploads.map(({ Key = "" }) => Key)
}

export async function expectNothingLeft(store: Store, prefix: string, proxy?: FaultyProxy): Promise<void> {
  if (proxy) proxy.rules = []
  expect(await store.list("")).toEqual([])
  if (isCeph) expect(await unfinished(prefix)).toEqual([])
}

export const isBeginning = ({ query }: { query: URLSearchParams }) => query.has("uploads")
export const isEnding = ({ method, query }: { method: string; query: URLSearchParams }) =>
  method === "POST" && query.has("uploadId")
export const isAbort = ({ method, query }: { method: string; query: URLSearchParams }) =>
  method === "DELETE" && query.has("uploadId")
export const isGet = ({ method, query }: { method: string; query: URLSearchParams }) =>
  method === "GET" && !query.has("list-type")
