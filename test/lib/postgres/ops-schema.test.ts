import { expect, it } from "vitest"
import { parsePostgresUrl } from "../../../lib/postgres/address.ts"
import { withClient } from "../../../lib/postgres/connect.ts"
import { ensureOpsTables, missingTables } from "../../../lib/postgres/ops-schema.ts"
import { withDatabase, withRole } from "../../support/postgres.ts"

const options = { applicationName: "tests" }

it("four sessions at once make the tables once", async () => {
  await withDatabase("", async ({ address, query }) => {
    const make = () =>
      withClient(address, options, (client) => ensureOpsTables(client, ["decay_watermark", "legal_hold"]))
    await Promise.all([make(), make(), make(), make()])
    const tables = await query(
      "select relname from pg_class where relnamespace = 'ops'::regnamespace and relkind = 'r' order by 1",
    )
    expect(tables).toEqual([{ relname: "decay_watermark" }, { relname: "legal_hold" }])
  })
})

it("what is missing is told without making it", async () => {
  await withDatabase("", async ({ address, query }) => {
    await withClient(address, options, async (client) => {
      expect(await missingTables(client, ["legal_hold"])).toEqual(["legal_hold"])
      await ensureOpsTables(client, ["legal_hold"])
      expect(await missingTables(client, ["legal_hold", "archive_part"])).toEqual(["archive_part"])
    })
    expect(await query("select to_regclass('ops.archive_part') as missing")).toEqual([{ missing: null }])
  })
})

it("a role that may not make them gets the statements for one who may, and they are right", async () => {
  await withDatabase("", async (database) => {
    await withRole(database, "word", async (role) => {
      const address = parsePostgresUrl(database.urlAs(role, "word"), "DATABASE_WRITE_URL")
      const ensure = () => withClient(address, options, (client) => ensureOpsTables(client, ["decay_watermark"]))
      const error = await ensure().then(
        () => "made",
        (reason: Error) => reason.message,
      )
      expect(error).toContain(
        "this role may not make the schema ops: let its owner run: create schema if not exists ops; ",
      )
      const sql = error.slice(error.indexOf("create schema")).replaceAll("<role>", role)
      await database.query(sql)
      await ensure()
      await withClient(address, options, (client) => client.query("select * from ops.decay_watermark"))
    })
  })
})

it("a role that owns the schema makes tables in it, although it may make no schema", async () => {
  await withDatabase("create schema ops", async (database) => {
    await withRole(database, "word", async (role) => {
      await database.query(`alter schema ops owner to ${role}`)
      const address = parsePostgresUrl(database.urlAs(role, "word"), "DATABASE_WRITE_URL")
      await withClient(address, options, async (client) => {
        await ensureOpsTables(client, ["legal_hold"])
        expect(await missingTables(client, ["legal_hold"])).toEqual([])
      })
    })
  })
})
