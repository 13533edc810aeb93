import { chmod, cp, mkdir, mkdtemp, readdir, rm, symlink } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join, relative } from "node:path"
import { inject } from "vitest"
import { findPrograms } from "../../lib/postgres/programs.ts"
import { administer } from "./postgres.ts"

const programs = ["postgres", "initdb", "pg_restore", "pg_dump", "psql"] as const

/** A folder of programs, and the shell command that gives their server what it lacks. */
export type LesserPostgres = { bin: string; remedy: string }

/**
 * Runs `fn` with programs whose server has all extensions but one. Postgres looks for its files beside its own place: copied programs
 * find the links, and what is not linked is not there.
 */
export async function withoutExtension<T>(name: string, fn: (lesser: LesserPostgres) => Promise<T>): Promise<T> {
  const { major, binDirectories } = inject("postgres")
  const found = await findPrograms(major, programs, { binDirectories })
  const { bin, share, lib } = await serverFolders()
  const root = commonFolder(bin, share)
  const dir = await mkdtemp(join(tmpdir(), "lesser-postgres-"))
  const place = (path: string) => join(dir, relative(root, path))
  try {
    await chmod(dir, 0o755) // the server's unprivileged user must get through
    await mkdir(place(bin), { recursive: true })
    for (const name of programs) await cp(found[name], join(place(bin), name), { dereference: true })
    await mkdir(dirname(place(lib)), { recursive: true })
    await symlink(lib, place(lib))
    await linkAll(share, place(share), (name) => name !== "extension")
    const control = `${name}.control`
    await linkAll(join(share, "extension"), join(place(share), "extension"), (file) => file !== control)
    const remedy = `ln -s '${join(share, "extension", control)}' '${join(place(share), "extension", control)}'`
    return await fn({ bin: place(bin), remedy })
  } finally {
    await rm(dir, { recursive: true })
  }
}

/** Where the shared server's own files are. */
async function serverFolders(): Promise<{ bin: string; share: string; lib: string }> {
  const rows = await administer("select name, setting from pg_config")
  const setting = (name: string) => String(rows.find((row) => row.name === name)?.setting)
  return { bin: setting("BINDIR"), share: setting("SHAREDIR"), lib: setting("PKGLIBDIR") }
}

async function linkAll(from: string, to: string, isWanted: (name: string) => boolean): Promise<void> {
  await mkdir(to, { recursive: true })
  for (const name of await readdir(from)) if (isWanted(name)) await symlink(join(from, name), join(to, name))
}

function commonFolder(a: string, b: string): string {
  let folder = dirname(a)
  while (relative(folder, b).startsWith("..")) folder = dirname(folder)
  return folder
}
