import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, inject, it } from "vitest"
import { structureChecks } from "../../../lib/dbcare/structure-checks.ts"
import { withClient } from "../../../lib/postgres/connect.ts"
import { withScratchCluster } from "../../../lib/postgres/scratch-cluster.ts"
import { askCheck } from "../../support/care.ts"
import { withDatabase, withRole } from "../../support/postgres.ts"

const quiet = () => undefined
const log = { debug: quiet, info: quiet, warn: quiet, error: quiet, progress: () => ({ at: quiet, done: quiet }) }

const healthy = `
  create table people (id bigint generated always as identity primary key, name text not null unique);
  create table orders (id bigint generated always as identity primary key, person bigint not null references people,
    at timestamptz not null check (at > '2000-01-01'), note text);
  create index orders_person on orders (person, at);
  insert into people (name) select 'p' || i from generate_series(1, 500) i;
  insert into orders (person, at) select 1 + i % 500, timestamptz '2026-01-01' + i * interval '1 minute' from generate_series(1, 20000) i;
  analyze`

describe("the checks of the structure", () => {
  it("have names, words and a runbook each", () => {
    const names = structureChecks.map(({ name }) => name)
    expect(new Set(names).size).toBe(names.length)
    expect(names.filter((name) => !existsSync(`docs/runbooks/database-${name}.md`))).toEqual([])
    expect(names.filter((name) => !/^[a-z]+(-[a-z]+)*$/.test(name))).toEqual([])
  })

  it("find nothing in a healthy schema, as superuser and as a role that may only read", async () => {
    await withDatabase(healthy, async (database) =>
      withRole(database, "secret", async (role) => {
        await database.query(`grant select on all tables in schema public to ${role};
          grant select on all sequences in schema public to ${role}`)
        for (const url of [database.url, database.urlAs(role, "secret")]) {
          const found: Record<string, unknown> = {}
          for (const check of structureChecks) {
            const result = await askCheck(check, url)
            found[check.name] = result.status === "done" ? result.items.map(({ item }) => item) : result
          }
          const nothing = Object.fromEntries(structureChecks.map(({ name }) => [name, []]))
          // The server of the tests is made for speed.
          expect(found).toEqual({ ...nothing, settings: ["fsync", "full_page_writes", "synchronous_commit"] })
        }
      }),
    )
  })

  it("survive a role that may nothing, and say what they could not look at", async () => {
    const sql = `${healthy}; create sequence lonely`
    await withDatabase(sql, async (database) =>
      withRole(database, "secret", async (role) => {
        const results: Awaited<ReturnType<typeof askCheck>>[] = []
        for (const check of structureChecks) results.push(await askCheck(check, database.urlAs(role, "secret")))
        expect(results.filter(({ status }) => status === "failed")).toEqual([])
        const byName = Object.fromEntries(structureChecks.map(({ name }, at) => [name, results[at]]))
        expect(byName.sequences).toMatchObject({ status: "skipped", reason: expect.stringContaining("SELECT") })
      }),
    )
  })

  it("report of the example what is rightly to be said of it, and nothing else", async () => {
    const options = { ...inject("postgres"), signal: new AbortController().signal, log }
    await withScratchCluster(options, async (cluster) => {
      const address = cluster.address("postgres")
      const read = (name: string) => readFileSync(join("examples/preppilot", name), "utf8")
      await withClient(address, { applicationName: "tests" }, async (client) => {
        await client.query(read("roles.sql"))
        await client.query(read("schema.sql"))
      })
      const found: Record<string, string[]> = {}
      for (const check of structureChecks) {
        const result = await askCheck(check, address)
        if (result.status !== "done") throw new Error(`${check.name}: ${result.reason}`)
        // A scratch server is made for speed, and its settings are not the example's.
        if (result.items.length > 0 && check.name !== "settings")
          found[check.name] = result.items.map(({ item, outcome }) => `${outcome} ${item}`).sort()
      }
      expect(found).toEqual({
        // It was added to old rows on purpose, and nobody validated it since.
        constraints: ["warn public.preps.preps_spent"],
        // They are there for everybody to read, and do not say so with a policy.
        "row-security": ["warn public.ingredients", "warn public.recipe_ingredients"],
      })
    })
  })
})
