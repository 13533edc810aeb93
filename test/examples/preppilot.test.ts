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
import { type ExampleWorld, failuresOf, findingOf, today as night, withExampleAt } from "./world.ts"

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

describe("the data of PrepPilot", () => {
  it("fades by the half-life of each ingredient, once, and people hear how much fell low", async () => {
    await withCopy("faded", async ({ query, count, run }) => {
      await query("create table before as select id, freshness from fridge_items")
      expect(inWords(await run("decay", ["--dry-run"]))).toContain("would change")
      expect(await count(`fridge_items f join before b using (id) where f.freshness <> b.freshness`)).toBe(0)

      const done = await run("decay")
      expect(failuresOf(done)).toEqual([])
      // Whole days in UTC count, up to the midnight before the night.
      const expected = `case when f.discarded_at is not null then b.freshness else
        b.freshness * 0.5 ^ (floor(extract(epoch from timestamptz '2026-11-16Z' - f.updated_at) / 86400) * 86400
          / extract(epoch from i.half_life))::float8 end`
      const rows = "fridge_items f join before b using (id) join ingredients i on i.id = f.ingredient_id"
      expect(await count(`${rows} where abs(f.freshness - ${expected}) > 1e-9`)).toBe(0)
      const changed = await count(`${rows} where f.freshness <> b.freshness`)
      expect(changed).toBeGreaterThan(30_000)
      expect(findingOf(done, "decay/freshness")).toMatchObject({ outcome: "ok", facts: { changed } })
      const fell = await count(`${rows} where b.freshness > 0.05 and f.freshness <= 0.05`)
      expect(fell).toBeGreaterThan(1000)
      expect(findingOf(done, "decay/freshness/0.05")).toMatchObject({ outcome: "warn", facts: { crossed: fell } })

      await query("drop table before; create table before as select id, freshness from fridge_items")
      const again = await run("decay", ["--again"])
      expect(findingOf(again, "decay/freshness")?.detail).toContain("already applied")
      expect(await count("fridge_items f join before b using (id) where f.freshness <> b.freshness")).toBe(0)
    })
  })

  it("loses sessions and plans that are done with, and nothing that is not theirs", async () => {
    await withCopy("cleaned", async ({ query, count, run }) => {
      const old = `timestamptz '${night}' - interval '30 days'`
      const isStale = `p.updated_at < ${old} and p.status in ('draft', 'stale')`
      const kept = {
        user_sessions: `select s.* from user_sessions s where s.expires_at >= ${old}`,
        // What refers to a plan that is gone refers to nothing: of that these columns say nothing.
        plans: `select p.id, p.user_id, p.week, p.status from plans p where not (${isStale})`,
        preps: `select r.* from preps r join plans p on p.id = r.plan_id where not (${isStale})`,
        pdf_exports: "select e.id, e.user_id, e.pages from pdf_exports e",
        users: "select u.* from users u",
        fridge_items: "select f.* from fridge_items f",
      }
      const hashes = async () => {
        const rows = Object.values(kept).map(
          (sql) => `(select md5(string_agg(k::text, ' ' order by k::text)) from (${sql}) k)`,
        )
        return Object.values((await query(`select array[${rows.join(", ")}] as all`))[0] ?? {})
      }
      const before = await hashes()
      const stale = await count(`plans p where ${isStale}`)
      expect(stale).toBeGreaterThan(100)

      // The seed is months old: a first cleanup of its sessions asks, and is no hindrance to the plans.
      const asked = await run("cleanup", ["--without-backup"])
      expect(asked.exitCode).toBe(1)
      expect(findingOf(asked, "cleanup/sessions")).toMatchObject({
        outcome: "fail",
        detail: expect.stringContaining("--allow-large"),
      })
      expect(await count("user_sessions")).toBe(24_000)
      expect(findingOf(asked, "cleanup/stale-plans")).toMatchObject({
        outcome: "ok",
        facts: { removed: stale, left: 0 },
      })

      const expired = await count(`user_sessions where expires_at < ${old}`)
      const done = await run("cleanup", ["--without-backup", "--allow-large", "--again"])
      expect(failuresOf(done)).toEqual([])
      expect(findingOf(done, "cleanup/sessions")).toMatchObject({ outcome: "ok", facts: { removed: expired, left: 0 } })
      expect(await count(`user_sessions where expires_at < ${old}`)).toBe(0)
      expect(await count(`plans p where ${isStale}`)).toBe(0)
      expect(await hashes()).toEqual(before)
    })
  })

  it("has no hole in its row security but the two that the team knows of, for as long as it says", async () => {
    await withCopy("asked", async ({ run }) => {
      const known = ["public.ingredients", "public.recipe_ingredients"]
      const asked = findingOf(await run("database", ["--check", "row-security"]), "care/row-security")
      expect(asked).toMatchObject({ outcome: "ok", facts: { found: 0, ignored: 2 } })
      expect(asked?.detail).toContain("2 known items set aside")
      const later = await run("database", ["--check", "row-security"], "2027-12-31T06:00:00Z")
      const counted = findingOf(later, "care/row-security")
      expect(counted).toMatchObject({ outcome: "warn", facts: { found: 2 } })
      for (const table of known) expect(counted?.detail).toContain(`${table}: no row security`)
    })
  })
})

/** The seed as it is, in a database of its own. */
async function withCopy(name: string, fn: (world: ExampleWorld) => Promise<void>): Promise<void> {
  await withDatabase("postgres", (client) => client.query(`create database ${name} template first`))
  await withDatabase(name, (client) => client.query("analyze"))
  await withExampleAt("preppilot", cluster.address(name), fn)
}

function inWords({ run }: Awaited<ReturnType<ExampleWorld["run"]>>): string {
  return run.findings.map(({ detail }) => detail).join("; ")
}
