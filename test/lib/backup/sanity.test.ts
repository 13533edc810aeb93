import { describe, expect, it } from "vitest"
import type { Manifest } from "../../../lib/backup/manifest.ts"
import { olderThanNewest } from "../../../lib/backup/sanity.ts"

const at = (set: string) => ({ set }) as Manifest // of a manifest only the name is looked at

describe("a set's place in time", () => {
  it("is after the newest one there was, else the clock is named", () => {
    expect(olderThanNewest(at("2026-03-02T03-17-00Z"), at("2026-03-01T03-17-00Z"))).toEqual([])
    expect(olderThanNewest(at("2026-03-02T03-17-00Z"), undefined)).toEqual([])
    expect(olderThanNewest(at("2025-12-31T23-59-59Z"), at("2026-01-01T00-00-00Z"))).toEqual([
      "the new set 2025-12-31T23-59-59Z is older by its name than 2026-01-01T00-00-00Z, the newest there is: look at the clock, and at --now",
    ])
  })
})
