import { describe, expect, inject, it } from "vitest"
import { judgeSetting, settingsCheck } from "../../../lib/dbcare/settings-check.ts"
import { withClient } from "../../../lib/postgres/connect.ts"
import { withScratchCluster } from "../../../lib/postgres/scratch-cluster.ts"
import { askDone, itemsOf } from "../../support/care.ts"
import { withDatabase, withRole } from "../../support/postgres.ts"

const quiet = () => undefined
const log = { debug: quiet, info: quiet, warn: quiet, error: quiet, progress: () => ({ at: quiet, done: quiet }) }
const safe = { fsync: "on", full_page_writes: "on", autovacuum: "on", synchronous_commit: "on", wal_level: "replica" }

describe("settings", () => {
  it("that lose data are found, and their statements mend them", async () => {
    const options = { ...inject("postgres"), settings: safe, signal: new AbortController().signal, log }
    await withScratchCluster(options, async (cluster) => {
      const address = cluster.address("postgres")
      const run = (statements: string[]) =>
        withClient(address, { applicationName: "tests" }, async (client) => {
          for (const statement of statements) await client.query(statement)
        })
      const found = async () => (await itemsOf(settingsCheck, address)).map(({ item, outcome }) => `${outcome} ${item}`)
      expect(await askDone(settingsCheck, address)).toMatchObject({
        items: [],
        notes: [expect.stringContaining("data checksums are off")],
      })
      const bad = ["fail zero_damaged_pages", "warn password_encryption"]
      await run([
        "alter system set password_encryption = md5",
        "alter system set zero_damaged_pages = on",
        "select pg_reload_conf()",
      ])
      await expect.poll(found).toEqual(bad)
      const items = await itemsOf(settingsCheck, address)
      await run(items.flatMap(({ remedy }) => remedy?.run ?? []))
      await expect.poll(found).toEqual([])
      await run(items.flatMap(({ remedy }) => remedy?.undo ?? []))
      await expect.poll(found).toEqual(bad)
      await run(["alter system set max_files_per_process = 777", "select pg_reload_conf()"])
      const notes = async () => (await askDone(settingsCheck, address)).notes
      await expect.poll(notes).toContain("max_files_per_process was changed and waits for a restart")
    })
  })

  it("of tables that keep autovacuum away are found, for a role that may nothing as well", async () => {
    const sql = `create table "Still ""x" (i int) with (autovacuum_enabled = false); create table fine (i int) with (fillfactor = 50)`
    await withDatabase(sql, async (database) =>
      withRole(database, "secret", async (role) => {
        const tables = async () =>
          (await itemsOf(settingsCheck, database.urlAs(role, "secret"))).filter(({ item }) =>
            item.startsWith("public."),
          )
        const [table, ...rest] = await tables()
        expect([table?.item, ...rest]).toEqual(['public.Still "x'])
        for (const statement of table?.remedy?.run ?? []) await database.query(statement)
        expect(await tables()).toEqual([])
        for (const statement of table?.remedy?.undo ?? []) await database.query(statement)
        expect(await tables()).toHaveLength(1)
      }),
    )
  })

  it("that are as they should be, or are nobody's business, mean nothing", () => {
    expect(judgeSetting("fsync", "on")).toEqual([])
    expect(judgeSetting("work_mem", "off")).toEqual([])
    expect(judgeSetting("wal_level", "minimal")[0]?.remedy?.advice).toContain("restart")
  })
})
