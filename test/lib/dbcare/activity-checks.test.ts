import type { Client } from "pg"
import { describe, expect, it } from "vitest"
import { careSchema } from "../../../lib/config/care-schema.ts"
import type { Log } from "../../../lib/core/log.ts"
import { activityChecks } from "../../../lib/dbcare/activity-checks.ts"
import { autovacuumCheck } from "../../../lib/dbcare/autovacuum-check.ts"
import type { CareCheck, CareItem, CareSample } from "../../../lib/dbcare/check.ts"
import {
  cacheHitCheck,
  checksumFailuresCheck,
  deadlocksCheck,
  gained,
  tempFilesCheck,
} from "../../../lib/dbcare/counters-checks.ts"
import { transactionAgeCheck, xminHorizonCheck } from "../../../lib/dbcare/horizon-checks.ts"
import { replicationSlotsCheck } from "../../../lib/dbcare/replication-checks.ts"
import { runChecks } from "../../../lib/dbcare/run-checks.ts"
import {
  blockingCheck,
  connectionsCheck,
  idleInTransactionCheck,
  longStatementsCheck,
} from "../../../lib/dbcare/sessions-checks.ts"
import { slowQueriesCheck, statementGains } from "../../../lib/dbcare/slow-queries-check.ts"
import { type PostgresAddress, parsePostgresUrl } from "../../../lib/postgres/address.ts"
import { withClient } from "../../../lib/postgres/connect.ts"
import { newestMajor } from "../../../lib/postgres/programs.ts"
import { withScratchCluster } from "../../../lib/postgres/scratch-cluster.ts"
import { type TestDatabase, withDatabase, withRole } from "../../support/postgres.ts"

const now = new Date("2026-03-29T04:00:00Z")
const signal = AbortSignal.timeout(60_000)
const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, progress: () => ({ at() {}, done() {} }) }

type Asked = { warn?: number; fail?: number; earlier?: CareSample[] }

async function ask(check: CareCheck, address: PostgresAddress, { earlier = [], ...tuned }: Asked = {}) {
  const settings = careSchema.parse({ checks: { [check.name]: tuned } })
  const [report] = await runChecks({ address, checks: [check], settings, now, earlier, signal })
  if (!report) throw new Error("there is a report for each check")
  return report.result
}

async function itemsOf(...all: Parameters<typeof ask>): Promise<CareItem[]> {
  const result = await ask(...all)
  if (result.status !== "done") throw new Error(`${result.status}: ${result.reason}`)
  return result.items
}

/** Other sessions of the app, each with a connection of its own. */
async function withApp<T>(database: TestDatabase, count: number, fn: (clients: Client[]) => Promise<T>): Promise<T> {
  const open = (left: number, clients: Client[]): Promise<T> =>
    left === 0
      ? fn(clients)
      : withClient(database.address, { applicationName: "shop" }, (client) => open(left - 1, [...clients, client]))
  return open(count, [])
}

