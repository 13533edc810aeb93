import { execFileSync } from "node:child_process"
import { chmod, mkdir, mkdtemp, readdir, rm, stat, symlink, truncate, utimes, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { PassThrough } from "node:stream"
import { buffer } from "node:stream/consumers"
import { pathToFileURL } from "node:url"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { directoryFailure } from "../../../lib/store/directory-error.ts"
import { openStore } from "../../../lib/store/open.ts"
import type { Store } from "../../../lib/store/store.ts"
import { describeStore, inPieces, sample } from "./conformance.ts"

const binary = { contentType: "application/octet-stream" }
let root: string
let dir: string

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "nightshift-store-"))
  dir = join(root, "bucket")
})
afterEach(() => rm(root, { recursive: true, force: true }))

const open = (at = dir): Store => openStore(pathToFileURL(at).href, { variable: "BACKUP_STORE" })

describeStore("a directory", async () => open())

describe("a directory as a store", () => {
  it("says that a directory is in the way, or not writable, and what to do", async () => {
    await writeFile(dir, "a file where the directory should be")
    await expect(open().put("main/dump", Buffer.from("x"), binary)).rejects.toThrow(
      /cannot store main\/dump in file:\/\/.*choose another/,
    )

    const failure = directoryFailure(Object.assign(new Error("no"), { code: "EACCES" }), "store x", "file:///b")
    expect(failure.message).toContain("permission is denied")
  })

  it("names a full disk", () => {
    const failure = directoryFailure(Object.assign(new Error("write"), { code: "ENOSPC" }), "store x", "file:///b")

    expect(failure.message).toBe(
      "cannot store x in file:///b: no space is left on its disk: free some, or point the store elsewhere",
    )
  })

  it("never shows a part of an object, and leaves nothing of a put that failed", async () => {
    const store = open()
    await store.put("main/kept", Buffer.from("x"), binary)
    const source = new PassThrough()
    const putting = store.put("main/set/dump", source, binary).catch((error: Error) => error.message)
    source.write(Buffer.alloc(3_000_000))
    await expect.poll(() => readdir(join(dir, "main")).catch(() => [])).toContain("set")
    await expect.poll(async () => (await readdir(join(dir, "main/set"))).length).toBe(1)

    expect((await store.list("")).map(({ key }) => key)).toEqual(["main/kept"])
    expect(await store.head("main/set/dump")).toBeUndefined()
    source.destroy(new Error("killed"))
    expect(await putting).toContain("main/set/dump")
    expect(await readdir(join(dir, "main"))).toEqual(["kept"])
  })

  it("lets only the owner read", async () => {
    await open().put("main/dump", Buffer.from("x"), binary)

    const mode = async (path: string) => ((await stat(path)).mode & 0o777).toString(8)
    expect(await mode(dir)).toBe("700")
    expect(await mode(join(dir, "main"))).toBe("700")
    expect(await mode(join(dir, "main/dump"))).toBe("600")
  })

  it("sweeps what a killed run left below a prefix, and nothing younger", async () => {
    const store = open()
    await store.put("main/dump", Buffer.from("x"), binary)
    const leftover = (key: string) => join(dir, key.replace(/([^/]+)$/, `.$1.${"0a".repeat(16)}.part`))
    const old = new Date("2026-01-01T00:00:00Z")
    await mkdir(join(dir, "other"))
    for (const key of ["main/old", "main/young", "other/old"]) await writeFile(leftover(key), "half")
    for (const key of ["main/old", "other/old"]) await utimes(leftover(key), old, old)

    expect((await store.list("")).map(({ key }) => key)).toEqual(["main/dump"])
    expect(await store.sweep("main/", new Date("2026-01-02T00:00:00Z"))).toBe(1)
    expect(await readdir(join(dir, "main"))).toHaveLength(2)
    expect(await store.sweep("oth", new Date("2026-01-02T00:00:00Z"))).toBe(1)
    expect((await readdir(dir)).sort()).toEqual(["main"])
    expect(await store.sweep("", new Date(Date.now() + 1000))).toBe(1)
  })

  it("fails a download whose file becomes shorter meanwhile", async () => {
    const store = open()
    await store.put("dump", sample(3_000_000).bytes, binary)
    const stream = await store.get("dump")
    await truncate(join(dir, "dump"), 1000)

    await expect(buffer(stream)).rejects.toThrow(/ended after \d+ of 3000000 bytes/)
  })

  it("goes on with the old object when it is replaced during a download", async () => {
    const { bytes } = sample(3_000_000)
    const store = open()
    await store.put("dump", bytes, binary)
    const stream = await store.get("dump")
    await store.put("dump", Buffer.from("new"), binary)

    expect((await buffer(stream)).equals(bytes)).toBe(true)
  })

  it("does not follow links out of the directory when it lists", async () => {
    await writeFile(join(root, "secret"), "x")
    await mkdir(dir)
    await symlink(root, join(dir, "out"))
    await symlink(join(root, "secret"), join(dir, "link"))

    expect(await open().list("")).toEqual([])
  })

  it("survives puts and removes of the same folder at once", async () => {
    const store = open()
    const work = Array.from({ length: 40 }, async (_, index) => {
      const key = `main/set/${index}`
      await store.put(key, inPieces(Buffer.from("x")), binary)
      await store.remove(key)
    })

    await Promise.all(work)
    expect(await store.list("")).toEqual([])
    expect(await readdir(dir)).toEqual([])
  })

  it("takes a directory with odd characters in its name", async () => {
    const odd = join(root, "a b#c%d?é")
    await open(odd).put("dump", Buffer.from("x"), binary)

    expect(await readdir(odd)).toEqual(["dump"])
    await chmod(odd, 0o700)
  })
})

/** Only where this user may mount can a disk be made that is really full. */
const mayMount = (() => {
  try {
    execFileSync("unshare", ["--mount", "mount", "-t", "tmpfs", "none", "/mnt"], { stdio: "ignore" })
    return true
  } catch {
    process.stderr.write("this user cannot mount: the test with a really full disk is left out\n")
    return false
  }
})()

if (mayMount) {
  describe("a directory on a full disk", () => {
    beforeEach(async () => {
      await mkdir(dir)
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "none", dir])
    })
    afterEach(() => void execFileSync("umount", [dir]))

    it("says so, and leaves no file that takes up the rest", async () => {
      const failure = await open()
        .put("main/dump", inPieces(sample(3_000_000).bytes), binary)
        .catch((error: Error) => error.message)

      expect(failure).toContain("cannot store main/dump in file://")
      expect(failure).toContain("no space is left on its disk: free some")
      expect(await readdir(dir)).toEqual([])
    })
  })
}
