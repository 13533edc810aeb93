import { createHash } from "node:crypto"
import { PassThrough } from "node:stream"
import { buffer } from "node:stream/consumers"
import { describe, expect, it } from "vitest"
import { errorText } from "../../../lib/core/error-text.ts"
import { type Fault, isPart } from "../../support/faulty-proxy.ts"
import { failingAfter, inPieces, sample } from "./conformance.ts"
import {
  binary,
  expectNothingLeft,
  isBeginning,
  isCeph,
  isEnding,
  isGet,
  mebibyte,
  openAt,
  s3,
  unfinished,
  withFaults,
} from "./s3-fixture.ts"

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
    const part = await buffer(await store.get("dump", { range: { start: 7, end: 6 * mebibyte } }))
    expect(part.equals(bytes.subarray(7, 6 * mebibyte))).toBe(true)
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

  it.each([
    ["a part", isPart],
    ["the beginning", isBeginning],
    ["the completion", isEnding],
    ["the source", undefined],
  ])("is stopped within five seconds while %s stands still, and leaves no upload", async (_, when) => {
    const { store, prefix, proxy } = await withFaults(when ? [{ when, fault: { stall: true } }] : [])
    const stop = new AbortController()
    const source = new PassThrough({ highWaterMark: 40 * mebibyte })
    source.write(Buffer.alloc(20 * mebibyte))
    if (when) source.end()
    const putting = store.put("dump", source, { ...binary, signal: stop.signal }).catch(errorText)
    await expect.poll(() => proxy.requests.some(when ?? isPart)).toBe(true)
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
