import fc from "fast-check"
import { expect, it } from "vitest"
import { batchRows, batchTimeMs, nextBatchRows } from "../../../lib/retention/batch-size.ts"

const size = fc.integer({ min: batchRows.least, max: batchRows.most })
const time = fc.record({
  rows: fc.integer({ min: 0, max: batchRows.most }),
  tookMs: fc.double({ min: 0, max: 120_000, noNaN: true }),
  waiting: fc.integer({ min: 0, max: 3 }),
})

it("is a whole number within its bounds, and at most twice the one before", () => {
  fc.assert(
    fc.property(size, time, (size, time) => {
      const next = nextBatchRows(size, { ...time, rows: Math.min(size, time.rows) })
      expect(Number.isInteger(next)).toBe(true)
      expect(next).toBeGreaterThanOrEqual(batchRows.least)
      expect(next).toBeLessThanOrEqual(Math.min(batchRows.most, size * 2))
    }),
  )
})

it("shrinks after a batch that took too long or that somebody waited for, down to a single row", () => {
  fc.assert(
    fc.property(size, time, (size, time) => {
      fc.pre(time.waiting > 0 || time.tookMs > batchTimeMs.most)
      const next = nextBatchRows(size, { ...time, rows: Math.min(size, time.rows) })
      expect(next).toBeLessThanOrEqual(Math.max(1, size - 1))
    }),
  )
})

it("grows after a batch that left out some locked rows, not after one that was mostly empty", () => {
  expect(nextBatchRows(1000, { rows: 3, tookMs: 1, waiting: 0 })).toBe(1000)
  expect(nextBatchRows(1000, { rows: 990, tookMs: 1, waiting: 0 })).toBe(2000)
})

it("comes to 200 to 500 ms, or to its bounds, within 30 batches, whatever a row costs, and stays there", () => {
  const rowMs = fc.double({ min: 0.0001, max: 1000, noNaN: true })
  fc.assert(
    fc.property(rowMs, size, fc.double({ min: 0, max: 150, noNaN: true }), (rowMs, first, commitMs) => {
      let size = first
      const took = () => commitMs + size * rowMs
      for (let batch = 0; batch < 30; batch++) size = nextBatchRows(size, { rows: size, tookMs: took(), waiting: 0 })
      for (let batch = 0; batch < 5; batch++) {
        const settled = took() >= batchTimeMs.least && took() <= batchTimeMs.most
        const isBound = size === batchRows.most ? took() < batchTimeMs.least : took() > batchTimeMs.most && size === 1
        const isCoarse = rowMs > 100 // one row more would be too much
        expect(settled || isBound || isCoarse).toBe(true)
        size = nextBatchRows(size, { rows: size, tookMs: took(), waiting: 0 })
      }
    }),
  )
})

it("halves what stays right while writers wait", () => {
  expect(nextBatchRows(8000, { rows: 8000, tookMs: 350, waiting: 2 })).toBe(4000)
  expect(nextBatchRows(8000, { rows: 8000, tookMs: 1400, waiting: 1 })).toBe(1000)
})
