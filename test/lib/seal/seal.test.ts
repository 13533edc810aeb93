import { createHash, randomBytes } from "node:crypto"
import { readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { PassThrough, Readable } from "node:stream"
import { setTimeout as wait } from "node:timers/promises"
import { generateX25519Identity, identityToRecipient } from "age-encryption"
import fc from "fast-check"
import { beforeAll, describe, expect, it } from "vitest"
import { encryptAge } from "../../../lib/seal/age.ts"
import { heldUntil, sealBytes, sealStream, unsealBytes, unsealStream } from "../../../lib/seal/seal.ts"
import { openPipe } from "../../../lib/system/pipe.ts"
import { runProgram, startProgram } from "../../../lib/system/program.ts"
import { withTempDir } from "../../../lib/system/temp.ts"

const identities = { keys: [""] }
const recipients = { keys: [""] }
const maxBytes = 100_000_000

beforeAll(async () => {
  identities.keys = [await generateX25519Identity()]
  recipients.keys = await Promise.all(identities.keys.map((key) => identityToRecipient(key)))
})

async function collect(chunks: AsyncIterable<Uint8Array>, parts: Uint8Array[] = []): Promise<Buffer> {
  for await (const chunk of chunks) parts.push(chunk)
  return Buffer.concat(parts)
}

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex")
const unseal = (bytes: Uint8Array) => unsealBytes(bytes, identities, { maxBytes })

/** Pieces of a fixed total that gives way to other work between them. */
function source(bytes: Uint8Array, step: number): Readable {
  async function* pieces() {
    for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step)
  }
  return Readable.from(pieces(), { objectMode: false })
}

describe("a sealed stream", () => {
  it("fails with its source's error, and what came out until then does not open", async () => {
    async function* failing() {
      for (let i = 0; i < 8; i++) {
        yield randomBytes(500_000)
        await wait(5)
      }
      throw new Error("the source broke")
    }
    const { sealed, counts } = sealStream(Readable.from(failing()), recipients)
    const parts: Uint8Array[] = []
    await expect(collect(sealed, parts)).rejects.toThrow("the source broke")
    expect(sealed.destroyed).toBe(true)
    expect(Buffer.concat(parts).length).toBeGreaterThan(1_000_000)
    await expect(unseal(Buffer.concat(parts))).rejects.toThrow("cut off")
    expect(() => counts().sealedSha256).toThrow("only when it has ended")
  })

  it("ends its source when nobody wants it any more, even one that is silent", async () => {
    const start = (await sealBytes(randomBytes(1000), recipients)).bytes.subarray(0, -100)
    const streams = {
      sealed: (silent: Readable) => sealStream(silent, recipients).sealed,
      plain: (silent: Readable) => unsealStream(silent, identities).plain,
      held: (silent: Readable) => heldUntil(silent, new Promise(() => undefined)),
    }
    for (const [name, open] of Object.entries(streams)) {
      const silent = new PassThrough()
      const stream = open(silent)
      silent.write(start)
      await wait(20)
      stream.destroy()
      await wait(20)
      expect(silent.destroyed, name).toBe(true)
    }
  })

  it("is not made for nobody", async () => {
    await expect(sealBytes(Buffer.from("x"), { keys: [] })).rejects.toThrow("no recipients")
  })

  it("does not read on while nobody takes what it gives", async () => {
    let given = 0
    async function* endless() {
      for (;;) {
        given += 512 * 1024
        yield randomBytes(512 * 1024)
      }
    }
    const { sealed } = sealStream(Readable.from(endless()), recipients)
    sealed.once("readable", () => undefined)
    await wait(300)
    sealed.destroy()
    expect(given).toBeLessThan(40 * 512 * 1024)
  })

  it("opens to what it was, with true counts on both sides", async () => {
    const size = fc.oneof(fc.constantFrom(0, 1, 65_536, 524_288), fc.nat(2_000_000))
    await fc.assert(
      fc.asyncProperty(size, fc.integer({ min: 3000, max: 1_000_000 }), async (size, step) => {
        const plain = Buffer.concat([randomBytes(size >> 1), Buffer.alloc(size - (size >> 1), "ab")])
        const { sealed, counts } = sealStream(source(plain, step), recipients)
        const bytes = await collect(sealed)
        const opened = unsealStream(source(bytes, step), identities)
        expect((await collect(opened.plain)).equals(plain)).toBe(true)
        const { plainBytes, plainSha256, compressedBytes, sealedBytes, sealedSha256 } = counts()
        expect({ plainBytes, plainSha256 }).toEqual({ plainBytes: size, plainSha256: sha256(plain) })
        expect({ sealedBytes, sealedSha256 }).toEqual({ sealedBytes: bytes.length, sealedSha256: sha256(bytes) })
        expect(opened.counts()).toEqual({ plainBytes, plainSha256, compressedBytes, sealedBytes, sealedSha256 })
      }),
      { numRuns: 25 },
    )
  })

  it("opens with age and zstd alone", async () => {
    await withTempDir("seal", async (dir) => {
      const plain = Buffer.concat([randomBytes(700_000), Buffer.alloc(3_000_000, "row ")])
      await writeFile(join(dir, "key"), identities.keys[0] ?? "", { mode: 0o600 })
      await writeFile(join(dir, "sealed"), (await sealBytes(plain, recipients)).bytes)
      await runProgram("sh", ["-c", "set -e; age -d -i key -o compressed sealed; zstd -q -d compressed -o plain"], {
        cwd: dir,
      })
      expect((await readFile(join(dir, "plain"))).equals(plain)).toBe(true)
    })
  })
})

