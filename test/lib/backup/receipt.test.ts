import { describe, expect, it } from "vitest"
import { failed, levelNames, overallVerdict, passed, type Receipt, skipped } from "../../../lib/backup/receipt.ts"

const allPassed = () => Object.fromEntries(levelNames.map((name) => [name, passed("seen")])) as Receipt["levels"]

describe("a receipt's verdict", () => {
  it("is passed only when every level was looked at", () => {
    expect(overallVerdict(allPassed())).toBe("passed")
    for (const name of levelNames.filter((name) => name !== "behaviour")) {
      expect(overallVerdict({ ...allPassed(), [name]: skipped("not reached") }), name).toBe("failed")
      expect(overallVerdict({ ...allPassed(), [name]: failed("no", ["x"]) }), name).toBe("failed")
    }
  })

  it("forgives a team that asserts nothing, and says when there were exceptions", () => {
    const levels = { ...allPassed(), behaviour: skipped("no assertions") }
    expect(overallVerdict(levels)).toBe("passed")
    expect(overallVerdict({ ...levels, data: passed("seen", ["a view"]) })).toBe("passed with exceptions")
  })

  it("names at most 20 differences and then a count", () => {
    const many = Array.from({ length: 25 }, (_, n) => `table ${n}`)
    expect(failed("no", many).differences).toEqual([...many.slice(0, 20), "and 5 more"])
  })
})
