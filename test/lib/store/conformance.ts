import { createHash, randomBytes } from "node:crypto"
import { PassThrough, Readable } from "node:stream"
import { buffer } from "node:stream/consumers"
import { beforeEach, describe, expect, it } from "vitest"
import { errorText } from "../../../lib/core/error-text.ts"
import { ObjectMissing, type Store } from "../../../lib/store/store.ts"

const binary = { contentType: "application/octet-stream" }
const mebibyte = 1024 * 1024

/** What every store must do. `open` gives an empty one for each test. */
export function describeStore(kind: string, open: () => Promise<Store>): void {
  describe(`a store in ${kind}`, () => {
    let store: Store
    beforeEach(async () => {
      store = await open()
    })

    describeFailures(() => store)
    describeObjects(() => store)
    describeListing(() => store)
    describeKeys(() => store)
  })
}

/** Random bytes and what a put of them must answer. */
export function sample(sizeBytes: number): { bytes: Buffer; stored: { sizeBytes: number; sha256: string } } {
  const bytes = randomBytes(sizeBytes)
  return { bytes, stored: { sizeBytes, sha256: createHash("sha256").update(bytes).digest("hex") } }
}

/** The bytes as a stream that comes in pieces of uneven size. */
export function inPieces(bytes: Uint8Array, pieceBytes = 300_001): Readable {
  const pieces = function* () {
    for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes)
  }
  return Readable.from(pieces(), { objectMode: false })
}

/** A stream that gives so many bytes and then fails. */
export function failingAfter(sizeBytes: number, error: Error): Readable {
  const give = async function* () {
    for (let given = 0; given < sizeBytes; given += mebibyte)
      yield Buffer.alloc(Math.min(mebibyte, sizeBytes - given), 7)
    throw error
  }
  return Readable.from(give(), { objectMode: false })
}