describe("a sealed object", () => {
  it("that was cut, changed or added to does not open", async () => {
    const { bytes } = await sealBytes(randomBytes(200_000), recipients)
    const changed = Buffer.from(bytes)
    changed[150_000] = (changed[150_000] ?? 0) ^ 1
    await expect(unseal(bytes.subarray(0, -1))).rejects.toThrow("cut off")
    await expect(unseal(changed)).rejects.toThrow("not authentic")
    await expect(unseal(Buffer.concat([bytes, Buffer.from("x")]))).rejects.toThrow("the sealed data")
    await expect(unseal(Buffer.alloc(0))).rejects.toThrow("it is empty")
    const other = { keys: [await generateX25519Identity()] }
    await expect(unsealBytes(bytes, other, { maxBytes })).rejects.toThrow("wrong key")
  })

  it("that somebody with the public key made of something else does not open", async () => {
    const sealedBy = async (...parts: Uint8Array[]) => collect(encryptAge(Readable.from(parts), recipients.keys))
    await expect(unseal(await sealedBy(Buffer.from("no zstd at all")))).rejects.toThrow("not zstd")
    await expect(unseal(await sealedBy())).rejects.toThrow("cut off")
  })

  it("that would fill the memory is given up", async () => {
    const { bytes } = await sealBytes(Buffer.alloc(20_000_000), recipients)
    expect(bytes.length).toBeLessThan(20_000)
    await expect(unsealBytes(bytes, identities, { maxBytes: 1_000_000 })).rejects.toThrow("more than 1000000 bytes")
  })

  it("leaves the caller's bytes alone", async () => {
    const plain = randomBytes(2 * 1024 * 1024)
    const copy = Buffer.from(plain)
    const { bytes } = await sealBytes(plain, recipients)
    expect(plain.equals(copy)).toBe(true)
    expect((await unseal(bytes)).length).toBe(plain.length)
  })
})

describe("the output of a program", () => {
  async function sealOutput(script: string) {
    const pipe = await openPipe()
    const program = startProgram("sh", ["-c", script], { stdout: pipe.writeFd })
    pipe.closeWriteEnd()
    return { ...sealStream(heldUntil(pipe.output, program.succeeded()), recipients), program, pipe }
  }

  it("is not sealed to its end when the program fails after writing everything", async () => {
    const { sealed } = await sealOutput("head -c 2000000 /dev/urandom; exit 3")
    const parts: Uint8Array[] = []
    await expect(collect(sealed, parts)).rejects.toThrow("exit code 3")
    if (parts.length > 0) await expect(unseal(Buffer.concat(parts))).rejects.toThrow("cut off")
  })

  it("fails at once when the program is gone but something still holds its output open", async () => {
    const { sealed, program } = await sealOutput("sleep 5 & kill -9 $$")
    await expect(collect(sealed)).rejects.toThrow("SIGKILL")
    expect(await program.exited).toMatchObject({ killedBy: "SIGKILL" })
  })

  it("stops the program when the sealed stream is not wanted any more", async () => {
    const { sealed, program, pipe } = await sealOutput("exec yes")
    await new Promise((resolve) => sealed.once("data", resolve))
    sealed.destroy()
    expect(await program.exited).toMatchObject({ killedBy: "SIGPIPE" })
    expect(pipe.output.destroyed).toBe(true)
  })

  it("is sealed whole, in order, when the program ended well", async () => {
    const { sealed, counts } = await sealOutput("seq 1 4000000; sleep 0.1")
    const plain = await unseal(await collect(sealed))
    const expected = Array.from({ length: 4_000_000 }, (_, index) => `${index + 1}\n`).join("")
    expect(sha256(plain)).toBe(sha256(Buffer.from(expected)))
    expect(counts().plainBytes).toBe(expected.length)
  })
})
