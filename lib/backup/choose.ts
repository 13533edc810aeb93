import { ConfigError } from "../core/config-error.ts"

/** The databases that a run is about: all, or the one that was named. Throws `ConfigError` when there is none. */
export function chooseDatabases<T extends { database: string }>(
  databases: readonly T[],
  name: string | undefined,
): T[] {
  const found = databases.filter(({ database }) => name === undefined || database === name)
  if (found.length > 0) return found
  if (name === undefined) {
    throw new ConfigError("no database has a backup: fill in databases.main with url and backup in ops.config.ts")
  }
  const known = databases.map(({ database }) => database).join(", ") || "none"
  throw new ConfigError(
    `--database ${name}: no database of that name has a backup in ops.config.ts (there is ${known})`,
  )
}