describe("sessions", () => {
  it("are counted against what the server takes, and the busiest application is named", async () => {
    await withDatabase("", (database) =>
      withApp(database, 3, async () => {
        const [item] = await itemsOf(connectionsCheck, database.address, { warn: 1, fail: 99 })
        expect(item).toMatchObject({ item: "connections", outcome: "warn" })
        expect(item?.detail).toMatch(/^\d+ of \d+ connections are taken/)
        expect(await itemsOf(connectionsCheck, database.address, { warn: 99 })).toEqual([])
      }),
    )
  })

  it("that sit in a transaction and do nothing are told, with what ends them", async () => {
    await withDatabase("create table t (i int)", (database) =>
      withApp(database, 1, async ([app]) => {
        await app?.query("begin; insert into t values (1)")
        const [item] = await itemsOf(idleInTransactionCheck, database.address, { warn: 0 })
        expect(item).toMatchObject({ item: expect.stringMatching(/^shop of /), outcome: "warn" })
        await database.query(item?.remedy?.run?.[0] ?? "")
        expect(await itemsOf(idleInTransactionCheck, database.address, { warn: 0 })).toEqual([])
      }),
    )
  })

  it("that run one statement for long are told, and our own are not", async () => {
    await withDatabase("", (database) =>
      withApp(database, 1, async ([app]) => {
        const sleeping = app?.query("select pg_sleep(30)")
        const ended = expect(sleeping).rejects.toMatchObject({ code: "57014" })
        await expect
          .poll(() => itemsOf(longStatementsCheck, database.address, { warn: 0 }))
          .toMatchObject([{ outcome: "warn", detail: expect.stringContaining("has run one statement for") }])
        const [item] = await itemsOf(longStatementsCheck, database.address, { warn: 0 })
        await database.query(item?.remedy?.run?.[0] ?? "")
        await ended
        expect(await itemsOf(longStatementsCheck, database.address, { warn: 0 })).toEqual([])
      }),
    )
  })

  it("that others wait for are told at the head of the chain, however long it is", async () => {
    await withDatabase("create table t (i int primary key); insert into t values (1), (2)", (database) =>
      withApp(database, 3, async ([first, second, third]) => {
        await first?.query("begin; update t set i = i where i = 1")
        await second?.query("begin; update t set i = i where i = 2")
        const waits = [second?.query("update t set i = i where i = 1"), third?.query("update t set i = i where i = 2")]
        const pid = (await first?.query("select pg_backend_pid() as pid"))?.rows[0].pid
        await expect
          .poll(() => itemsOf(blockingCheck, database.address, { warn: 0 }))
          .toMatchObject([{ item: expect.stringMatching(/^shop of /), evidence: { pid, waiting: 2 } }])
        await first?.query("rollback")
        await waits[0]
        await second?.query("rollback")
        await waits[1]
        expect(await itemsOf(blockingCheck, database.address, { warn: 0 })).toEqual([])
      }),
    )
  })
})

describe("what holds back cleaning up", () => {
  it("is named: an old snapshot by its session, a slot by its name", async () => {
    await withDatabase("create table t (i int)", (database) =>
      withApp(database, 1, async ([app]) => {
        await app?.query("begin isolation level repeatable read; select count(*) from t")
        for (let i = 0; i < 5; i++) await database.query("insert into t values (1)")
        const items = await itemsOf(xminHorizonCheck, database.address, { warn: 3, fail: 1e9 })
        expect(items.map(({ item }) => item)).toContainEqual(expect.stringMatching(/^session shop of /))
        await app?.query("commit")
        const names = (await itemsOf(xminHorizonCheck, database.address, { warn: 3 })).map(({ item }) => item)
        expect(names.filter((name) => name.startsWith("session shop of "))).toEqual([])
      }),
    )
  })

  it("is a share of the ids, of the oldest table", async () => {
    await withDatabase("", async ({ address }) => {
      const items = await itemsOf(transactionAgeCheck, address, { warn: 0, fail: 50 })
      expect(items.map(({ item }) => item)).toEqual(["transaction ids", "multixact ids"])
      expect(items[0]?.remedy?.run?.[0]).toMatch(/^vacuum \(freeze, verbose\) \S+\.\S+$/)
      expect(await itemsOf(transactionAgeCheck, address)).toEqual([])
    })
  })
})

describe("tables that autovacuum should have done", () => {
  const planted = `create table "Old ""rows" (i int) with (autovacuum_enabled = off);
    insert into "Old ""rows" select generate_series(1, 5000); analyze "Old ""rows"; delete from "Old ""rows" where i > 1000;
    create table fine (i int); insert into fine values (1); analyze fine`

  it("are told with how far they are behind, and why", async () => {
    await withDatabase(planted, async (database) => {
      await expect.poll(() => itemsOf(autovacuumCheck, database.address)).toHaveLength(1)
      const [item] = await itemsOf(autovacuumCheck, database.address)
      expect(item).toMatchObject({ item: 'public."Old ""rows"', evidence: { dead: 4000, live: 1000 } })
      expect(item?.detail).toContain("autovacuum is switched off for it")
      for (const sql of item?.remedy?.run ?? []) await database.query(sql)
      await expect.poll(() => itemsOf(autovacuumCheck, database.address)).toEqual([])
    })
  })
})

