import { symlink } from "node:fs/promises"
import { join } from "node:path"
import { expect, inject, it } from "vitest"
import { ConfigError } from "../../../lib/core/config-error.ts"
import { findDumpPrograms, findPrograms, newestMajor, serverPrograms } from "../../../lib/postgres/programs.ts"
import { runProgram } from "../../../lib/system/program.ts"
import { withTempDir } from "../../../lib/system/temp.ts"
import { writeProgram } from "../../support/programs-folder.ts"

/** A folder with programs that say they are of some version of PostgreSQL that no machine has. */
function withPrograms<T>(versions: Record<string, string>, fn: (dir: string) => Promise<T>): Promise<T> {
  return withTempDir("programs", async (dir) => {
    for (const [name, version] of Object.entries(versions))
      writeProgram(dir, name, `echo "${name} (PostgreSQL) ${version}"`)
    return fn(dir)
  })
}

it("names what is missing, what was found instead and what to type", async () => {
  await withPrograms({ pg_dump: "96.2 (Debian 96.2-1)" }, async (dir) => {
    const finding = findPrograms(97, ["pg_dump"], { binDirectories: [dir] })
    await expect(finding).rejects.toBeInstanceOf(ConfigError)
    await expect(finding).rejects.toThrow(`pg_dump of PostgreSQL 97 not found (${dir}/pg_dump is 96.2`)
    await expect(finding).rejects.toThrow(
      /apt-get install -y postgresql-client-97|brew install postgresql@97|install PostgreSQL 97/,
    )
    await expect(finding).rejects.toThrow("set OPS_PG_BIN to the folder that holds them")
    await expect(serverPrograms(97)).rejects.toThrow(
      /apt-get install -y postgresql-97|brew install postgresql@97|install PostgreSQL 97/,
    )
  })
})

it("refuses a client older than the server", async () => {
  await withPrograms({ pg_dump: "96.2" }, async (dir) => {
    await expect(findDumpPrograms(97, ["pg_dump"], { binDirectories: [dir] })).rejects.toThrow(`${dir}/pg_dump is 96.2`)
  })
})

it("takes the next newer client with a warning, and the server's own without one", async () => {
  await withPrograms({ pg_dump: "97beta1" }, (newer) =>
    withPrograms({ pg_dump: "98.1" }, (newest) =>
      withPrograms({ pg_dump: "96.9" }, async (own) => {
        const found = await findDumpPrograms(96, ["pg_dump"], { binDirectories: [newest, newer] })
        expect(found).toMatchObject({ major: 97, paths: { pg_dump: join(newer, "pg_dump") } })
        expect(found.warning).toContain("the server is PostgreSQL 96 and pg_dump are of 97")
        expect(await findDumpPrograms(96, ["pg_dump"], { binDirectories: [newest, newer, own] })).toEqual({
          major: 96,
          paths: { pg_dump: join(own, "pg_dump") },
        })
      }),
    ),
  )
})

it("needs all programs of one version, looks into the given folders first, and passes Debian's wrapper over", async () => {
  await withPrograms({ pg_dump: "97.1", pg_wrapper: "97.1" }, async (dir) => {
    await symlink(join(dir, "pg_wrapper"), join(dir, "psql"))
    const options = { binDirectories: [dir] }
    expect(await findPrograms(97, ["pg_dump"], options)).toEqual({ pg_dump: join(dir, "pg_dump") })
    await expect(findPrograms(97, ["pg_dump", "psql"], options)).rejects.toThrow("psql of PostgreSQL 97 not found")
  })
})

it("says that a program does not run, rather than passing it over or stopping there", async () => {
  await withTempDir("programs", async (dir) => {
    writeProgram(dir, "pg_dump", "echo 'libpq.so.5 is missing' >&2; exit 127")
    const finding = findPrograms(97, ["pg_dump"], { binDirectories: [dir] })
    await expect(finding).rejects.toThrow(
      `${dir}/pg_dump is broken (pg_dump failed with exit code 127: libpq.so.5 is missing)`,
    )
  })
})

it("knows the newest version of which there is everything", async () => {
  await withPrograms({ pg_dump: "97.1", psql: "97.1" }, (older) =>
    withPrograms({ pg_dump: "98.1" }, async (newer) => {
      expect(await newestMajor(["pg_dump", "psql"], { binDirectories: [newer, older] })).toBe(97)
      expect(await newestMajor(["pg_dump"], { binDirectories: [newer, older] })).toBe(98)
      await expect(newestMajor(["pg_no_such"])).rejects.toThrow("pg_no_such of PostgreSQL 17 not found")
    }),
  )
})

it("finds real programs of exactly the version that was asked for", async () => {
  const { major, binDirectories } = inject("postgres")
  const { pg_dump, psql } = await findPrograms(major, ["pg_dump", "psql"], { binDirectories })
  for (const program of [pg_dump, psql]) {
    expect((await runProgram(program, ["--version"])).stdout).toContain(`(PostgreSQL) ${major}.`)
  }
})
