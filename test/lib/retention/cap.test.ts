import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { capProblems, renderShare, shareOf } from "../../../lib/retention/cap.ts"

const rows = fc.integer({ min: 0, max: 1_000_000 })
const input = fc.record({
  rows,
  tableRows: rows,
  cascaded: fc.array(fc.record({ table: fc.constant("public.lines"), rows, tableRows: rows }), { maxLength: 3 }),
  maxRows: fc.integer({ min: 1, max: 1_000_000 }),
  maxShare: fc.double({ min: 0, max: 100, noNaN: true }),
})

describe("the caps", () => {
  it("never let more through when fewer rows are allowed, or more are taken", () => {
    fc.assert(
      fc.property(
        input,
        fc.integer({ min: 0, max: 1000 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (one, more, part) => {
          const problems = capProblems(one).length
          const stricter = { ...one, maxRows: Math.ceil(one.maxRows * part), maxShare: one.maxShare * part }
          expect(capProblems(stricter).length).toBeGreaterThanOrEqual(problems)
          expect(capProblems({ ...one, rows: one.rows + more }).length).toBeGreaterThanOrEqual(problems)
        },
      ),
    )
  })

  it("let nothing through but nothing where no share is allowed", () => {
    fc.assert(
      fc.property(input, (one) => {
        const isNothing = one.rows === 0 && one.cascaded.every(({ rows }) => rows === 0)
        expect(capProblems({ ...one, maxShare: 0 }).length === 0).toBe(isNothing)
      }),
    )
  })

  it("take any row of a table that seems empty for all of it", () => {
    expect(shareOf(1, 0)).toBe(100)
    expect(shareOf(0, 0)).toBe(0)
    expect([0, 0.01, 12.34, 100].map(renderShare)).toEqual(["0 %", "< 0.1 %", "12.3 %", "100 %"])
  })
})
