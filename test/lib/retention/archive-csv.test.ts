import fc from "fast-check"
import { expect, it } from "vitest"
import { recordCounter, withoutRecords } from "../../../lib/retention/archive-csv.ts"

const field = fc.string({ unit: fc.constantFrom("a", '"', "\n", "\r", ",", "ü", " ") })
const records = fc.array(fc.array(field, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 12 })
const encode = (fields: readonly string[]) =>
  `${fields.map((text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)).join(",")}\n`

async function* chunksOf(text: string, size: number) {
  const bytes = new TextEncoder().encode(text)
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

async function textOf(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const all: Uint8Array[] = []
  for await (const chunk of chunks) all.push(chunk)
  return Buffer.concat(all).toString()
}

it("counts records whatever is inside of them, and however they are cut into chunks", async () => {
  const property = fc.asyncProperty(records, fc.integer({ min: 1, max: 9 }), async (rows, size) => {
    const counter = recordCounter()
    for await (const chunk of chunksOf(rows.map(encode).join(""), size)) counter.add(chunk)
    expect(counter.records).toBe(rows.length)
  })
  await fc.assert(property)
})

it("leaves out the records that it is told, and no others", async () => {
  const choice = fc.tuple(records, fc.integer({ min: 1, max: 9 }), fc.array(fc.nat(12)))
  const property = fc.asyncProperty(choice, async ([rows, size, left]) => {
    const without = new Set(left)
    const wanted = rows.filter((_, index) => !without.has(index)).map(encode)
    expect(await textOf(withoutRecords(chunksOf(rows.map(encode).join(""), size), without))).toBe(wanted.join(""))
  })
  await fc.assert(property)
})
