/** What two schema dumps disagree on: the heading of an object (name, kind, schema, owner) and how. */
export type SchemaDifference = { heading: string; kind: "missing" | "added" | "changed" | "moved" }

/**
 * A schema dump without the lines that differ between two equal databases: the versions it was made with,
 * and the random key that newer clients wrap their output in.
 */
export function normalizeSchemaText(text: string): string {
  return text
    .split("\n")
    .filter((line) => !/^(-- Dumped (from|by) |-- PostgreSQL database dump complete$|\\(un)?restrict )/.test(line))
    .join("\n")
}

/**
 * Compares two normalized schema dumps object by object. What a dump does not keep makes no difference: the order in which a policy
 * lists its roles, and who owns the members of an extension. The same objects in another order are `moved`.
 */
export function compareSchemaTexts(expected: string, found: string): SchemaDifference[] {
  if (expected === found) return []
  const wanted = schemaEntries(expected)
  const present = schemaEntries(found)
  const differences: SchemaDifference[] = []
  for (const [key, entry] of wanted) {
    const other = present.get(key)
    if (!other) differences.push({ heading: entry.heading, kind: "missing" })
    else if (!isSame(entry, other)) differences.push({ heading: entry.heading, kind: "changed" })
  }
  for (const [key, { heading }] of present) if (!wanted.has(key)) differences.push({ heading, kind: "added" })
  if (differences.length > 0) return differences
  const isMoved = [...wanted.keys()].join("\n") !== [...present.keys()].join("\n")
  return isMoved ? [{ heading: "objects of the schema dump", kind: "moved" }] : []
}

type Entry = { heading: string; type: string; owner: string; body: string }
type Storage = Record<string, string>

/** Statements by what pg_dump writes above each object; equal keys are numbered. */
function schemaEntries(text: string): Map<string, Entry> {
  const entries = new Map<string, Entry>()
  const [preamble = "", ...chunks] = text.split(/^-- (?=Name: .*; Type: )/m)
  const settings = takeStorage(preamble, {})
  let storage = settings.storage
  entries.set("settings", { heading: "settings", type: "", owner: "", body: settings.body })
  for (const chunk of chunks) {
    const lineEnd = chunk.indexOf("\n")
    const heading = chunk.slice(0, lineEnd)
    const [, subject = heading, type = "", owner = ""] = /^(.*; Type: (.*?); .*; Owner:) ?(.*)$/.exec(heading) ?? []
    const rest = takeStorage(chunk.slice(lineEnd), storage)
    const body = `${type === "POLICY" ? sortRoles(rest.body) : rest.body}\n${describeStorage(type, storage)}`
    storage = rest.storage
    const base = type === "ACL" ? subject : heading
    let key = base
    for (let copy = 2; entries.has(key); copy++) key = `${base} (${copy})`
    entries.set(key, { heading, type, owner, body })
  }
  return entries
}

/** pg_dump says where the next tables go at the end of the statements before, and only when that changes. */
function takeStorage(text: string, before: Storage): { body: string; storage: Storage } {
  const lines = text.split("\n")
  const storage = { ...before }
  for (let last = lines.at(-1); last !== undefined; last = lines.at(-1)) {
    const [, name, value = ""] = /^SET (default_tablespace|default_table_access_method) = (.*);$/.exec(last) ?? []
    if (name !== undefined) storage[name] = value
    else if (!/^(--)?\s*$/.test(last)) break
    lines.pop()
  }
  return { body: lines.join("\n").replace(/^\s*--\s*/, ""), storage }
}

function describeStorage(type: string, storage: Storage): string {
  const isTable = type === "TABLE" || type === "MATERIALIZED VIEW"
  const isPlaced = isTable || type === "INDEX" || type === "CONSTRAINT"
  return [isPlaced && storage.default_tablespace, isTable && storage.default_table_access_method].join(" ")
}

/** Roles of a policy come in the order in which the cluster's roles were made. */
function sortRoles(policy: string): string {
  const role = /"(?:[^"]|"")*"|[a-z_][a-z0-9_$]*/
  const list = new RegExp(`(?<= TO )(?:${role.source})(?:, (?:${role.source}))+(?=;| USING | WITH CHECK )`)
  return policy.replace(list, (roles) => (roles.match(new RegExp(role, "g")) ?? []).sort().join(", "))
}

/** A dump does not say who owns an extension: its members, and what the owner may do with them, belong to whoever restores. */
function isSame(expected: Entry, found: Entry): boolean {
  if (expected.body === found.body) return true
  if (expected.type !== "ACL" || expected.owner === found.owner) return false
  const owners = [expected.owner, found.owner].flatMap((owner) => [owner, `"${owner.replaceAll('"', '""')}"`])
  const ofOthers = ({ body }: Entry) => {
    const isOwners = (line: string) =>
      owners.some((owner) => line.replace(/( WITH GRANT OPTION)?;$/, "").endsWith(` ${owner}`))
    return body
      .split("\n")
      .filter((line) => !isOwners(line))
      .join("\n")
  }
  return ofOthers(expected) === ofOthers(found)
}
