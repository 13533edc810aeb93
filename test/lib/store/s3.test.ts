import { createHash, randomUUID } from "node:crypto"
import { PassThrough, Readable } from "node:stream"
import { buffer } from "node:stream/consumers"
import {
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectRetentionCommand,
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  PutObjectCommand,
} from "@aws-sdk/client-s3"
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from "vitest"
import { errorText } from "../../../lib/core/error-text.ts"
import { openStore } from "../../../lib/store/open.ts"
import type { S3Limits } from "../../../lib/store/s3-client.ts"
import type { Store } from "../../../lib/store/store.ts"
import { type Fault, type FaultyProxy, isPart, type Rule, startFaultyProxy } from "../../support/faulty-proxy.ts"
import { type BucketOptions, createBucket, s3Client, s3UrlFor } from "../../support/s3-server.ts"
import { describeStore, failingAfter, inPieces, sample } from "./conformance.ts"

const s3 = inject("s3")
const credentials = { accessKeyId: s3.accessKeyId, secretAccessKey: s3.secretAccessKey }
const client = s3Client(s3)
const binary = { contentType: "application/octet-stream" }
const mebibyte = 1024 * 1024
const isCeph = s3.kind === "ceph"
if (!isCeph)
  process.stderr.write("s3rver lists no unfinished uploads and locks no objects: the tests of these are left out\n")

let bucket: string
const proxies: FaultyProxy[] = []

beforeAll(async () => {
  bucket = await newBucket()
})
afterEach(async () => {
  for (const proxy of proxies.splice(0)) await proxy.stop()
})
afterAll(() => client.destroy())

async function newBucket(options?: BucketOptions): Promise<string> {
  const name = `test-${randomUUID()}`
  await createBucket(s3, name, options)
  return name
}

/** A store under a prefix of its own, tried three times per request so that failures come soon. */
function openAt(
  endpoint = s3.endpoint,
  { settings = "", inBucket = bucket, ...limits }: Partial<S3Limits> & { settings?: string; inBucket?: string } = {},
) {
  const prefix = randomUUID()
  const url = `${s3UrlFor({ ...s3, endpoint }, inBucket, prefix)}${settings}`
  const store = openStore(url, { variable: "BACKUP_STORE", credentials, attempts: 3, ...limits })
  return { store, prefix }
}

async function withFaults(rules: Rule[], limits: Parameters<typeof openAt>[1] = {}) {
  const proxy = await startFaultyProxy(s3.endpoint, rules)
  proxies.push(proxy)
  return { proxy, ...openAt(proxy.url, limits) }
}

/** Keys of the uploads under a prefix that were begun and not ended. */
async function unfinished(prefix: string): Promise<string[]> {
  const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: `${prefix}/` }))
  return Uploads.map(({ Key = "" }) => Key)
}

async function expectNothingLeft(store: Store, prefix: string, proxy?: FaultyProxy): Promise<void> {
  if (proxy) proxy.rules = []
  expect(await store.list("")).toEqual([])
  if (isCeph) expect(await unfinished(prefix)).toEqual([])
}

const isBeginning = ({ query }: { query: URLSearchParams }) => query.has("uploads")
const isEnding = ({ method, query }: { method: string; query: URLSearchParams }) =>
  method === "POST" && query.has("uploadId")
const isAbort = ({ method, query }: { method: string; query: URLSearchParams }) =>
  method === "DELETE" && query.has("uploadId")
const isGet = ({ method, query }: { method: string; query: URLSearchParams }) =>
  method === "GET" && !query.has("list-type")

describeStore(`an S3 bucket (${s3.kind})`, async () => openAt().store)

