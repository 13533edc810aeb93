import { ConfigError } from "../core/config-error.ts"
import type { ListedRule } from "./cleanup.ts"

/** The databases and rules that a run is about: all, or those that were named. Throws `ConfigError` for a name that nothing has. */
export function chooseRules<T extends { database: string; rules: readonly ListedRule[] }>(
  databases: readonly T[],
  { database, rule }: { database?: string | undefined; rule: readonly string[] },
): T[] {
  if (databases.length === 0)
    throw new ConfigError("no database has a rule: add one to databases.main.cleanup in ops.config.ts")
  const chosen = databases.filter((one) => database === undefined || one.database === database)
  if (chosen.length === 0) {
    const known = databases.map((one) => one.database).join(", ")
    throw new ConfigError(
      `--database ${database}: no database of that name has a cleanup rule in ops.config.ts (there is ${known})`,
    )
  }
  const names = chosen.flatMap(({ rules }) => rules.map(({ config }) => config.name))
  const wanted = joinNames(rule, names)
  const unknown = wanted.filter((name) => !names.includes(name))
  if (unknown.length > 0)
    throw new ConfigError(unknown.map((name) => `--rule ${name}: there is no such rule (there is ${names.join(", ")})`))
  return chosen
    .map((one) => ({
      ...one,
      rules: one.rules.filter(({ config }) => wanted.length === 0 || wanted.includes(config.name)),
    }))
    .filter(({ rules }) => rules.length > 0)
}

/** Names as they were meant: a workflow's input comes apart at its blanks, and names may have some. */
function joinNames(words: readonly string[], known: readonly string[]): string[] {
  const [first, ...rest] = words
  if (first === undefined) return []
  for (let length = words.length; length > 1; length--) {
    const name = words.slice(0, length).join(" ")
    if (known.includes(name)) return [name, ...joinNames(words.slice(length), known)]
  }
  return [first, ...joinNames(rest, known)]
}
