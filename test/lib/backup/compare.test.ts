import { expect, it } from "vitest"
import { compareData, type Restored } from "../../../lib/backup/compare.ts"
import type { Proof } from "../../../lib/backup/proof.ts"

const table = { oid: "16400", schema: "public", name: "t", kind: "table", rows: "1", hash: "1" } as const
const at = (lastValue: string, isCalled = true) => ({ lastValue, isCalled })

function proofOf(parts: Partial<Proof>): Proof {
  return {
    ...{ format: "nightshift-proof/1", level: "full", serverMajor: 15, schema: "", inventory: {}, leftOut: [] },
    ...{ tables: [], sequences: [], extensions: [], roles: [], tablespaces: [], largeObjects: { count: "0" } },
    excluded: { schemas: [], tables: [] },
    outside: { schemas: [], types: [], functions: [], relations: [], foreignKeys: [], views: [] },
    ...parts,
  }
}

function restoredOf(parts: Partial<Restored>): Restored {
  return {
    tables: [],
    sequences: [],
    largeObjects: { count: "0" },
    inventory: {},
    schema: "",
    extensions: [],
    ...parts,
  }
}

it("misses a table, also when something else that was left out has the number of the table", () => {
  const left = (catalogueOid: string) => ({ dumpId: 1, catalogueOid, oid: "16400", text: "x", dependsOn: [] })
  const proof = proofOf({ tables: [table] })
  expect(compareData(proof, restoredOf({}), [left("2606")]).differences).toEqual(["public.t: is missing"])
  expect(compareData(proof, restoredOf({}), [left("1259")])).toMatchObject({
    outcome: "passed with exceptions",
    exceptions: ["public.t: was not restored"],
  })
})

it("lets a sequence that starts over lie anywhere when it was in use, and nowhere else when it was not", () => {
  const sequence = { oid: "1", schema: "public", name: "s" }
  const compare = (before: string, after: string, found: string, cycles: boolean) =>
    compareData(
      proofOf({ sequences: [{ ...sequence, ...(cycles && { cycles }), before: at(before), after: at(after) }] }),
      restoredOf({ sequences: [{ ...sequence, cycles, ...at(found) }] }),
      [],
    ).outcome
  expect(compare("2", "9", "1", true)).toBe("passed with exceptions")
  expect(compare("2", "9", "5", true)).toBe("passed")
  expect(compare("2", "2", "1", true)).toBe("failed")
  expect(compare("2", "9", "1", false)).toBe("failed")
})

it("excuses the rows of a table that a missing extension would have brought along", () => {
  const rows = { dumpId: 1, catalogueOid: "0", oid: "16400", text: "TABLE DATA public t owner", dependsOn: [] }
  expect(compareData(proofOf({ tables: [table] }), restoredOf({}), [rows])).toMatchObject({
    outcome: "passed with exceptions",
    exceptions: ["public.t: was not restored"],
  })
})

it("tells tables apart that people write in the same way", () => {
  const one = { ...table, schema: "a.b", name: "c", hash: "1" }
  const other = { ...table, oid: "16401", schema: "a", name: "b.c", hash: "2" }
  const proof = proofOf({ tables: [one, other] })
  expect(compareData(proof, restoredOf({ tables: [one, other] }), []).differences).toEqual([])
  expect(compareData(proof, restoredOf({ tables: [other] }), []).differences).toEqual(["a.b.c: is missing"])
})