describe("counters", () => {
  const sample = (numbers: Record<string, number>, hoursAgo = 24): CareSample => ({
    at: new Date(now.getTime() - hoursAgo * 3_600_000),
    numbers,
  })

  it("show what was gained since the last look, and after a reset what was gained since that", () => {
    expect(gained({ a: 10, b: 5 }, now, [])).toBeUndefined()
    expect(gained({ a: 10, b: 5 }, now, [sample({ a: 7, b: 5 })])).toMatchObject({
      a: { value: 3, ms: 86_400_000, since: "the last look" },
      b: { value: 0 },
    })
    const anew = gained({ a: 20, "counter.reset": 2 }, now, [sample({ a: 7, "counter.reset": 1 })])
    expect(anew).toEqual({ a: { value: 20, ms: 86_400_000, since: "the reset" } })
    expect(gained({ a: 2, b: 9 }, now, [sample({ a: 7, b: 5 })])).toMatchObject({
      a: { value: 2, since: "the reset" },
      b: { value: 9 },
    })
  })

  it("of deadlocks are judged from the second look on", async () => {
    await withDatabase("", async ({ address }) => {
      expect(await ask(deadlocksCheck, address)).toMatchObject({
        items: [],
        numbers: { "counter.deadlocks": 0 },
        notes: [/first look/],
      })
      const reset = await itemsOf(deadlocksCheck, address, { warn: 0, earlier: [sample({ "counter.deadlocks": 4 })] })
      expect(reset[0]?.detail).toContain("0 deadlocks since the counters were reset")
    })
  })

  it("of temporary files are judged by the day", async () => {
    await withDatabase("", async (database) => {
      await database.query(
        "set work_mem = '64kB'; select count(*) from (select i from generate_series(1, 300000) i order by i desc) s",
      )
      const earlier = [sample({ "counter.temp-bytes": 0, "counter.temp-files": 0 })]
      await expect
        .poll(() => itemsOf(tempFilesCheck, database.address, { warn: 0.001, earlier }))
        .toMatchObject([{ item: "temporary files", evidence: { files: expect.any(Number) } }])
      expect(await itemsOf(tempFilesCheck, database.address, { earlier })).toEqual([])
    })
  })

  it("of the cache are not judged from a handful of blocks", async () => {
    await withDatabase("", async ({ address }) => {
      const earlier = [sample({ "counter.blocks-hit": 0, "counter.blocks-read": 0 })]
      const result = await ask(cacheHitCheck, address, { warn: 0, earlier })
      expect(result).toMatchObject({ items: [], notes: [expect.stringContaining("too few to judge")] })
    })
  })

  it("of checksums are only told by a server that keeps them", async () => {
    await withDatabase("", async ({ address, query }) => {
      const [setting] = await query("select current_setting('data_checksums') as checksums")
      const result = await ask(checksumFailuresCheck, address)
      expect(result.status).toBe(setting?.checksums === "on" ? "done" : "skipped")
    })
  })
})

