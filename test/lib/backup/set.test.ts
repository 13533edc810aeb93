import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { oldest, parseSetId, setId } from "../../../lib/backup/set.ts"

describe("set names", () => {
  it("say their second and sort as time does, also around the turn of a year", () => {
    expect(setId(new Date("2026-12-31T23:59:59.999Z"))).toBe("2026-12-31T23-59-59Z")
    const day = fc.date({ min: new Date("2000-01-01"), max: new Date("2099-12-31"), noInvalidDate: true })
    fc.assert(
      fc.property(day, day, (a, b) => {
        expect(parseSetId(setId(a))?.getTime()).toBe(Math.floor(a.getTime() / 1000) * 1000)
        if (setId(a) < setId(b)) expect(a.getTime()).toBeLessThan(b.getTime())
      }),
    )
  })

  it.each([
    "",
    "2026-13-01T00-00-00Z",
    "2026-02-30T00-00-00Z",
    "2026-03-01T03-17-00",
    "x2026-03-01T03-17-00Z",
    ".probe-1",
  ])("are not %j", (name) => expect(parseSetId(name)).toBeUndefined())
})

describe("oldest", () => {
  it("is unknown as soon as one is", () => {
    const [early, late] = [new Date(1000), new Date(2000)]
    expect(oldest([late, early])).toEqual(early)
    expect(oldest([late, undefined])).toBeUndefined()
    expect(oldest([])).toBeUndefined()
  })
})
