import { ConfigError } from "../core/config-error.ts"
import { type FoundProgram, listFolder, listPrograms, type SearchOptions } from "./program-inventory.ts"

const recommendedMajor = 17

/**
 * Full paths of PostgreSQL programs of exactly this major version. Looks into `binDirectories`, the folders of Debian, Red Hat,
 * Homebrew and Postgres.app, and PATH, and asks each program for its version. Debian's wrapper in /usr/bin is passed over: it starts
 * whatever is newest. Throws `ConfigError` that names what was found instead and the command that installs the right one.
 */
export async function findPrograms<N extends string>(
  major: number,
  names: readonly N[],
  options: SearchOptions = {},
): Promise<Record<N, string>> {
  const found = await listPrograms(names, options)
  const chosen = choose(found, names, major)
  if (chosen) return chosen
  throw new ConfigError(await missingText(major, names, found))
}

/** `initdb` and `postgres` of a major version. */
export function serverPrograms(
  major: number,
  options: SearchOptions = {},
): Promise<Record<"initdb" | "postgres", string>> {
  return findPrograms(major, ["initdb", "postgres"], options)
}

/**
 * Programs that may dump a server of this major version: its own, else the next newer ones with a `warning`. An older client is
 * refused, as `pg_dump` itself would: throws `ConfigError`.
 */
export async function findDumpPrograms<N extends string>(
  serverMajor: number,
  names: readonly N[],
  options: SearchOptions = {},
): Promise<{ paths: Record<N, string>; major: number; warning?: string }> {
  const found = await listPrograms(names, options)
  for (const major of majorsOf(found).filter((major) => major >= serverMajor)) {
    const paths = choose(found, names, major)
    if (!paths) continue
    if (major === serverMajor) return { paths, major }
    const warning = `the server is PostgreSQL ${serverMajor} and ${names.join(", ")} are of ${major}: a restore into ${serverMajor} may refuse settings they write; ${await installHint(serverMajor, names)}`
    return { paths, major, warning }
  }
  throw new ConfigError(await missingText(serverMajor, names, found))
}

/** The newest major version of which this machine has all these programs. Throws `ConfigError` when there is none. */
export async function newestMajor(names: readonly string[], options: SearchOptions = {}): Promise<number> {
  const found = await listPrograms(names, options)
  const major = majorsOf(found).findLast((major) => choose(found, names, major))
  if (major) return major
  throw new ConfigError(await missingText(recommendedMajor, names, found))
}

/** All majors of working programs, in rising order. */
function majorsOf(found: Record<string, FoundProgram[]>): number[] {
  const majors = new Set(Object.values(found).flatMap((programs) => programs.map((program) => program.major)))
  return [...majors].filter((major) => major > 0).sort((a, b) => a - b)
}

function choose<N extends string>(
  found: Record<N, FoundProgram[]>,
  names: readonly N[],
  major: number,
): Record<N, string> | undefined {
  const chosen: Partial<Record<N, string>> = {}
  for (const name of names) {
    const program = found[name].find((program) => program.major === major)
    if (!program) return undefined
    chosen[name] = program.path
  }
  return chosen as Record<N, string> // every name was set above
}

async function missingText(
  major: number,
  names: readonly string[],
  found: Record<string, FoundProgram[]>,
): Promise<string> {
  const missing = names.filter((name) => !found[name]?.some((program) => program.major === major))
  const others = missing.flatMap((name) => found[name]?.map((program) => `${program.path} is ${program.version}`) ?? [])
  const seen = others.length > 0 ? ` (${others.join(", ")})` : ""
  return `${missing.join(", ")} of PostgreSQL ${major} not found${seen}: ${await installHint(major, names)}`
}

/** What a person types on this machine to get the programs of a major version. */
async function installHint(major: number, names: readonly string[]): Promise<string> {
  const needsServer = names.some((name) => ["initdb", "postgres"].includes(name))
  const elsewhere = "or set OPS_PG_BIN to the folder that holds them"
  if (process.platform === "darwin") return `run brew install postgresql@${major}, ${elsewhere}`
  if ((await listFolder("/etc/apt")).length === 0) return `install PostgreSQL ${major}, ${elsewhere}`
  const what = needsServer ? `postgresql-${major}` : `postgresql-client-${major}`
  const pgdg =
    "sudo apt-get install -y postgresql-common && sudo /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y"
  return `run sudo apt-get install -y ${what} (not in your distribution? first ${pgdg}), ${elsewhere}`
}