describe("an S3 store whose server refuses or fails", () => {
  it("names the missing permission when a part is refused, and ends the upload", async () => {
    const { store, prefix, proxy } = await withFaults([{ when: isPart, fault: { answer: 403 } }])

    const failure = await store.put("dump", inPieces(sample(20 * mebibyte).bytes), binary).catch(errorText)

    expect(failure).toContain(
      `cannot store dump in ${store.name}: the answer was 403 AccessDenied: the access key needs s3:PutObject on ${bucket}/${prefix}/*`,
    )
    expect(failure).not.toContain(s3.secretAccessKey)
    await expectNothingLeft(store, prefix, proxy)
  })

  it("names the missing permission of each operation", async () => {
    const { store } = await withFaults([{ fault: { answer: 403 } }])

    expect(await store.put("x", Buffer.from("x"), binary).catch(errorText)).toContain("s3:PutObject")
    expect(await store.put("x", Buffer.from("x"), { ...binary, retainUntil: new Date() }).catch(errorText)).toContain(
      "s3:PutObjectRetention",
    )
    expect(await store.get("x").catch(errorText)).toContain("s3:GetObject")
    expect(await store.head("x").catch(errorText)).toContain("s3:ListBucket")
    expect(await store.list("").catch(errorText)).toContain("s3:ListBucket")
    expect(await store.remove("x").catch(errorText)).toContain("s3:DeleteObject")
    expect(await store.sweep("", new Date()).catch(errorText)).toContain("s3:ListBucketMultipartUploads")
  })

  it("tries a part again that is answered 503 for a while", async () => {
    const { store, proxy } = await withFaults([{ when: isPart, times: 2, fault: { answer: 503 } }])
    const { bytes, stored } = sample(20 * mebibyte)

    expect(await store.put("dump", inPieces(bytes), binary)).toEqual(stored)

    expect(proxy.requests.filter(isPart)).toHaveLength(3 + 2)
    expect((await buffer(await store.get("dump"))).equals(bytes)).toBe(true)
  })

  it.each([
    ["parts", isPart, 20 * mebibyte],
    ["beginnings", isBeginning, 20 * mebibyte],
    ["completions", isEnding, 20 * mebibyte],
    ["small objects", ({ method }: { method: string }) => method === "PUT", 100],
  ])("gives up when %s are answered 503 for ever, and says so", async (_, when, sizeBytes) => {
    const { store, prefix, proxy } = await withFaults([{ when, fault: { answer: 503 } }])

    const failure = await store.put("dump", inPieces(sample(sizeBytes).bytes), binary).catch(errorText)

    expect(failure).toContain("the answer was 503 SlowDown, also at attempt 3: the provider is in trouble")
    await expectNothingLeft(store, prefix, proxy)
  })

  it("says that an unfinished upload stays when it may not end it", async () => {
    const { store, prefix, proxy } = await withFaults([
      { when: isPart, fault: { answer: 403 } },
      { when: isAbort, fault: { answer: 403 } },
    ])

    const failure = await store.put("dump", inPieces(sample(20 * mebibyte).bytes), binary).catch(errorText)

    expect(failure).toContain("needs s3:PutObject")
    expect(failure).toMatch(/its unfinished upload stays until a sweep removes it .*s3:AbortMultipartUpload/)
    proxy.rules = []
    if (isCeph) expect(await unfinished(prefix)).toHaveLength(1)
    if (isCeph) expect(await store.sweep("", new Date(Date.now() + 5000))).toBe(1)
    await expectNothingLeft(store, prefix)
  })

  it("says that the bucket is missing", async () => {
    const { store } = openAt(s3.endpoint, { inBucket: "no-such-bucket" })

    const message =
      "404 NoSuchBucket: there is no bucket no-such-bucket here: create it, or correct its name, region or endpoint"
    expect(await store.list("").catch(errorText)).toContain(message)
    expect(await store.get("x").catch(errorText)).toContain(message)
    expect(await store.put("x", Buffer.from("x"), binary).catch(errorText)).toContain(message)
  })

  it("says that the access key is wrong", async () => {
    const unknown = openAt(s3.endpoint, { credentials: { accessKeyId: "NOBODY", secretAccessKey: "hunter2" } }).store
    const wrong = openAt(s3.endpoint, { credentials: { ...credentials, secretAccessKey: "hunter2" } }).store

    for (const store of [unknown, wrong]) {
      const failure = await store.list("").catch(errorText)
      expect(failure).toContain("the access key is wrong or expired: check AWS_ACCESS_KEY_ID")
      expect(failure).not.toContain("hunter2")
    }
  })

  it("says that nothing listens, or that the name is not known", async () => {
    const { store: closed } = openAt("http://127.0.0.1:9")
    const { store: unknown } = openAt("http://s3.nightshift.invalid")

    expect(await closed.list("").catch(errorText)).toContain("nothing listens at http://127.0.0.1:9")
    expect(await unknown.list("").catch(errorText)).toContain("the name of http://s3.nightshift.invalid is not known")
  })
})

