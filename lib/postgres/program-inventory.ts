import { access, constants, readdir, realpath } from "node:fs/promises"
import { basename, join } from "node:path"
import { pathDirectories } from "../system/path.ts"
import { runProgram } from "../system/program.ts"
import { ProgramFailed } from "../system/program-failed.ts"

/** `binDirectories` are looked into first, in order (the value of `OPS_PG_BIN`). */
export type SearchOptions = { binDirectories?: readonly string[] }

/** A program and what it says of itself; `major` is 0 for one that does not run. */
export type FoundProgram = { path: string; version: string; major: number }

/** All programs of these names on this machine, in the order of preference. Debian's wrapper is not among them. */
export async function listPrograms<N extends string>(
  names: readonly N[],
  options: SearchOptions,
): Promise<Record<N, FoundProgram[]>> {
  const directories = [...(options.binDirectories ?? []), ...(await knownDirectories()), ...pathDirectories()]
  const found = await Promise.all(
    names.map(async (name) => {
      const paths = await Promise.all(directories.map((directory) => executable(join(directory, name))))
      const unique = [...new Set(paths)].filter((path) => path !== undefined)
      const programs = await Promise.all(unique.map(askVersion))
      return [name, programs.filter((program) => program !== undefined)]
    }),
  )
  return Object.fromEntries(found) as Record<N, FoundProgram[]> // one entry a name
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
  try {
    const { stdout } = await runProgram(path, ["--version"], { timeoutMs: 10_000 })
    const version = /\(PostgreSQL\) (\d+\S*)/.exec(stdout)?.[1]
    return version ? { path, version, major: Number.parseInt(version, 10) } : undefined
  } catch (error) {
    if (!(error instanceof ProgramFailed)) throw error
    return { path, version: `broken (${error.message})`, major: 0 }
  }
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

/** Names in a folder; none when it does not exist or cannot be read. */
export async function listFolder(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if (error instanceof Error && "code" in error) return []
    throw error
  }
}
