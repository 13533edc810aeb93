import { randomBytes } from "node:crypto"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { chunkNonce, payloadOpener, payloadSealer, payloadSize } from "../../../lib/seal/age-payload.ts"

const fileKey = randomBytes(16)
const chunkBytes = 64 * 1024
const edges = [0, 1, chunkBytes - 1, chunkBytes, chunkBytes + 1, 2 * chunkBytes, 3 * chunkBytes + 7]

function seal(plain: Uint8Array, step = plain.length + 1): Buffer {
  const sealer = payloadSealer(fileKey)
  const parts = [sealer.start()]
  for (let at = 0; at < plain.length; at += step) parts.push(sealer.seal(plain.subarray(at, at + step)))
  return Buffer.concat([...parts, sealer.finish()])
}

function open(sealed: Uint8Array, step = sealed.length + 1): Buffer {
  const opener = payloadOpener(fileKey)
  const parts: Uint8Array[] = []
  for (let at = 0; at < sealed.length; at += step) parts.push(...opener.open(sealed.subarray(at, at + step)))
  return Buffer.concat([...parts, opener.finish()])
}

describe("an age payload", () => {
  it("that was cut anywhere near a chunk's border fails", () => {
    for (const size of edges) {
      const sealed = seal(randomBytes(size))
      for (const cut of [1, 15, 16, 17, chunkBytes, chunkBytes + 16, chunkBytes + 17, sealed.length - 1]) {
        if (cut < sealed.length) expect(() => open(sealed.subarray(0, -cut)), `${size} less ${cut}`).toThrow(/cut off/)
      }
      expect(() => open(sealed.subarray(0, 0))).toThrow("cut off")
    }
  })

  it("that was added to fails", () => {
    for (const size of edges) {
      const sealed = seal(randomBytes(size))
      for (const more of [1, 16, chunkBytes + 16, chunkBytes + 17]) {
        expect(() => open(Buffer.concat([sealed, randomBytes(more)]))).toThrow(/added|damaged/)
      }
    }
  })

  it("in which a bit was flipped fails, wherever", () => {
    const sealed = seal(randomBytes(chunkBytes + 100))
    fc.assert(
      fc.property(fc.nat(sealed.length - 1), fc.nat(7), (at, bit) => {
        const copy = Buffer.from(sealed)
        copy[at] = (copy[at] ?? 0) ^ (1 << bit)
        expect(() => open(copy)).toThrow("not authentic")
      }),
      { numRuns: 50 },
    )
  })

  it("whose chunks were exchanged fails", () => {
    const sealed = seal(randomBytes(3 * chunkBytes))
    const chunk = (index: number) =>
      sealed.subarray(16 + index * (chunkBytes + 16), 16 + (index + 1) * (chunkBytes + 16))
    expect(() => open(Buffer.concat([sealed.subarray(0, 16), chunk(1), chunk(0), chunk(2)]))).toThrow("chunk 0")
    expect(() => open(Buffer.concat([sealed.subarray(0, 16), chunk(0), chunk(2)]))).toThrow("damaged")
  })

  it("comes back as it was, whatever its size and the pieces it came in", () => {
    const size = fc.oneof(fc.constantFrom(...edges), fc.nat(200_000))
    const step = fc.oneof(fc.constantFrom(chunkBytes, chunkBytes + 16, 1000), fc.integer({ min: 700, max: 200_000 }))
    fc.assert(
      fc.property(size, step, step, (size, sealStep, openStep) => {
        const plain = randomBytes(size)
        const sealed = seal(plain, sealStep)
        expect(sealed.length).toBe(payloadSize(size))
        expect(open(sealed, openStep).equals(plain)).toBe(true)
      }),
      { numRuns: 60 },
    )
  })

  it("never uses a nonce twice", () => {
    expect(seal(Buffer.alloc(10)).equals(seal(Buffer.alloc(10)))).toBe(false)
    expect(Buffer.from(chunkNonce(0x0102_0304_0506, true)).toString("hex")).toBe("000000000001020304050601")
    expect(Buffer.from(chunkNonce(0, false)).toString("hex")).toBe("0".repeat(24))
    expect(() => chunkNonce(2 ** 48, false)).toThrow("too much data")
  })
})
