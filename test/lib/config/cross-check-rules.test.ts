import { describe, expect, it } from "vitest"
import { crossCheck } from "../../../lib/config/cross-check.ts"
import { variable } from "../../../lib/config/define.ts"

const writeUrl = { kind: "secret", name: "DATABASE_WRITE_URL" }
const problems = (database: Record<string, unknown>) => crossCheck({ databases: { main: { writeUrl, ...database } } })
const ofCleanup = (...cleanup: unknown[]) => problems({ cleanup })
const ofDecay = (...decay: unknown[]) => problems({ decay })
const old = { name: "old", table: "t", column: "at", olderThan: "1 day" }
const fades = { name: "fades", table: "t", column: "v", since: "at", halfLife: "1 day" }

describe("a cleanup rule", () => {
  it("is right with one selector and what it needs", () => {
    expect(
      ofCleanup(
        old,
        { ...old, name: "b", action: "drop" },
        { name: "c", orphans: { column: "a", of: "b" } },
        { name: "d", duplicates: { by: ["a"] } },
        { name: "e", column: "at", stuck: { longerThan: "1 hour", where: "true" }, action: "set", set: { a: 1 } },
        { ...old, name: "f", action: "anonymise", set: { email: null } },
      ),
    ).toEqual([])
  })

  it("says which rows it finds by one selector, neither none nor two", () => {
    expect(ofCleanup({ name: "a" }, { ...old, orphans: {}, duplicates: {} })).toEqual([
      "databases.main.cleanup[0] has none of olderThan, orphans, duplicates and stuck: it takes one of them, which says which rows it finds",
      "databases.main.cleanup[1] has olderThan and orphans and duplicates: it takes one of olderThan, orphans, duplicates and stuck, which says which rows it finds",
    ])
  })

  it("names the column of an age", () => {
    expect(ofCleanup({ name: "a", olderThan: "1 day" }, { name: "b", stuck: {} })).toEqual([
      "databases.main.cleanup[0].column is missing: olderThan needs the time that says how old a row is",
      "databases.main.cleanup[1].column is missing: stuck needs the time that says how old a row is",
    ])
  })

  it("drops and detaches old partitions alone, and whole", () => {
    expect(ofCleanup({ name: "a", action: "drop", orphans: {} }, { ...old, action: "detach", where: "true" })).toEqual([
      'databases.main.cleanup[0].olderThan is missing: the action "drop" takes whole partitions that are old',
      expect.stringMatching(/^databases\.main\.cleanup\[1\]\.where cannot be used: the action "detach" takes whole/),
    ])
  })

  it("has values where it sets columns, and none where it does not", () => {
    expect(ofCleanup({ ...old, action: "anonymise" }, { ...old, name: "b", set: { a: 1 } })).toEqual([
      'databases.main.cleanup[0].set is missing: the action "anonymise" needs columns with values, such as { email: null }',
      'databases.main.cleanup[1].set is not used: the action must be "anonymise" or "set" for it',
    ])
  })

  it("archives only where somebody can open the archive", () => {
    const cleanup = [{ ...old, action: "archive" }]
    expect(problems({ cleanup })).toEqual([
      'databases.main.archive is missing: databases.main.cleanup[0] archives rows, and nobody could open them; it takes { recipients: variable("BACKUP_RECIPIENTS") }',
    ])
    expect(problems({ cleanup, archive: { recipients: variable("KEYS") } })).toEqual([])
    expect(problems({ cleanup, backup: { recipients: variable("KEYS") } })).toEqual([])
  })

  it("has a name of its own, beside all other problems", () => {
    expect(ofCleanup(old, { name: "old", olderThan: "1 day" }, null, 5)).toEqual([
      expect.stringContaining("cleanup[1].column is missing"),
      'databases.main.cleanup[1].name is "old" again: every rule has a name of its own',
    ])
  })
})

describe("a decay rule", () => {
  it("is right with one shape and what it needs", () => {
    expect(
      ofDecay(
        fades,
        { name: "b", steps: [], base: 1 },
        { name: "c", expression: "base", base: "b0" },
        { name: "d", linear: {} },
      ),
    ).toEqual([])
  })

  it("says how the value fades by one shape", () => {
    expect(ofDecay({ name: "a" }, { ...fades, linear: {} })).toEqual([
      "databases.main.decay[0] has none of halfLife, linear, steps and expression: it takes one of them, which says how the value fades",
      "databases.main.decay[1] has halfLife and linear: it takes one of halfLife, linear, steps and expression, which says how the value fades",
    ])
  })

  it("has a base for steps and expressions, and a floor below its ceiling", () => {
    expect(
      ofDecay({ name: "a", steps: [] }, { name: "b", expression: "base" }, { ...fades, floor: 2, ceiling: 1 }),
    ).toEqual([
      "databases.main.decay[0].base is missing: steps needs the value at the time since, a column or a number",
      "databases.main.decay[1].base is missing: expression needs the value at the time since, a column or a number",
      "databases.main.decay[2].floor is 2, above the ceiling of 1: swap them",
    ])
  })

  it("marks with values, archives for somebody, and has a name of its own", () => {
    const thresholds = [
      { below: 1, action: "mark" },
      { below: 1, set: { a: 1 } },
      { below: 1, action: "archive" },
    ]
    expect(ofDecay(fades, { ...fades, thresholds })).toEqual([
      expect.stringContaining("databases.main.decay[1].thresholds[0].set is missing"),
      'databases.main.decay[1].thresholds[1].set is not used: the action must be "mark" for it',
      expect.stringContaining("databases.main.archive is missing: databases.main.decay[1].thresholds[2] archives rows"),
      'databases.main.decay[1].name is "fades" again: every rule has a name of its own',
    ])
  })
})
