import { Readable } from "node:stream"
import {
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectRetentionCommand,
  ListObjectVersionsCommand,
  PutObjectCommand,
} from "@aws-sdk/client-s3"
import { describe, expect, it } from "vitest"
import { errorText } from "../../../lib/core/error-text.ts"
import { isPart } from "../../support/faulty-proxy.ts"
import { describeStore, inPieces, sample } from "./conformance.ts"
import {
  binary,
  bucket,
  client,
  credentials,
  isCeph,
  mebibyte,
  newBucket,
  openAt,
  s3,
  unfinished,
  withFaults,
} from "./s3-fixture.ts"

describeStore(`an S3 bucket (${s3.kind})`, async () => openAt().store)

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
})

if (isCeph) {
  describe("an S3 store on a full S3", () => {
    it("says that the access key is wrong", async () => {
      const unknown = openAt(s3.endpoint, { credentials: { accessKeyId: "NOBODY", secretAccessKey: "hunter2" } }).store
      const wrong = openAt(s3.endpoint, { credentials: { ...credentials, secretAccessKey: "hunter2" } }).store

      for (const store of [unknown, wrong]) {
        const failure = await store.list("").catch(errorText)
        expect(failure).toContain("the access key is wrong or expired: check AWS_ACCESS_KEY_ID")
        expect(failure).not.toContain("hunter2")
      }
    })

    it("lists more than one page", async () => {
      const { store, prefix, proxy } = await withFaults([])
      const keys = Array.from({ length: 1001 }, (_, index) => `main/${String(index).padStart(4, "0")}`)
      for (let at = 0; at < keys.length; at += 20) {
        await Promise.all(
          keys
            .slice(at, at + 20)
            .map((key) =>
              client.send(new PutObjectCommand({ Bucket: bucket, Key: `${prefix}/${key}`, Body: Buffer.alloc(1) })),
            ),
        )
      }

      expect((await store.list("main/")).map(({ key }) => key)).toEqual(keys)
      expect(proxy.requests.filter(({ query }) => query.has("list-type"))).toHaveLength(2)
    })

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
      expect(Math.abs((Retention?.RetainUntilDate?.getTime() ?? 0) - retainUntil.getTime())).toBeLessThan(1000)
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

      const puts = proxy.requests.filter(({ method, query }) => method === "PUT" && !query.has("retention"))
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
