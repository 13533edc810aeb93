import { formatCount } from "../core/size.ts"
import type { ArchiveEntry } from "./archive.ts"
import { type Proof, qualified, type SequencePosition, type TableFacts } from "./proof.ts"
import { judged, type Level } from "./receipt.ts"
import { compareSchemaTexts } from "./schema-text.ts"
import { liesBetween, type SequenceReading } from "./sequences.ts"

/** What a restored database turned out to hold. */
export type Restored = {
  tables: TableFacts[]
  sequences: SequenceReading[]
  largeObjects: Proof["largeObjects"]
  inventory: Record<string, string>
  schema: string
  extensions: { name: string; version: string }[]
}

/** Compares rows, content, sequences and large objects. `removed` are archive entries that were not restored on purpose. */
export function compareData(proof: Proof, restored: Restored, removed: readonly ArchiveEntry[]): Level {
  const gone = new Set(removed.filter(isRelation).map((entry) => entry.oid))
  const exceptions = [...proof.leftOut]
  const differences: string[] = []
  const found = new Map(restored.tables.map((table) => [key(table), table]))
  let compared = 0
  for (const table of proof.tables) {
    if (gone.has(table.oid)) exceptions.push(`${qualified(table)}: was not restored`)
    else if (compareTable(table, found.get(key(table)), differences, exceptions)) compared++
  }
  const expected = new Set(proof.tables.map(key))
  for (const [id, table] of found)
    if (!expected.has(id)) differences.push(`${qualified(table)}: is in the copy and not in the proof`)
  compareSequences(proof, restored, gone, differences, exceptions)
  compareLargeObjects(proof, restored, differences)
  const hashed = proof.tables.filter((table) => table.hash !== undefined).length
  if (proof.level === "counts") exceptions.push("content: the proof holds counts only")
  return judged(
    `${compared} tables compared, ${hashed} by content; ${proof.sequences.length} sequences; ${proof.largeObjects.count} large objects`,
    differences,
    exceptions,
  )
}

/** Object id of pg_class, the same in every PostgreSQL. Ids of other catalogues may equal a table's. */
const relationCatalogue = "1259"

/** A relation, or the rows of one that an extension brings along: such a table has no entry of its own. */
function isRelation({ catalogueOid, text }: ArchiveEntry): boolean {
  return catalogueOid === relationCatalogue || text.startsWith("TABLE DATA ")
}

/** Whether the table's rows could be compared; what differs goes into the lists. */
function compareTable(
  expected: TableFacts,
  found: TableFacts | undefined,
  differences: string[],
  exceptions: string[],
): boolean {
  const name = qualified(expected)
  if (!found) {
    differences.push(`${name}: is missing`)
    return false
  }
  if (expected.isPopulated !== found.isPopulated) {
    differences.push(`${name}: expected ${populated(expected.isPopulated)}, found ${populated(found.isPopulated)}`)
  }
  if (expected.rows === undefined) return false
  const difference = rowDifference(expected, found)
  if (difference && expected.unstable) {
    exceptions.push(`${name}: ${expected.unstable}, so it cannot come back equal`)
    return false
  }
  if (difference) differences.push(`${name}: ${difference}`)
  return true
}

function rowDifference(expected: TableFacts, found: TableFacts): string | undefined {
  const count = (rows: string | undefined) => (rows === undefined ? "no" : formatCount(BigInt(rows)))
  if (expected.rows !== found.rows) return `expected ${count(expected.rows)} rows, found ${count(found.rows)}`
  if (expected.hash === undefined || expected.hash === found.hash) return undefined
  return `${count(found.rows)} rows as expected, but their content differs`
}

