import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { choosePartSize, maxParts, partFiller } from "../../../lib/store/parts.ts"

describe("the parts of an upload", () => {
  it("fit in 10,000 for every size, with room for a quarter more", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 30e12, noNaN: true }), (expectedBytes) => {
        const partBytes = choosePartSize(expectedBytes)
        expect(partBytes * maxParts).toBeGreaterThanOrEqual(expectedBytes * 1.25)
        expect(partBytes).toBeGreaterThanOrEqual(8 * 1024 * 1024)
        expect(partBytes).toBeLessThanOrEqual(5 * 1024 ** 3)
      }),
    )
    expect(choosePartSize(1e12)).toBeLessThan(130e6)
    expect(() => choosePartSize(100e12)).toThrow("100 TB do not fit in one object")
  })

  it("hold the same bytes however they come", async () => {
    const chunkSizes = fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 20 })
    await fc.assert(
      fc.asyncProperty(chunkSizes, fc.integer({ min: 1, max: 50 }), async (sizes, partBytes) => {
        let value = 0
        const chunks = sizes.map((size) => Uint8Array.from({ length: size }, () => value++ % 256))
        const fill = partFiller(arrive(chunks))
        const parts: Buffer[] = []
        for (;;) {
          const part = await fill(Buffer.alloc(partBytes))
          parts.push(Buffer.from(part))
          if (part.length < partBytes) break
        }
        expect(Buffer.concat(parts)).toEqual(Buffer.concat(chunks))
        expect(parts.slice(0, -1).every((part) => part.length === partBytes)).toBe(true)
      }),
    )
  })
})

async function* arrive(chunks: Uint8Array[]) {
  yield* chunks
}
