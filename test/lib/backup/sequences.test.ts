import { describe, expect, it } from "vitest"
import { liesBetween, pairReadings } from "../../../lib/backup/sequences.ts"

const at = (lastValue: string, isCalled = true) => ({ lastValue, isCalled })
const facts = (before: ReturnType<typeof at>, after: ReturnType<typeof at>) => ({
  oid: "1",
  schema: "s",
  name: "n",
  before,
  after,
})

describe("sequences", () => {
  it("come back somewhere between what was read before and after the dump", () => {
    expect(liesBetween(at("12"), facts(at("10"), at("20")))).toBe(true)
    expect(liesBetween(at("10"), facts(at("10"), at("10")))).toBe(true)
    expect(liesBetween(at("9"), facts(at("10"), at("20")))).toBe(false)
    expect(liesBetween(at("21"), facts(at("10"), at("20")))).toBe(false)
  })

  it("may run down, and are compared as whole numbers of any size", () => {
    expect(liesBetween(at("-15"), facts(at("-10"), at("-20")))).toBe(true)
    expect(liesBetween(at("9223372036854775807"), facts(at("9223372036854775806"), at("9223372036854775807")))).toBe(
      true,
    )
    expect(liesBetween(at("9223372036854775805"), facts(at("9223372036854775806"), at("9223372036854775807")))).toBe(
      false,
    )
  })

  it("that never gave a value differ from those that gave their first", () => {
    expect(liesBetween(at("1", false), facts(at("1", false), at("1", false)))).toBe(true)
    expect(liesBetween(at("1", true), facts(at("1", false), at("1", false)))).toBe(false)
  })

  it("that came or went during the dump are not compared", () => {
    const reading = (name: string) => ({ oid: name, schema: "s", name, cycles: false, ...at("1") })
    expect(pairReadings([reading("a"), reading("b")], [reading("b"), reading("c")]).map((pair) => pair.name)).toEqual([
      "b",
    ])
  })
})
