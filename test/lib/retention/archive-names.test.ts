import fc from "fast-check"
import { expect, it } from "vitest"
import { failureText } from "../../../lib/retention/archive-failure.ts"
import { partKeys, partOfKey, rulePrefix, runFolder, slotOfFolder } from "../../../lib/retention/archive-names.ts"
import { keyProblem } from "../../../lib/store/key.ts"

const slot = new Date("2026-03-01T03:17:00Z")

it("gives each rule and run a folder that every store takes, and no two the same", () => {
  expect(runFolder("main", "messages", slot, "123-cleanup")).toBe(
    "archives/main/messages/2026-03-01T03-17-00Z-123-cleanup",
  )
  const property = fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (rule, other) => {
    const folder = runFolder("main", rule, slot, other)
    expect(keyProblem(partKeys({ folder, number: 1 }).rows)).toBeUndefined()
    expect(rulePrefix("main", rule) === rulePrefix("main", other)).toBe(rule === other)
    expect(folder.split("/")).toHaveLength(4)
    expect(slotOfFolder(folder)).toEqual(slot)
  })
  fc.assert(property)
})

it("reads the part out of each of its keys, and out of no other", () => {
  const name = { folder: "archives/main/old logs/2026-03-01T03-17-00Z-x", number: 100_000 }
  expect(Object.values(partKeys(name)).map(partOfKey)).toEqual([name, name, name, name])
  expect(partOfKey("archives/main/x/part-1.json")).toBeUndefined()
  expect(partOfKey("archives/main/x/part-00001.json.bak")).toBeUndefined()
  expect(slotOfFolder("archives/main/x/2026-13-01T03-17-00Z-x")).toBeUndefined()
})

it("says what the server refused without the value", () => {
  const refusal = Object.assign(new Error('invalid input value for enum mood: "Ada: secret"'), {
    code: "22P02",
    where: 'COPY archive_messages, line 3, column mood: "Ada: secret"',
  })
  expect(failureText(new Error("not loaded", { cause: refusal }))).toBe(
    "the server refuses a value in line 3, column mood (SQLSTATE 22P02): invalid input value for enum mood",
  )
  const key = Object.assign(new Error('update violates foreign key constraint "k"'), { code: "23503" })
  expect(failureText(key)).toBe('update violates foreign key constraint "k"')
})