describe("an S3 store whose connection breaks", () => {
  it("sends a part again after a reset in its middle", async () => {
    const { store } = await withFaults([{ when: isPart, times: 2, fault: { resetUploadAfter: 3 * mebibyte } }])
    const { bytes, stored } = sample(20 * mebibyte)

    expect(await store.put("dump", inPieces(bytes), binary)).toEqual(stored)
    expect((await buffer(await store.get("dump"))).equals(bytes)).toBe(true)
  })

  it("gives up when every part is reset, and ends the upload", async () => {
    const { store, prefix, proxy } = await withFaults([{ when: isPart, fault: { resetUploadAfter: mebibyte } }])

    const failure = await store.put("dump", inPieces(sample(20 * mebibyte).bytes), binary).catch(errorText)

    expect(failure).toContain(`the connection to ${proxy.url} broke again and again`)
    await expectNothingLeft(store, prefix, proxy)
  })

  it.each([
    ["the completion", isEnding, 20 * mebibyte],
    ["a small object", ({ method }: { method: string }) => method === "PUT", 100],
  ])("finds its object when every answer to %s gets lost", async (_, when, sizeBytes) => {
    const { store, prefix } = await withFaults([{ when, fault: { loseAnswer: true } }])
    const { bytes, stored } = sample(sizeBytes)

    expect(await store.put("dump", inPieces(bytes), binary)).toEqual(stored)

    expect((await buffer(await store.get("dump"))).equals(bytes)).toBe(true)
    if (isCeph) expect(await unfinished(prefix)).toEqual([])
  })

  it("does not take an older object of the key for its own", async () => {
    const { store, proxy } = await withFaults([])
    await store.put("dump", Buffer.from("same size"), binary)
    proxy.rules = [{ when: ({ method }) => method === "PUT", fault: { resetUploadAfter: 1 } }]

    await expect(store.put("dump", Buffer.from("SAME SIZE"), binary)).rejects.toThrow("cannot store dump")
  })

  it.each<[string, Fault]>([
    ["is reset", { resetAnswerAfter: 5 * mebibyte }],
    ["is closed early", { cutAnswerAfter: 5 * mebibyte }],
    ["stands still", { stallAnswerAfter: 5 * mebibyte }],
  ])("takes a download up again that %s", async (_, fault) => {
    const { store, proxy } = await withFaults([{ when: isGet, times: 2, fault }], { idleMs: 300 })
    const { bytes } = sample(20 * mebibyte)
    await store.put("dump", bytes, binary)

    expect((await buffer(await store.get("dump"))).equals(bytes)).toBe(true)
    expect(await buffer(await store.get("dump", { range: { start: 7, end: 6 * mebibyte } }))).toEqual(
      bytes.subarray(7, 6 * mebibyte),
    )
    expect(proxy.requests.filter(isGet)).toHaveLength(4)
  })

  it("fails a download that gains nothing any more, with what came", async () => {
    const { store, proxy } = await withFaults([])
    await store.put("dump", sample(3 * mebibyte).bytes, binary)
    const got = await store.get("dump")
    proxy.rules = [{ when: isGet, fault: { cutAnswerAfter: 0 } }]
    await proxy.stop()

    const failure = await buffer(got).catch(errorText)
    expect(failure).toContain("cannot read dump")
  })

  it("never joins two objects: a download whose object was replaced fails", async () => {
    const { store } = await withFaults([{ when: isGet, times: 1, fault: { resetAnswerAfter: mebibyte } }])
    await store.put("dump", sample(3 * mebibyte).bytes, binary)
    const stream = await store.get("dump")
    await store.put("dump", sample(3 * mebibyte).bytes, binary)

    expect(await buffer(stream).catch(errorText)).toMatch(/dump in .* was replaced while it was read/)
  })

  it("outlives a reader that is slower than the connection's patience", async () => {
    const { store } = openAt(s3.endpoint, { idleMs: 200 })
    const { bytes } = sample(12 * mebibyte)
    await store.put("dump", bytes, binary)
    const hash = createHash("sha256")
    let isFirst = true
    for await (const chunk of await store.get("dump")) {
      hash.update(chunk)
      if (isFirst) await new Promise((resolve) => setTimeout(resolve, 700))
      isFirst = false
    }

    expect(hash.digest("hex")).toBe(createHash("sha256").update(bytes).digest("hex"))
  })

  it("does not wait for ever for an answer", async () => {
    const { store } = await withFaults([{ fault: { stall: true } }], { idleMs: 200 })

    expect(await store.list("").catch(errorText)).toContain("did not answer in time")
    expect(await store.put("x", Buffer.from("x"), binary).catch(errorText)).toContain("did not answer in time")
  })

  it("passes on a flipped byte of the server as it is: finding it is the work of the hashes", async () => {
    const { store } = await withFaults([{ when: isGet, fault: { flipByteAt: 70 } }])
    const { bytes } = sample(100)
    await store.put("dump", bytes, binary)

    const got = await buffer(await store.get("dump"))
    expect(got).toHaveLength(100)
    expect(got.equals(bytes)).toBe(false)
  })
})