describe("slow statements", () => {
  const seen = (numbers: Record<string, number>): CareSample[] => [
    { at: new Date(now.getTime() - 86_400_000), numbers },
  ]

  it("are judged by what they did since they were last followed, over a reset too", () => {
    const statements = [
      { id: "1", verb: "SELECT", calls: 110, ms: 61_000 },
      { id: "2", verb: null, calls: 5, ms: 10 },
      { id: "3", verb: null, calls: 3, ms: 9000 },
      { id: "4", verb: null, calls: 7, ms: 70 },
    ]
    const numbers = {
      ...{ "statement.1.calls": 100, "statement.1.ms": 1000 },
      ...{ "statement.2.calls": 5, "statement.2.ms": 10 },
      ...{ "statement.3.calls": 900, "statement.3.ms": 900 },
    }
    const gains = [
      { id: "1", verb: "SELECT", calls: 10, ms: 60_000, isSinceReset: false },
      { id: "3", verb: null, calls: 3, ms: 9000, isSinceReset: true },
      { id: "4", verb: null, calls: 7, ms: 70, isSinceReset: false },
    ]
    expect(statementGains(statements, seen(numbers))).toEqual(gains)
    expect(statementGains(statements, [])).toEqual([])
    const later = { at: now, numbers: { "statement.9.calls": 1, "statement.9.ms": 1 } }
    expect(statementGains(statements, [...seen(numbers), later])).toEqual(gains)
  })

  it("are not judged by a history that lies before the looks", () => {
    const many = Object.fromEntries(
      Array.from({ length: 60 }, (_, id) => [
        [`statement.x${id}.calls`, 1],
        [`statement.x${id}.ms`, 9e6],
      ]).flat(),
    )
    const old = [{ id: "7", verb: null, calls: 1000, ms: 5_000_000 }]
    expect(statementGains(old, seen(many))).toEqual([])
    expect(statementGains(old, seen({ ...many, "statements.reset": 1 }), 2)).toHaveLength(1)
  })

  it("want the extension, and the check says so", async () => {
    await withDatabase("", async ({ address }) => {
      expect(await ask(slowQueriesCheck, address)).toMatchObject({
        status: "skipped",
        reason: expect.stringContaining("pg_stat_statements is not installed"),
      })
    })
  })

  it.each(["1.4", "1.7", "1.8", "1.9", "1.10"])("are read from version %s of the extension", async (version) => {
    await withScratchCluster(
      {
        major: await newestMajor(["initdb", "postgres"]),
        settings: { shared_preload_libraries: "pg_stat_statements" },
        log: silent,
        signal,
      },
      async (cluster) => {
        const address = cluster.address("postgres")
        const query = (sql: string) => withClient(address, { applicationName: "shop" }, (client) => client.query(sql))
        await query(`create extension pg_stat_statements version '${version}'`)
        await query("select pg_sleep(0.12)")
        const earlier = seen({ "statement.0.calls": 1, "statement.0.ms": 1 })
        const [item] = await itemsOf(slowQueriesCheck, address, { warn: 100, earlier })
        expect(item?.detail).toMatch(/^SELECT took 1\d\d ms on average/)
      },
    )
  })

  it("want the library too, and the check says so", async () => {
    await withDatabase(
      'create schema "Ex""t"; create extension pg_stat_statements schema "Ex""t"',
      async ({ address, query }) => {
        const [loaded] = await query("select current_setting('shared_preload_libraries') as libraries")
        const result = await ask(slowQueriesCheck, address, { warn: 0 })
        if (String(loaded?.libraries).includes("pg_stat_statements")) expect(result.status).toBe("done")
        else
          expect(result).toMatchObject({
            status: "skipped",
            reason: expect.stringContaining("shared_preload_libraries"),
          })
      },
    )
  })
})

describe("a role that may not see others", () => {
  it("hears of each question that it cannot have answered, and is never told that all is well", async () => {
    await withDatabase("create table t (i int)", (database) =>
      withRole(database, "word", (role) =>
        withApp(database, 2, async ([first, second]) => {
          await first?.query("begin; lock table t")
          const waiting = second?.query("select * from t")
          const address = parsePostgresUrl(database.urlAs(role, "word"), "DATABASE_URL")
          const order = { settings: careSchema.parse({}), now, earlier: [], signal }
          const reports = await runChecks({ ...order, address, checks: activityChecks })
          expect(reports.filter(({ result }) => result.status === "failed")).toEqual([])
          const skipped = reports.flatMap(({ check, result }) =>
            result.status === "skipped" && result.reason.includes("grant pg_monitor") ? check.name : [],
          )
          const hidden = [
            "long-statements",
            "idle-in-transaction",
            "blocking",
            "xmin-horizon",
            "replication-lag",
            "slow-queries",
          ]
          expect(skipped).toEqual(hidden)
          await first?.query("rollback")
          await waiting
        }),
      ),
    )
  })

  it("counts connections all the same", async () => {
    await withDatabase("", (database) =>
      withRole(database, "word", (role) =>
        withApp(database, 4, async () => {
          const address = parsePostgresUrl(database.urlAs(role, "word"), "DATABASE_URL")
          const [item] = await itemsOf(connectionsCheck, address, { warn: 0 })
          expect(item?.evidence.used).toBeGreaterThanOrEqual(5)
          expect(item?.detail).not.toContain("most by")
        }),
      ),
    )
  })

  it("sees them once it is a member of pg_monitor", async () => {
    await withDatabase("create table t (i int)", (database) =>
      withRole(database, "word", (role) =>
        withApp(database, 1, async ([app]) => {
          await database.query(`grant pg_monitor to ${role}`)
          await app?.query("begin; insert into t values (1)")
          const address = parsePostgresUrl(database.urlAs(role, "word"), "DATABASE_URL")
          const result = await ask(idleInTransactionCheck, address, { warn: 0 })
          expect(result).toMatchObject({ items: [{ outcome: "warn" }] })
        }),
      ),
    )
  })
})

