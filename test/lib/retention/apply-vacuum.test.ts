import { expect, it } from "vitest"
import { parsePostgresUrl } from "../../../lib/postgres/address.ts"
import { withClient } from "../../../lib/postgres/connect.ts"
import { applyRows } from "../../../lib/retention/apply.ts"
import { isLargeRemoval } from "../../../lib/retention/vacuum.ts"
import { applyContext, planOf } from "../../support/cleanup-plan.ts"
import { type TestDatabase, withDatabase, withRole } from "../../support/postgres.ts"

const events = `create table events (id int primary key, text text);
  insert into events select n, repeat('x', 100) from generate_series(1, 5000) n; analyze events`

async function apply(database: TestDatabase, where: string, url = database.url) {
  const address = parsePostgresUrl(url, "DATABASE_WRITE_URL")
  return withClient(address, { applicationName: "nightshift/cleanup", statementTimeoutMs: 12_345 }, async (client) => {
    const plan = await planOf(client, { table: "events", where })
    const applied = await applyRows(
      plan,
      applyContext(client, { pace: { restShare: 0 }, limits: { patientLockTimeoutMs: 200 } }),
    )
    const { rows } = await client.query(
      "select current_setting('statement_timeout') as limit, current_setting('lock_timeout') as wait, current_setting('vacuum_cost_delay') as delay",
    )
    expect(rows).toEqual([{ limit: "12345ms", wait: "0", delay: "0" }])
    return applied
  })
}

const vacuums = async (database: TestDatabase) => {
  const [row] = await database.query(
    "select vacuum_count::int as vacuums, analyze_count::int as analyzes, n_dead_tup::int as dead from pg_stat_user_tables where relname = 'events'",
  )
  return row
}

it("vacuums and analyzes a table of which more than a tenth went, and leaves the session's settings as they were", async () => {
  await withDatabase(events, async (database) => {
    await database.query("alter table events set (autovacuum_enabled = off)")
    expect(await apply(database, "t.id <= 100")).toMatchObject({ removed: 100, notes: [] })
    expect((await vacuums(database))?.vacuums).toBe(0)
    const applied = await apply(database, "t.id <= 2000")
    expect(applied).toMatchObject({ removed: 1900, vacuumed: true, notes: [] })
    expect(applied.vacuumMs).toBeGreaterThan(0)
    expect(await vacuums(database)).toMatchObject({ vacuums: 1, dead: 0 })
  })
})

it("calls more than 100,000 rows large, whatever the table has", async () => {
  await withDatabase(events, (database) =>
    withClient(database.address, { applicationName: "tests" }, async (client) => {
      const oid = (await client.query("select 'events'::regclass::oid::text as oid")).rows[0].oid
      const large = (removed: number) => isLargeRemoval(client, { oid }, removed)
      expect([await large(0), await large(500), await large(501), await large(100_001)]).toEqual([
        false,
        false,
        true,
        true,
      ])
    }),
  )
})

it("says who can vacuum a table that belongs to another role", async () => {
  await withDatabase(events, async (database) =>
    withRole(database, "pw", async (role) => {
      await database.query(`grant select, update, delete on events to ${role}`)
      const applied = await apply(database, "t.id <= 2000", database.urlAs(role, "pw"))
      expect(applied).toMatchObject({ removed: 2000, left: 0, vacuumed: false })
      expect(applied.notes).toEqual([
        'VACUUM of public.events did not run: only nightshift_test may, or a superuser: run as its owner: vacuum (analyze) "public"."events"',
      ])
      expect(applied.failure).toBeUndefined()
      expect((await vacuums(database))?.vacuums).toBe(0)
    }),
  )
})

it("says which old snapshot keeps the dead rows", async () => {
  await withDatabase(events, (database) =>
    withClient(database.address, { applicationName: "a long report" }, async (report) => {
      await report.query("begin isolation level repeatable read; select count(*) from events")
      const applied = await apply(database, "t.id <= 2000")
      expect(applied).toMatchObject({ removed: 2000, vacuumed: true })
      expect(applied.notes).toEqual([
        expect.stringMatching(
          /^2,000 dead rows of public.events could not be taken away: a long report \(pid \d+\) may still look at them$/,
        ),
      ])
    }),
  )
})

it("does not wait for ever for a table that somebody has locked", async () => {
  await withDatabase(events, (database) =>
    withClient(database.address, { applicationName: "a migration" }, async (migration) => {
      await migration.query("begin; lock table events in share update exclusive mode")
      const applied = await apply(database, "t.id <= 2000")
      expect(applied).toMatchObject({ removed: 2000, left: 0, vacuumed: false })
      expect(applied.notes[0]).toMatch(
        /^VACUUM of public.events did not run: canceling statement due to lock timeout: run as its owner/,
      )
    }),
  )
})
