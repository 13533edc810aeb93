import { readFile } from "node:fs/promises"
import { join } from "node:path"
import type { Client } from "pg"
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest"
import { loadConfig } from "../../lib/config/load.ts"
import type { Log } from "../../lib/core/log.ts"
import { programEnvironment } from "../../lib/postgres/address.ts"
import { withClient } from "../../lib/postgres/connect.ts"
import { findPrograms } from "../../lib/postgres/programs.ts"
import { type ScratchCluster, withScratchCluster } from "../../lib/postgres/scratch-cluster.ts"
import { runProgram } from "../../lib/system/program.ts"
import { withTempDir } from "../../lib/system/temp.ts"

const folder = join(import.meta.dirname, "../../examples/preppilot")
const today = "2026-11-16T00:00:00Z"
const lastMonday = "2026-11-09T00:00:00Z"
const quiet = () => undefined
const log: Log = { debug: quiet, info: quiet, warn: quiet, error: quiet, progress: () => ({ at: quiet, done: quiet }) }

let cluster: ScratchCluster
let programs: Record<"pg_dump" | "pg_restore", string>
let release: () => void
let closed: Promise<unknown>

beforeAll(async () => {
  // A server of its own: the roles of the example belong to the whole server.
  const { major, binDirectories } = inject("postgres")
  programs = await findPrograms(major, ["pg_dump", "pg_restore"], { binDirectories })
  const { promise: done, resolve } = Promise.withResolvers<void>()
  release = resolve
  await new Promise<void>((ready, fail) => {
    closed = withScratchCluster(
      { major, binDirectories, signal: new AbortController().signal, log },
      async (running) => {
        cluster = running
        await load("first", "UTC")
        ready()
        await done
      },
    )
    closed.catch(fail)
  })
})

afterAll(async () => {
  release()
  await closed
})

async function withDatabase<T>(name: string, fn: (client: Client) => Promise<T>): Promise<T> {
  return withClient(cluster.address(name), { applicationName: "nightshift/test" }, fn)
}

async function create(name: string): Promise<void> {
  await cluster.createDatabase({ name, encoding: "UTF8", localeProvider: "libc", collate: "C", ctype: "C" })
}

async function load(name: string, timezone: string): Promise<void> {
  await create(name)
  await withDatabase(name, async (client) => {
    await client.query(`set timezone = '${timezone}'`)
    for (const file of ["roles.sql", "schema.sql", "seed.sql"])
      await client.query(await readFile(join(folder, file), "utf8"))
  })
}

/** The whole database as text, without the lines that differ between two dumps of the same. */
async function dumpText(name: string): Promise<string[]> {
  const { stdout, stderr } = await runProgram(programs.pg_dump, ["-Fp"], {
    env: programEnvironment(cluster.address(name)),
  })
  expect(stderr).toBe("")
  return stdout.split("\n").filter((line) => !/^\\(un)?restrict /.test(line))
}

function firstDifference(a: string[], b: string[]): string | undefined {
  const at = a.findIndex((line, index) => line !== b[index])
  if (at >= 0) return `line ${at + 1}: ${a[at]} | ${b[at]}`
  return a.length === b.length ? undefined : `${a.length} and ${b.length} lines`
}

describe("the PrepPilot example", () => {
  it("has about 200,000 rows, in every table", async () => {
    const counts = await withDatabase("first", async (client) => {
      const { rows } = await client.query<{ name: string }>(
        "select oid::regclass::text as name from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'",
      )
      const entries: [string, number][] = []
      for (const { name } of rows) {
        const result = await client.query<{ n: number }>(`select count(*)::int as n from only ${name}`)
        entries.push([name, result.rows[0]?.n ?? 0])
      }
      return Object.fromEntries(entries)
    })
    expect(Object.values(counts)).not.toContain(0)
    const total = Object.values(counts).reduce((sum, n) => sum + n, 0)
    expect(total).toBeGreaterThan(190_000)
    expect(total).toBeLessThan(210_000)
  })

  it("is byte for byte the same on a second load, in another time zone, and after a restore", async () => {
    await load("second", "America/New_York")
    const first = await dumpText("first")
    expect(firstDifference(first, await dumpText("second"))).toBeUndefined()

    await create("restored")
    await withTempDir("preppilot", async (dir) => {
      const archive = join(dir, "first.dump")
      await runProgram(programs.pg_dump, ["-Fc", "-Z0", "-f", archive], {
        env: programEnvironment(cluster.address("first")),
      })
      const args = ["--exit-on-error", "-d", "restored", archive]
      const { stderr } = await runProgram(programs.pg_restore, args, {
        env: programEnvironment(cluster.address("restored")),
      })
      expect(stderr).toBe("")
    })
    expect(firstDifference(first, await dumpText("restored"))).toBeUndefined()
  })

  it("shows each household its own rows and nobody else's", async () => {
    await withDatabase("first", async (client) => {
      const me = (await client.query<{ id: string }>("select id from users order by id limit 1")).rows[0]?.id
      await client.query("begin")
      await client.query("set local role authenticated")
      await client.query("select set_config('request.jwt.claim.sub', $1, true)", [me])
      const { rows } = await client.query("select count(*)::int as users, min(id::text) as id from users")
      expect(rows).toEqual([{ users: 1, id: me }])
      expect((await client.query("select distinct user_id from preps")).rows).toEqual([{ user_id: me }])
      await expect(client.query("select * from app_settings")).rejects.toThrow("permission denied")
      await client.query("rollback")
    })
  })

  it("has a configuration whose assertions hold and whose metrics are numbers", async () => {
    const config = await loadConfig(join(folder, "ops.config.ts"))
    await withDatabase("first", async (client) => {
      for (const { name, sql, expect: range } of config.databases.main?.assertions ?? []) {
        const { rows } = await client.query<Record<string, unknown>>(sql)
        if (!range) expect(rows, name).toEqual([])
        else expect(Number(Object.values(rows[0] ?? {})[0]), name).toBeGreaterThanOrEqual(range.min ?? 0)
      }
      for (const { id, sql } of config.metrics) {
        const { rows } = await client.query<Record<string, unknown>>(sql, [lastMonday, today])
        expect(rows, id).toHaveLength(1)
        expect(Number(Object.values(rows[0] ?? {})[0]), id).toBeGreaterThan(0)
      }
    })
    expect(config.metrics).toHaveLength(5)
    expect(config.databases.main?.assertions.length).toBeGreaterThan(5)
  })

  it("has a README that names only settings that are there", async () => {
    const config: unknown = await loadConfig(join(folder, "ops.config.ts"))
    const readme = await readFile(join(folder, "README.md"), "utf8")
    const paths = [...readme.matchAll(/`((?:services|databases|metrics|alerts)(?:\.\w+)*)`/g)].map(
      (match) => match[1] ?? "",
    )
    expect(paths.length).toBeGreaterThan(15)
    for (const path of paths) {
      const value = path
        .split(".")
        .reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], config)
      expect(value, path).toBeDefined()
    }
  })
})