function describeFailures(store: () => Store): void {
  it.each([0, 20 * mebibyte])("keeps the old object when the source fails after %i bytes", async (sizeBytes) => {
    await store().put("set/dump", Buffer.from("old"), binary)
    const source = failingAfter(sizeBytes, new Error("pg_dump was killed"))

    await expect(store().put("set/dump", source, binary)).rejects.toThrow(/cannot store set\/dump in .*:\/\//)

    expect(await buffer(await store().get("set/dump"))).toEqual(Buffer.from("old"))
    expect(await store().list("")).toHaveLength(1)
  })

  it("says what broke the source", async () => {
    const failure = await store()
      .put("dump", failingAfter(10, new Error("pg_dump was killed")), binary)
      .catch(errorText)

    expect(failure).toMatch(/cannot store dump in .*pg_dump was killed/)
  })

  it("stores nothing when the source is destroyed half-way", async () => {
    const source = new PassThrough()
    source.write(Buffer.alloc(9 * mebibyte))
    const putting = store().put("set/dump", source, binary)
    setTimeout(() => source.destroy(), 50)

    await expect(putting).rejects.toThrow("set/dump")
    expect(await store().list("")).toEqual([])
  })

  it("stores nothing from a stream that was read before", async () => {
    const source = inPieces(Buffer.from("gone"))
    await buffer(source)

    await expect(store().put("dump", source, binary)).rejects.toThrow()
    expect(await store().head("dump")).toBeUndefined()
  })

  it("stores nothing and frees the source when it is stopped, however still the source stands", async () => {
    const stop = new AbortController()
    const source = new PassThrough()
    source.write(Buffer.alloc(9 * mebibyte))
    const putting = store().put("set/dump", source, { ...binary, signal: stop.signal })
    setTimeout(() => stop.abort(new Error("SIGINT")), 50)

    await expect(putting).rejects.toThrow("set/dump")
    expect(source.destroyed).toBe(true)
    expect(await store().list("")).toEqual([])
  })

  it("stores nothing when it was stopped before", async () => {
    const options = { ...binary, signal: AbortSignal.abort(new Error("SIGINT")) }

    await expect(store().put("one", Buffer.from("x"), options)).rejects.toThrow("one")
    await expect(store().put("two", inPieces(Buffer.from("x")), options)).rejects.toThrow("two")
    expect(await store().list("")).toEqual([])
  })

  it("says which object is missing", async () => {
    const failure = await store()
      .get("set/gone")
      .catch((error: unknown) => error)

    expect(failure).toBeInstanceOf(ObjectMissing)
    expect(String(failure)).toContain("set/gone does not exist in ")
    expect(await store().head("set/gone")).toBeUndefined()
    await store().remove("set/gone")
  })

  it("stops a download", async () => {
    await store().put("dump", sample(4 * mebibyte).bytes, binary)
    const stop = new AbortController()
    const stream = await store().get("dump", { signal: stop.signal })
    stream.once("data", () => stop.abort(new Error("SIGINT")))

    await expect(buffer(stream)).rejects.toThrow()
  })
}

function describeObjects(store: () => Store): void {
  it.each([0, 1, 8 * mebibyte, 20 * mebibyte + 1])("gives back %i bytes as they were", async (sizeBytes) => {
    const { bytes, stored } = sample(sizeBytes)

    expect(await store().put("set/dump.age", inPieces(bytes), binary)).toEqual(stored)

    expect((await buffer(await store().get("set/dump.age"))).equals(bytes)).toBe(true)
    expect(await store().head("set/dump.age")).toMatchObject({ key: "set/dump.age", sizeBytes })
  })

  it("stores bytes that are in memory", async () => {
    const { bytes, stored } = sample(1000)

    expect(await store().put("manifest.json", bytes, binary)).toEqual(stored)
    expect(await buffer(await store().get("manifest.json"))).toEqual(bytes)
  })

  it("replaces an object by a shorter one", async () => {
    await store().put("receipt.json", sample(5000).bytes, binary)
    await store().put("receipt.json", Buffer.from("{}"), binary)

    expect(await buffer(await store().get("receipt.json"))).toEqual(Buffer.from("{}"))
    expect(await store().list("")).toMatchObject([{ key: "receipt.json", sizeBytes: 2 }])
  })

  it("tells when an object was stored, to a few seconds", async () => {
    await store().put("now", Buffer.from("x"), binary)

    const found = await store().head("now")
    expect(Math.abs((found?.modifiedAt.getTime() ?? 0) - Date.now())).toBeLessThan(5000)
  })

  it.each([
    [0, 2],
    [10, 20],
    [99, 100],
    [90, 200],
  ])("reads bytes from %i up to %i", async (start, end) => {
    const { bytes } = sample(100)
    await store().put("dump", bytes, binary)

    const part = await buffer(await store().get("dump", { range: { start, end } }))
    expect(part).toEqual(bytes.subarray(start, end))
  })

  it.each([
    [100, 101],
    [5, 5],
    [6, 5],
    [-1, 5],
  ])("refuses the range from %i to %i of 100 bytes", async (start, end) => {
    await store().put("dump", sample(100).bytes, binary)

    const failure = await store().get("dump", { range: { start, end } }).catch(errorText)
    expect(failure).toMatch(/range/i)
  })

  it("can be left before a download ends", async () => {
    await store().put("dump", sample(4 * mebibyte).bytes, binary)

    const unread = await store().get("dump")
    unread.destroy()
    for await (const _ of await store().get("dump")) break
    expect(unread.destroyed).toBe(true)
  })
}

function describeListing(store: () => Store): void {
  it("lists by a plain prefix, in key order, and forgets what was removed", async () => {
    const keys = ["main/b", "main/a/1", "main/a.txt", "main/a/0", "mainly", "other/ü", "main/é", "main/😀", "main/ﬁ"]
    for (const key of keys) await store().put(key, Buffer.from(key), binary)
    const listed = async (prefix: string) => (await store().list(prefix)).map(({ key }) => key)

    expect(await listed("main/a")).toEqual(["main/a.txt", "main/a/0", "main/a/1"])
    expect(await listed("main/a/")).toEqual(["main/a/0", "main/a/1"])
    expect(await listed("main/")).toEqual([
      "main/a.txt",
      "main/a/0",
      "main/a/1",
      "main/b",
      "main/é",
      "main/ﬁ",
      "main/😀",
    ])
    expect(await listed("none")).toEqual([])

    await store().remove("main/a/0")
    await store().remove("main/a/1")
    expect(await listed("")).toEqual(["main/a.txt", "main/b", "main/é", "main/ﬁ", "main/😀", "mainly", "other/ü"])
  })

  it("tells size and time of each object", async () => {
    await store().put("main/a", Buffer.from("four"), binary)

    const [found] = await store().list("main/")
    expect(found).toMatchObject({ key: "main/a", sizeBytes: 4 })
    expect(found?.modifiedAt).toBeInstanceOf(Date)
  })
}

function describeKeys(store: () => Store): void {
  it.each([
    "main/Überraschung 100% & <more>",
    "a+b=c,d;e@f$g!h'(i)*",
    "日本/資料.json",
    "e\u0301/\u00e9",
    ".hidden",
    "a?b#c",
  ])("takes the key %s", async (key) => {
    await store().put(key, Buffer.from(key), binary)

    expect(String(await buffer(await store().get(key)))).toBe(key)
    expect((await store().list("")).map((found) => found.key)).toEqual([key])
    await store().remove(key)
    expect(await store().list("")).toEqual([])
  })

  it.each([
    "",
    "/etc/passwd",
    "../outside",
    "a/../../outside",
    "a/..",
    ".",
    "a//b",
    "a/",
    "nul\u0000",
    "line\n",
    "back\\slash",
    "\ud800",
    "x".repeat(300),
  ])("refuses the key %j in every method", async (key) => {
    await expect(store().put(key, Buffer.from("x"), binary)).rejects.toThrow("cannot be a key in")
    await expect(store().get(key)).rejects.toThrow("cannot be a key in")
    await expect(store().head(key)).rejects.toThrow("cannot be a key in")
    await expect(store().remove(key)).rejects.toThrow("cannot be a key in")
  })

  it.each(["../", "/", "a/../../", "a//"])("refuses the prefix %j", async (prefix) => {
    await expect(store().list(prefix)).rejects.toThrow("cannot be a prefix in")
    await expect(store().sweep(prefix, new Date())).rejects.toThrow("cannot be a prefix in")
  })
}
