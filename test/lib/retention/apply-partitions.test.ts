import type pg from "pg"
import { expect, it } from "vitest"
import { withClient } from "../../../lib/postgres/connect.ts"
import { ensureOpsTables } from "../../../lib/postgres/ops-schema.ts"
import type { CleanupPlan, PlannedPartition } from "../../../lib/retention/contract.ts"
import { type RemovePartitionsContext, removePartitions } from "../../../lib/retention/remove-partitions.ts"
import { applyContext, planOf, type RowsOf } from "../../support/cleanup-plan.ts"
import { type TestDatabase, withDatabase } from "../../support/postgres.ts"
import { until } from "../../support/processes.ts"

/** Ten rows a month from January to April. */
const logs = `create table logs (id int, at timestamptz not null, primary key (id, at)) partition by range (at);
  create table logs_1 partition of logs for values from ('2026-01-01') to ('2026-02-01');
  create table logs_2 partition of logs for values from ('2026-02-01') to ('2026-03-01');
  create table logs_3 partition of logs for values from ('2026-03-01') to ('2026-04-01');
  create table logs_4 partition of logs for values from ('2026-04-01') to ('2026-05-01');
  insert into logs select n, '2026-01-01'::timestamptz + n * interval '3 days' from generate_series(0, 29) n`
const old: RowsOf = { table: "logs", where: "t.at < '2026-03-01'", order: ["at", "id"] }
const quick = { limits: { lockTimeoutMs: 100, concurrentTimeoutMs: 100, retryWaitMs: 20 } }

async function planPartitions(
  client: pg.Client,
  action: "drop" | "detach",
  names: string[],
  rows = old,
): Promise<CleanupPlan> {
  const found = await client.query(
    `select c.oid::text, 'public' as schema, c.relname as name, pg_get_expr(c.relpartbound, c.oid) as bounds
       from pg_class c where c.relname = any($1) order by c.relname`,
    [names],
  )
  const partitions: PlannedPartition[] = []
  for (const row of found.rows) {
    const counted = await client.query(`select count(*)::int as rows from ${row.name}`)
    partitions.push({ ...row, parent: { schema: "public", name: "logs" }, rows: counted.rows[0].rows, bytes: 0 })
  }
  const plan = await planOf(client, rows)
  return { ...plan, action, partitions, count: partitions.reduce((sum, { rows }) => sum + rows, 0) }
}

type Order = {
  action: "drop" | "detach"
  names?: string[]
  rows?: RowsOf
  context?: Partial<RemovePartitionsContext>
  meanwhile?: () => Promise<unknown>
}

async function remove(
  database: TestDatabase,
  { action, names = ["logs_1", "logs_2"], rows, context, meanwhile }: Order,
) {
  return withClient(database.address, { applicationName: "nightshift/cleanup" }, async (client) => {
    const plan = await planPartitions(client, action, names, rows)
    await meanwhile?.()
    return removePartitions(plan, applyContext(client, { ...quick, ...context }))
  })
}

const partitions = async (database: TestDatabase) =>
  (
    await database.query(
      "select inhrelid::regclass::text as name from pg_inherits where inhparent = 'logs'::regclass order by 1",
    )
  ).map(({ name }) => name)

it("drops them one by one, and nothing else", async () => {
  await withDatabase(logs, async (database) => {
    const applied = await remove(database, { action: "drop" })
    expect(applied).toMatchObject({ removed: 20, batches: 2, left: 0, heldBack: 0 })
    expect(await partitions(database)).toEqual(["logs_3", "logs_4"])
    expect(await database.query("select to_regclass('logs_1') as gone, count(*)::int as rows from logs")).toEqual([
      { gone: null, rows: 10 },
    ])
  })
})

it("detaches them with their rows, also where there is a default partition", async () => {
  for (const more of ["", "create table logs_rest partition of logs default"]) {
    await withDatabase(`${logs}; ${more}`, async (database) => {
      const applied = await remove(database, { action: "detach" })
      expect(applied.failure).toBeUndefined()
      expect(applied).toMatchObject({ removed: 20, left: 0 })
      expect((await partitions(database)).slice(0, 2)).toEqual(["logs_3", "logs_4"])
      expect(
        await database.query(
          "select (select count(*) from logs_1)::int as first, (select count(*) from logs_2)::int as second",
        ),
      ).toEqual([{ first: 11, second: 9 }])
    })
  }
})

