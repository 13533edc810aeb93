import { buffer } from "node:stream/consumers"
import { describe, expect, it } from "vitest"
import { errorText } from "../../../lib/core/error-text.ts"
import { isPart } from "../../support/faulty-proxy.ts"
import { inPieces, sample } from "./conformance.ts"
import {
  binary,
  bucket,
  expectNothingLeft,
  isAbort,
  isBeginning,
  isCeph,
  isEnding,
  mebibyte,
  openAt,
  s3,
  unfinished,
  withFaults,
} from "./s3-fixture.ts"

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
    const { store, proxy } = await withFaults([{ when: isPart, times: 2, fault: { answer: 503, code: "SlowDown" } }])
    const { bytes, stored } = sample(20 * mebibyte)

    expect(await store.put("dump", inPieces(bytes), binary)).toEqual(stored)

    expect(proxy.requests.filter(isPart)).toHaveLength(2 + 2)
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

    expect(failure).toContain("the answer was 503 ServiceUnavailable, also at attempt 3: the provider is in trouble")
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

  it("says that nothing listens, or that the name is not known", async () => {
    const { store: closed } = openAt("http://127.0.0.1:9")
    const { store: unknown } = openAt("http://s3.nightshift.invalid")

    expect(await closed.list("").catch(errorText)).toContain("nothing listens at http://127.0.0.1:9")
    expect(await unknown.list("").catch(errorText)).toContain("the name of http://s3.nightshift.invalid is not known")
  })
})
