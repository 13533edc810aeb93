import { describe, expect, it } from "vitest"
import { judgeRows } from "../../../lib/backup/behaviour.ts"

describe("assertions", () => {
  it("without a range hold when no row comes back", () => {
    expect(judgeRows([], { name: "n", sql: "s" })).toBeUndefined()
    expect(judgeRows([[1], [2]], { name: "n", sql: "s" })).toBe("expected no rows, found 2")
  })

  it("with a range want exactly one number inside it", () => {
    const between = { name: "n", sql: "s", expect: { min: 1, max: 5 } }
    expect(judgeRows([["3"]], between)).toBeUndefined()
    expect(judgeRows([[0]], between)).toBe("expected at least 1, found 0")
    expect(judgeRows([["6"]], between)).toBe("expected at most 5, found 6")
    for (const rows of [[], [[null]], [["many"]], [[1], [2]], [[1, 2]]]) {
      expect(judgeRows(rows, between)).toBe("expected one row with one number")
    }
  })
})
