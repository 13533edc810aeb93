import type { CareConfig } from "../config/care-schema.ts"
import { nearest } from "../config/nearest.ts"
import { ConfigError } from "../core/config-error.ts"
import type { CareCheck } from "./check.ts"

/** The databases that a run is about: all, or the one that was named. Throws `ConfigError` when there is none. */
export function chooseTargets<T extends { database: string }>(databases: readonly T[], name: string | undefined): T[] {
  const found = databases.filter(({ database }) => name === undefined || database === name)
  if (found.length > 0) return found
  if (name === undefined)
    throw new ConfigError("there is no database: fill in databases.main with url in ops.config.ts")
  throw new ConfigError(
    `--database ${name}: ${advice(
      name,
      databases.map(({ database }) => database),
    )}`,
  )
}

/** The checks that were named, or all. Throws `ConfigError` for a name that no check has. */
export function chooseChecks(checks: readonly CareCheck[], names: readonly string[] | undefined): CareCheck[] {
  const known = checks.map(({ name }) => name)
  const problems = (names ?? []).flatMap((name) =>
    known.includes(name) ? [] : `--check ${name}: ${advice(name, known)}`,
  )
  if (problems.length > 0) throw new ConfigError(problems)
  return checks.filter(({ name }) => !names || names.includes(name))
}

/** What the configuration says of checks that there are not, one line each. */
export function unknownCheckProblems(
  database: string,
  { checks, ignore }: CareConfig,
  known: readonly CareCheck[],
): string[] {
  const names = known.map(({ name }) => name)
  const mentioned = [
    ...Object.keys(checks).map((name) => ({ name, path: `care.checks.${name}` })),
    ...ignore.map(({ check }, index) => ({ name: check, path: `care.ignore[${index}].check is ${check}` })),
  ]
  return mentioned.flatMap(({ name, path }) =>
    names.includes(name) ? [] : `databases.${database}.${path}: ${advice(name, names)}`,
  )
}

function advice(name: string, known: readonly string[]): string {
  const close = nearest(name, [...known])
  return close ? `did you mean ${close}?` : `there are: ${known.join(", ")}`
}