describe("an S3 upload that is broken off", () => {
  it("leaves no upload when the source fails in a later part", async () => {
    const { store, prefix } = openAt()

    const failure = await store
      .put("dump", failingAfter(30 * mebibyte, new Error("pg_dump was killed")), binary)
      .catch(errorText)

    expect(failure).toMatch(/cannot store dump in .*: what was to be stored broke off: pg_dump was killed/)
    await expectNothingLeft(store, prefix)
  })

  it.each<[string, Rule[]]>([
    ["a part stands still", [{ when: isPart, fault: { stall: true } }]],
    ["the beginning stands still", [{ when: isBeginning, fault: { stall: true } }]],
    ["the completion stands still", [{ when: isEnding, fault: { stall: true } }]],
    ["the source stands still", []],
  ])("is stopped within five seconds while %s, and leaves no upload", async (_, rules) => {
    const { store, prefix, proxy } = await withFaults(rules)
    const stop = new AbortController()
    const source = new PassThrough({ highWaterMark: 40 * mebibyte })
    source.write(Buffer.alloc(20 * mebibyte))
    if (rules.length > 0) source.end()
    const putting = store.put("dump", source, { ...binary, signal: stop.signal }).catch(errorText)
    await expect
      .poll(() => proxy.requests.length)
      .toBeGreaterThan(rules.some(({ when }) => when === isBeginning) ? 0 : 2)
    const stoppedAt = performance.now()
    stop.abort(new Error("SIGINT"))

    expect(await putting).toMatch(/cannot store dump in .*: it was stopped/)
    expect(performance.now() - stoppedAt).toBeLessThan(4500)
    expect(source.destroyed).toBe(true)
    await expectNothingLeft(store, prefix, proxy)
  })

  it("ends the source at once when a part fails, however still the source stands", async () => {
    const { store, prefix, proxy } = await withFaults([{ when: isPart, fault: { answer: 403 } }])
    const source = new PassThrough({ highWaterMark: 40 * mebibyte })
    source.write(Buffer.alloc(9 * mebibyte))

    await expect(store.put("dump", source, { ...binary, expectedBytes: 1 })).rejects.toThrow("403")
    expect(source.destroyed).toBe(true)
    await expectNothingLeft(store, prefix, proxy)
  })
})

describe("what an S3 store asks for", () => {
  it("sends storage class, encryption and content type with both kinds of upload, and no checksum of its own", async () => {
    const settings = "&storageClass=STANDARD&sse=aws:kms&kmsKeyId=key-1"
    const { store, proxy } = await withFaults([{ fault: { answer: 403 } }], { settings })
    await store.put("small", Buffer.from("x"), { contentType: "application/json" }).catch(errorText)
    await store
      .put("large", Readable.from([Buffer.alloc(20 * mebibyte)]), { contentType: "application/age" })
      .catch(errorText)

    const asked = proxy.requests.map(({ method, headers }) => [method, headers["content-type"]])
    expect(asked).toEqual([
      ["PUT", "application/json"],
      ["POST", "application/age"],
    ])
    for (const { headers } of proxy.requests) {
      expect(headers).toMatchObject({
        "x-amz-storage-class": "STANDARD",
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": "key-1",
      })
      expect(Object.keys(headers).filter((name) => name.includes("checksum"))).toEqual([])
    }
  })

  it("takes larger parts where more is expected", async () => {
    const { store, proxy } = await withFaults([])
    await store.put("dump", Readable.from([Buffer.alloc(20 * mebibyte)]), { ...binary, expectedBytes: 100e9 })

    const sizes = proxy.requests.filter(isPart).map(({ headers }) => Number(headers["content-length"]))
    expect(sizes.sort((left, right) => right - left)).toEqual([12 * mebibyte, 8 * mebibyte])
  })

  it("has at most two parts in memory and on their way", async () => {
    const { store, proxy } = await withFaults([{ when: isPart, fault: { stall: true } }], { idleMs: 400, attempts: 1 })
    let given = 0
    const endless = async function* () {
      for (;;) {
        given += mebibyte
        yield Buffer.alloc(mebibyte)
      }
    }
    await expect(
      store.put("dump", Readable.from(endless(), { objectMode: false }), { ...binary, expectedBytes: 1 }),
    ).rejects.toThrow("in time")

    expect(proxy.requests.filter(isPart)).toHaveLength(2)
    expect(given).toBeLessThan(19 * mebibyte)
  })

  it("lists more than one page", async () => {
    const { store, prefix, proxy } = await withFaults([])
    const keys = Array.from({ length: 1001 }, (_, index) => `main/${String(index).padStart(4, "0")}`)
    for (let at = 0; at < keys.length; at += 20) {
      await Promise.all(
        keys
          .slice(at, at + 20)
          .map((key) => client.send(new PutObjectCommand({ Bucket: bucket, Key: `${prefix}/${key}` }))),
      )
    }

    expect((await store.list("main/")).map(({ key }) => key)).toEqual(keys)
    expect(proxy.requests.filter(({ query }) => query.has("list-type"))).toHaveLength(2)
  })
})

