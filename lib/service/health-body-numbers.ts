import { isObject, type JsonObject } from "./health-body-components.ts"

const maxNumbers = 50
const maxDepth = 8
const maxVisited = 5000

/**
 * The finite numbers of a JSON value by their dotted path, at most 50 and those that are `wanted`: those near the root first. Members
 * of a list are named by their `name`, or by their place.
 */
export function numbersOf(root: unknown, wanted: readonly string[] = []): Record<string, number> {
  const needed = new Set(wanted)
  const found = new Map<string, number>()
  let level: [string, unknown][] = [["", root]]
  let visited = 0
  for (let depth = 0; depth <= maxDepth && level.length > 0; depth++) {
    const next: [string, unknown][] = []
    for (const [path, value] of level) {
      if (++visited > maxVisited || (found.size >= maxNumbers && needed.size === 0)) return Object.fromEntries(found)
      if (typeof value === "number" && Number.isFinite(value) && !found.has(path) && path !== "") {
        if (needed.delete(path) || found.size < maxNumbers) found.set(path, value)
      }
      if (typeof value === "object" && value !== null) next.push(...members(path, value))
    }
    level = next
  }
  return Object.fromEntries(found)
}

function members(path: string, value: object): [string, unknown][] {
  const names = Array.isArray(value) ? namesOf(value) : Object.keys(value)
  return Object.values(value)
    .slice(0, maxVisited)
    .map((member, place) => [path === "" ? (names[place] ?? "") : `${path}.${names[place]}`, member])
}

function namesOf(values: unknown[]): string[] {
  const names = values.map((value, place) =>
    isObject(value) && typeof value.name === "string" ? value.name : String(place),
  )
  return names.map((name, place) => (names.indexOf(name) === place ? name : String(place)))
}

// What a deploy is known by comes first: a number such as 1.0.0 often stays the same from one to the next.
const versionPaths = [
  ...[
    "commit",
    "sha",
    "git.commit.id.full",
    "git.commit.id",
    "git.commit",
    "git.sha",
    "commitSha",
    "commit_sha",
    "commitHash",
  ],
  ...["commit_hash", "gitSha", "git_sha", "gitCommit", "git_commit", "revision", "build.commit", "build.sha"],
  ...[
    "version",
    "version.number",
    "build.version",
    "app.version",
    "info.version",
    "release",
    "releaseId",
    "release_id",
    "build",
  ],
].map((path) => path.split("."))

/** The version or commit that a health body tells. */
export function versionOf(root: JsonObject): string | undefined {
  for (const path of versionPaths) {
    const value = path.reduce<unknown>((value, key) => (isObject(value) ? value[key] : undefined), root)
    const text = typeof value === "number" ? String(value) : value
    if (typeof text === "string" && /^[\w.+/:@-]{1,80}$/.test(text)) return text
  }
  return undefined
}