function compareSequences(
  proof: Proof,
  restored: Restored,
  gone: Set<string>,
  differences: string[],
  exceptions: string[],
): void {
  const found = new Map(restored.sequences.map((sequence) => [key(sequence), sequence]))
  for (const facts of proof.sequences) {
    if (gone.has(facts.oid)) continue
    const name = `sequence ${qualified(facts)}`
    const reading = found.get(key(facts))
    if (!reading) differences.push(`${name}: is missing`)
    else if (liesBetween(reading, facts)) continue
    else if (facts.cycles && facts.before.lastValue !== facts.after.lastValue)
      exceptions.push(`${name}: it starts over and was in use during the dump, ${reading.lastValue} was not compared`)
    else {
      const { before, after } = facts
      differences.push(`${name}: expected ${describe(before)} to ${describe(after)}, found ${describe(reading)}`)
    }
  }
}

/** Unlike the way people write it, no two relations have the same: a dot may be in either name. */
function key({ schema, name }: { schema: string; name: string }): string {
  return JSON.stringify([schema, name])
}

function describe({ lastValue, isCalled }: SequencePosition): string {
  return isCalled ? lastValue : `${lastValue} (not yet given out)`
}

function compareLargeObjects(proof: Proof, restored: Restored, differences: string[]): void {
  const [expected, found] = [proof.largeObjects, restored.largeObjects]
  if (expected.count !== found.count)
    differences.push(`large objects: expected ${expected.count}, found ${found.count}`)
  else {
    if (expected.hash !== undefined && expected.hash !== found.hash)
      differences.push("large objects: as many, with other content")
    if (expected.attributes !== undefined && expected.attributes !== found.attributes)
      differences.push("large objects: as many, with other owners, grants or comments")
  }
}

/** Compares the schema dumps object by object, and independently of them the counts of the catalogue. */
export function compareStructure(proof: Proof, restored: Restored, removed: readonly ArchiveEntry[]): Level {
  const left = new Set(removed.map((entry) => entry.text))
  const differences: string[] = []
  const exceptions: string[] = []
  for (const { heading, kind } of compareSchemaTexts(proof.schema, restored.schema)) {
    if (kind === "missing" && left.has(archiveText(heading))) exceptions.push(`${heading}: was not restored`)
    else if (kind === "moved") exceptions.push(`${heading}: all as expected, in another order`)
    else differences.push(`${heading}: ${kind}`)
  }
  const counts = compareInventory(proof.inventory, restored.inventory)
  if (removed.length === 0) differences.push(...counts)
  else if (counts.length > 0)
    exceptions.push(
      `${removed.length} archive entries were left out, and with them in the catalogue: ${counts.join("; ")}`,
    )
  return judged(structureDetail(proof, restored), differences, exceptions)
}

function compareInventory(expected: Record<string, string>, found: Record<string, string>): string[] {
  const keys = [...new Set([...Object.keys(expected), ...Object.keys(found)])].sort()
  return keys
    .filter((key) => expected[key] !== found[key])
    .map((key) => `${key}: expected ${expected[key] ?? 0}, found ${found[key] ?? 0}`)
}

/** A heading of a schema dump in the words of the archive's listing. */
function archiveText(heading: string): string {
  const parts = /^Name: (.*); Type: (.*?); Schema: (.*?); Owner: ?(.*?)$/.exec(heading)
  return parts ? `${parts[2]} ${parts[3]} ${parts[1]} ${parts[4] === "-" ? "" : parts[4]}` : heading
}

function structureDetail(proof: Proof, restored: Restored): string {
  const versions = new Map(restored.extensions.map((extension) => [extension.name, extension.version]))
  const other = proof.extensions.filter(({ name, version }) => versions.has(name) && versions.get(name) !== version)
  const notes = other.map(
    ({ name, version }) => `extension ${name} is ${versions.get(name)} here and ${version} at the source`,
  )
  return [
    `${Object.keys(proof.inventory).length} counts of the catalogue and the whole schema dump compared`,
    ...notes,
  ].join("; ")
}

function populated(is: boolean | undefined): string {
  return is ? "rows" : "no rows yet"
}