it("gives up when somebody keeps the table, and finishes what was half detached the next time", async () => {
  for (const action of ["drop", "detach"] as const) {
    await withDatabase(logs, async (database) => {
      await withClient(database.address, { applicationName: "a report" }, async (report) => {
        await report.query("begin; select count(*) from logs; update logs set id = id where id = 0")
        const applied = await remove(database, { action, context: { limits: { ...quick.limits, retries: 3 } } })
        expect(applied.failure).toMatch(
          /^public.logs_1: it is locked by a report \(pid \d+\): canceling statement due to lock timeout$/,
        )
        expect(applied).toMatchObject({ removed: 0, left: 20, retries: 2 })
        await report.query("rollback")
      })
      expect(await remove(database, { action })).toMatchObject({ removed: 20, left: 0 })
      expect(await partitions(database)).toEqual(["logs_3", "logs_4"])
    })
  }
})

it("waits no longer than its timeout with others behind it, and gets in when the table is free", async () => {
  await withDatabase(logs, async (database) => {
    await withClient(database.address, { applicationName: "a report" }, async (report) => {
      await report.query("begin; select count(*) from logs")
      const removing = remove(database, {
        action: "drop",
        context: { limits: { lockTimeoutMs: 100, retryWaitMs: 100 } },
      })
      await until("it waits", async () => {
        const waiting = await database.query(
          "select from pg_locks join pg_stat_activity using (pid) where not granted and mode = 'AccessExclusiveLock' and datname = current_database()",
        )
        return waiting.length > 0
      })
      await database.query("set lock_timeout = '2s'; select count(*) from logs")
      await report.query("commit")
      expect(await removing).toMatchObject({ removed: 20, left: 0 })
    })
  })
})

it("leaves a partition whole when a hold on one of its rows came after the plan", async () => {
  const held =
    "exists (select from ops.legal_hold h where h.released_at is null and (h.row_key ->> 'id')::bigint = t.id)"
  const rows = { ...old, where: `${old.where} and not ${held}`, withoutHolds: `(${old.where})`, hasHolds: true }
  for (const action of ["drop", "detach"] as const) {
    await withDatabase(logs, async (database) => {
      await withClient(database.address, { applicationName: "tests" }, (client) =>
        ensureOpsTables(client, ["legal_hold"]),
      )
      const meanwhile = () =>
        database.query(`insert into ops.legal_hold (row_key, reason) values ('{"id": 12}', 'a case')`)
      const applied = await remove(database, { action, rows, meanwhile })
      expect(applied).toMatchObject({ removed: 11, left: 9, heldBack: 1 })
      expect(applied.notes).toEqual(["public.logs_2 stays whole: a legal hold on 1 row of it came after the plan"])
      expect(await partitions(database)).toEqual(["logs_2", "logs_3", "logs_4"])
    })
  }
})

it("touches nothing that is not what was planned", async () => {
  const changes = [
    "drop table logs_1",
    "alter table logs detach partition logs_1",
    "alter table logs_1 rename to logs_0; create table logs_1 ()",
  ]
  for (const change of changes) {
    await withDatabase(logs, async (database) => {
      const applied = await remove(database, { action: "drop", meanwhile: () => database.query(change) })
      expect(applied.failure).toMatch(/^public.logs_1: /)
      expect(applied.removed).toBe(0)
      expect(await partitions(database)).toContain("logs_2")
    })
  }
})

it("stops at its limit before a partition that would exceed it, and at one that something else needs", async () => {
  await withDatabase(logs, async (database) => {
    const limited = await remove(database, { action: "drop", context: { limit: 15 } })
    expect(limited).toMatchObject({ removed: 11, left: 9, stopped: "public.logs_2 would exceed its limit of 15 rows" })
    await database.query("create view february as select * from logs_2")
    const needed = await remove(database, { action: "drop", names: ["logs_2"] })
    expect(needed.failure).toMatch(/^public.logs_2: cannot drop table logs_2 because other objects depend on it/)
    expect(await database.query("select from february")).toHaveLength(9)
  })
})