it("an idle server has nothing that any check would tell", async () => {
  await withDatabase("create table t (i int); insert into t values (1); analyze t", async ({ address }) => {
    const own = activityChecks.filter(({ name }) => !["xmin-horizon", "connections"].includes(name))
    const order = { settings: careSchema.parse({}), now, earlier: [], signal }
    const reports = await runChecks({ ...order, address, checks: own })
    expect(reports.flatMap(({ result }) => (result.status === "done" ? result.items : []))).toEqual([])
  })
})

describe("a server that counts statements and keeps log for consumers", () => {
  it("tells slow statements by number, over a reset too, and slots that nobody reads; texts stay where they are", async () => {
    const major = await newestMajor(["initdb", "postgres"])
    const settings = {
      shared_preload_libraries: "pg_stat_statements",
      wal_level: "replica",
      max_replication_slots: "2",
      max_wal_senders: "2",
    }
    await withScratchCluster({ major, settings, log: silent, signal }, async (cluster) => {
      const address = cluster.address("postgres")
      const query = (sql: string) => withClient(address, { applicationName: "shop" }, (client) => client.query(sql))
      await query('create schema "Ex""t"; create extension pg_stat_statements schema "Ex""t"')
      await query("select pg_sleep(0.2), 'canary@example.com'")
      const empty = await ask(slowQueriesCheck, address, { warn: 100 })
      expect(empty).toMatchObject({ items: [], notes: [expect.stringContaining("the first look")] })
      const before = [
        { at: new Date(now.getTime() - 86_400_000), numbers: { "statement.0.calls": 1, "statement.0.ms": 1 } },
      ]
      const first = await ask(slowQueriesCheck, address, { warn: 100, earlier: before })
      if (first.status !== "done") throw new Error(first.reason)
      expect(first.items).toMatchObject([
        { outcome: "warn", detail: expect.stringMatching(/^SELECT took 2\d\d ms on average, 1 time/) },
      ])
      expect(JSON.stringify(first)).not.toContain("canary")
      const [text] = (await query(first.items[0]?.remedy?.run?.[0] ?? "")).rows
      expect(text?.query).toContain("pg_sleep")

      const earlier = [{ at: new Date(now.getTime() - 86_400_000), numbers: first.numbers ?? {} }]
      expect(await itemsOf(slowQueriesCheck, address, { warn: 100, earlier })).toEqual([])
      await query('select "Ex""t".pg_stat_statements_reset()')
      await query("select pg_sleep(0.15), 'x'")
      const [again] = await itemsOf(slowQueriesCheck, address, { warn: 100, earlier })
      expect(again?.detail).toMatch(/1 time, .* since the counters were reset$/)

      await query("select pg_create_physical_replication_slot('left_over', true)")
      const [slot] = await itemsOf(replicationSlotsCheck, address)
      expect(slot).toMatchObject({
        item: "left_over",
        outcome: "warn",
        detail: expect.stringContaining("nobody reads it"),
      })
      await query(slot?.remedy?.run?.[0] ?? "")
      expect(await itemsOf(replicationSlotsCheck, address)).toEqual([])
    })
  })
})