if (isCeph) {
  describe("an S3 store on a full S3", () => {
    it("sweeps what killed runs left below its own prefix, and nothing younger", async () => {
      const { store, prefix } = openAt()
      const begin = (key: string) => client.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key: key }))
      for (const key of ["main/a", "main/b", "other/c"]) await begin(`${prefix}/${key}`)
      await begin(`${prefix}-of-others/main/d`)

      expect(await store.sweep("main/", new Date(Date.now() - 60_000))).toBe(0)
      expect(await store.sweep("main/", new Date(Date.now() + 5000))).toBe(2)
      expect(await unfinished(prefix)).toEqual([`${prefix}/other/c`])
      expect(await store.sweep("", new Date(Date.now() + 5000))).toBe(1)
      expect(await unfinished(`${prefix}-of-others`)).toHaveLength(1)
    })

    it.each([100, 20 * mebibyte])("locks an object of %i bytes until the time asked for", async (sizeBytes) => {
      const locked = await newBucket({ objectLock: true })
      const { store, prefix } = openAt(s3.endpoint, { inBucket: locked })
      const retainUntil = new Date(Date.now() + 3_600_000)
      const { bytes, stored } = sample(sizeBytes)

      expect(await store.put("dump", inPieces(bytes), { ...binary, retainUntil })).toEqual(stored)

      const place = { Bucket: locked, Key: `${prefix}/dump` }
      const { Retention } = await client.send(new GetObjectRetentionCommand(place))
      expect(Retention?.RetainUntilDate?.getTime()).toBe(Math.floor(retainUntil.getTime() / 1000) * 1000)
      const { Versions = [] } = await client.send(new ListObjectVersionsCommand({ Bucket: locked, Prefix: prefix }))
      const removal = client.send(new DeleteObjectCommand({ ...place, VersionId: Versions[0]?.VersionId }))
      await expect(removal).rejects.toMatchObject({ $metadata: { httpStatusCode: 403 } })
    })

    it("sends a SHA-256 with each request that locks", async () => {
      const locked = await newBucket({ objectLock: true })
      const { store, proxy } = await withFaults([], { inBucket: locked })
      const retainUntil = new Date(Date.now() + 3_600_000)
      await store.put("small", Buffer.from("x"), { ...binary, retainUntil })
      await store.put("large", inPieces(sample(9 * mebibyte).bytes), { ...binary, expectedBytes: 1, retainUntil })

      const puts = proxy.requests.filter(({ method }) => method === "PUT")
      expect(puts).toHaveLength(3)
      for (const { headers } of puts) expect(headers["x-amz-checksum-sha256"]).toMatch(/^[\w+/]{43}=$/)
    })

    it("says that a bucket without object lock cannot lock", async () => {
      const failure = await openAt()
        .store.put("dump", Buffer.from("x"), { ...binary, retainUntil: new Date(Date.now() + 3_600_000) })
        .catch(errorText)

      expect(failure).toContain("cannot store and lock dump in")
    })

    it("hides a removed object of a versioned bucket", async () => {
      const versioned = await newBucket({ versioning: true })
      const { store, prefix } = openAt(s3.endpoint, { inBucket: versioned })
      await store.put("dump", Buffer.from("one"), binary)
      await store.put("dump", Buffer.from("two"), binary)
      await store.remove("dump")

      expect(await store.list("")).toEqual([])
      const { Versions } = await client.send(new ListObjectVersionsCommand({ Bucket: versioned, Prefix: prefix }))
      expect(Versions).toHaveLength(2)
    })
  })
}
