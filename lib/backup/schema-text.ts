/** What two schema dumps disagree on: the heading of an object (name, kind, schema, owner) and how. */
export type SchemaDifference = { heading: string; kind: "missing" | "added" | "changed" }

/**
 * A schema dump without the lines that differ between two equal databases: the versions it was made with,
 * and the random key that newer clients wrap their output in.
 */
export function normalizeSchemaText(text: string): string {
  return text
    .split("\n")
    .filter((line) => !/^(-- Dumped (from|by) |\\(un)?restrict )/.test(line))
    .join("\n")
}

/** Compares two normalized schema dumps object by object. */
export function compareSchemaTexts(expected: string, found: string): SchemaDifference[] {
  if (expected === found) return []
  const wanted = schemaEntries(expected)
  const present = schemaEntries(found)
  const differences: SchemaDifference[] = []
  for (const [heading, body] of wanted) {
    const other = present.get(heading)
    if (other === undefined) differences.push({ heading, kind: "missing" })
    else if (other !== body) differences.push({ heading, kind: "changed" })
  }
  for (const heading of present.keys()) if (!wanted.has(heading)) differences.push({ heading, kind: "added" })
  return differences.length > 0 ? differences : [{ heading: "order of objects or settings", kind: "changed" }]
}

/** Statements by the heading that pg_dump writes above each object; equal headings are numbered. */
function schemaEntries(text: string): Map<string, string> {
  const entries = new Map<string, string>()
  const [preamble = "", ...chunks] = text.split(/^-- (?=Name: .*; Type: )/m)
  entries.set("settings", preamble)
  for (const chunk of chunks) {
    const lineEnd = chunk.indexOf("\n")
    const heading = chunk.slice(0, lineEnd)
    let key = heading
    for (let copy = 2; entries.has(key); copy++) key = `${heading} (${copy})`
    entries.set(
      key,
      chunk
        .slice(lineEnd)
        .replace(/^--\s*$/gm, "")
        .trim(),
    )
  }
  return entries
}
