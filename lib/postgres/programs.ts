import { access, constants, readdir, realpath } from "node:fs/promises"
import { basename, join } from "node:path"
import { ConfigError } from "../core/config-error.ts"
import { pathDirectories } from "../system/path.ts"
import { runProgram } from "../system/program.ts"

/** `binDirectories` are looked into first, in order (the value of `OPS_PG_BIN`). */
export type SearchOptions = { binDirectories?: readonly string[] }

type FoundProgram = { path: string; version: string; major: number }

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
  const majors = [...new Set(Object.values<FoundProgram[]>(found).flatMap((all) => all.map((one) => one.major)))]
  for (const major of majors.filter((major) => major >= serverMajor).sort((a, b) => a - b)) {
    const paths = choose(found, names, major)
    if (!paths) continue
    if (major === serverMajor) return { paths, major }
    const warning = `the server is PostgreSQL ${serverMajor} and ${names.join(", ")} are of ${major}: a restore into ${serverMajor} may refuse settings they write; ${await installHint(serverMajor, names)}`
    return { paths, major, warning }
  }
  throw new ConfigError(await missingText(serverMajor, names, found))
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

async function listPrograms<N extends string>(
  names: readonly N[],
  options: SearchOptions,
): Promise<Record<N, FoundProgram[]>> {
  const directories = [...(options.binDirectories ?? []), ...(await knownDirectories()), ...pathDirectories()]
  const found: Partial<Record<N, FoundProgram[]>> = {}
  for (const name of names) {
    const paths = await Promise.all(directories.map((directory) => executable(join(directory, name))))
    const unique = [...new Set(paths)].filter((path) => path !== undefined)
    const programs = await Promise.all(unique.map(askVersion))
    found[name] = programs.filter((program) => program !== undefined)
  }
  return found as Record<N, FoundProgram[]> // every name was set above
}

/** The real file behind a path; `undefined` when there is none, it cannot be run, or it is Debian's wrapper. */
async function executable(path: string): Promise<string | undefined> {
  try {
    const real = await realpath(path)
    await access(real, constants.X_OK)
    return basename(real) === "pg_wrapper" ? undefined : path
  } catch (error) {
    if (error instanceof Error && "code" in error) return undefined
    throw error
  }
}

async function askVersion(path: string): Promise<FoundProgram | undefined> {
  const { stdout } = await runProgram(path, ["--version"], { timeoutMs: 10_000 })
  const version = /\(PostgreSQL\) (\d+\S*)/.exec(stdout)?.[1]
  return version ? { path, version, major: Number.parseInt(version, 10) } : undefined
}

/** Folders that hold one major version each, and the client-only ones of Homebrew. */
async function knownDirectories(): Promise<string[]> {
  const parents: [folder: string, pattern: RegExp][] = [
    ["/usr/lib/postgresql", /^\d+$/],
    ["/usr", /^pgsql-\d+$/],
    ["/opt/homebrew/opt", /^(postgresql(@\d+)?|libpq)$/],
    ["/usr/local/opt", /^(postgresql(@\d+)?|libpq)$/],
    ["/Applications/Postgres.app/Contents/Versions", /^\d+$/],
  ]
  const lists = await Promise.all(
    parents.map(async ([folder, pattern]) =>
      (await listFolder(folder)).filter((name) => pattern.test(name)).map((name) => join(folder, name, "bin")),
    ),
  )
  return lists.flat()
}

async function listFolder(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if (error instanceof Error && "code" in error) return []
    throw error
  }
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
