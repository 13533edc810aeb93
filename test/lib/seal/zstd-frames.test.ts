import { randomBytes } from "node:crypto"
import { readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { constants, zstdCompressSync } from "node:zlib"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { compressFrames } from "../../../lib/seal/compress-frames.ts"
import { decompressFrames } from "../../../lib/seal/decompress-frames.ts"
import { runProgram } from "../../../lib/system/program.ts"
import { withTempDir } from "../../../lib/system/temp.ts"

async function* pieces(bytes: Uint8Array, step = 64 * 1024) {
  for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step)
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const chunk of chunks) parts.push(chunk)
  return Buffer.concat(parts)
}

const compress = (bytes: Uint8Array, step?: number) => collect(compressFrames(pieces(bytes, step), 3))
const decompress = (bytes: Uint8Array, step?: number) => collect(decompressFrames(pieces(bytes, step)))
const words = (size: number) => Buffer.from("one fish two fish red fish ".repeat(size / 20)).subarray(0, size)

describe("zstd data", () => {
  it("that was cut off, between frames' ends or inside their headers, fails", async () => {
    const whole = await compress(randomBytes(600_000))
    for (const length of [0, 1, 5, 8, 20, 300_000, whole.length - 1]) {
      await expect(decompress(whole.subarray(0, length)), String(length)).rejects.toThrow("cut off")
    }
  })

  it("with something behind its last frame fails", async () => {
    const whole = await compress(words(1000))
    await expect(decompress(Buffer.concat([whole, Buffer.from("garbage")]))).rejects.toThrow("no frame begins here")
    await expect(decompress(Buffer.concat([whole, Buffer.alloc(1)]))).rejects.toThrow("cut off")
    await expect(decompress(Buffer.from("PGDMP is no zstd"))).rejects.toThrow("not zstd")
  })

  it("that is damaged fails, or is what it was", async () => {
    const plain = words(700_000)
    const whole = await compress(plain)
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.nat(7), async (at, bit) => {
        const copy = Buffer.from(whole)
        copy[at] = (copy[at] ?? 0) ^ (1 << bit)
        const outcome = await decompress(copy).catch((error: unknown) => error)
        expect(outcome instanceof Error || (Buffer.isBuffer(outcome) && outcome.equals(plain))).toBe(true)
      }),
      { numRuns: 100 },
    )
  })

  it("of many small frames in one piece loses none of them", async () => {
    const params = (checksum: boolean) => ({ params: { [constants.ZSTD_c_checksumFlag]: checksum ? 1 : 0 } })
    const part = fc.record({
      size: fc.constantFrom(0, 1, 25, 4000, 65_536, 131_072, 140_000),
      isRandom: fc.boolean(),
      checksum: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(part, { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 1, max: 400_000 }),
        async (parts, step) => {
          const contents = parts.map(({ size, isRandom }) => (isRandom ? randomBytes(size) : words(size)))
          const frames = contents.map((content, index) =>
            zstdCompressSync(content, params(parts[index]?.checksum ?? false)),
          )
          const decoded = await decompress(Buffer.concat(frames), Math.max(step, 500))
          expect(decoded.equals(Buffer.concat(contents))).toBe(true)
        },
      ),
      { numRuns: 60 },
    )
  })

  it("fails when its source fails", async () => {
    async function* failing() {
      yield randomBytes(1_500_000)
      throw new Error("half-way")
    }
    await expect(collect(compressFrames(failing(), 3))).rejects.toThrow("half-way")
    await expect(collect(decompressFrames(failing()))).rejects.toThrow()
  })

  it("comes back as it was, whatever its size and the pieces it came in", async () => {
    const size = fc.oneof(fc.constantFrom(0, 1, 512 * 1024, 1024 * 1024), fc.nat(1_500_000))
    const step = fc.integer({ min: 5000, max: 1_500_000 })
    await fc.assert(
      fc.asyncProperty(size, fc.boolean(), step, step, async (size, isRandom, compressStep, decompressStep) => {
        const plain = isRandom ? randomBytes(size) : words(size)
        expect((await decompress(await compress(plain, compressStep), decompressStep)).equals(plain)).toBe(true)
      }),
      { numRuns: 30 },
    )
  })
})

describe("the zstd program", () => {
  it("decodes what is compressed here, and its files are decoded here", async () => {
    await withTempDir("zstd", async (dir) => {
      for (const plain of [Buffer.alloc(0), words(10), Buffer.concat([words(1_200_000), randomBytes(800_000)])]) {
        await writeFile(join(dir, "ours.zst"), await compress(plain))
        await writeFile(join(dir, "plain"), plain)
        await runProgram("zstd", ["-q", "-f", "-d", join(dir, "ours.zst"), "-o", join(dir, "decoded")])
        await runProgram("zstd", ["-q", "-f", "-9", "--long", join(dir, "plain"), "-o", join(dir, "theirs.zst")])
        expect((await readFile(join(dir, "decoded"))).equals(plain)).toBe(true)
        expect((await decompress(await readFile(join(dir, "theirs.zst")))).equals(plain)).toBe(true)
      }
    })
  })
})
