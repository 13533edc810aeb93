import { ConfigError } from "../core/config-error.ts"
import type { DecayTarget } from "./run.ts"

/** The databases that a run is about, by its options. Throws `ConfigError` for a name that nothing has. */
export function chooseRules<T extends DecayTarget>(
  targets: readonly T[],
  { database, rule }: { database?: string | undefined; rule?: string | undefined },
): T[] {
  if (targets.length === 0) {
    throw new ConfigError(
      "no database has a decay rule: fill in databases.main with writeUrl and decay in ops.config.ts",
    )
  }
  const named = targets.filter((target) => database === undefined || target.database === database)
  if (named.length === 0) {
    const known = targets.map((target) => target.database).join(", ")
    throw new ConfigError(
      `--database ${database}: no database of that name has decay rules in ops.config.ts (there is ${known})`,
    )
  }
  const found = named.filter(({ rules }) => rule === undefined || rules.some(({ name }) => name === rule))
  if (found.length > 0) return found
  const known = named.flatMap(({ rules }) => rules.map(({ name }) => name)).join(", ")
  throw new ConfigError(`--rule ${rule}: no decay rule of that name (there is ${known})`)
}
