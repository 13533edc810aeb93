import type pg from "pg"
import { describe, expect, it } from "vitest"
import { parsePostgresUrl } from "../../../lib/postgres/address.ts"
import { type Pace, usualPace, watchPressure } from "../../../lib/postgres/back-pressure.ts"
import { withClient } from "../../../lib/postgres/connect.ts"
import {
  countBlocked,
  judgePressure,
  type Pressure,
  pressureLimits,
  readPressure,
} from "../../../lib/postgres/pressure.ts"
import { applyRows } from "../../../lib/retention/apply.ts"
import { startTimer } from "../../../lib/system/clock.ts"
import { applyContext, planOf, recordingLog } from "../../support/cleanup-plan.ts"
import { withDatabase, withRole } from "../../support/postgres.ts"
import { until } from "../../support/processes.ts"
import { withReplica } from "../../support/replica.ts"

const calm: Pressure = { walBytes: 0, sinceCheckpointBytes: 0, maxWalSizeBytes: 1e9, replicas: [], hiddenReplicas: 0 }
const applicationName = "nightshift/cleanup"
const signal = new AbortController().signal
const impatient: Partial<Pace> = { restShare: 0, firstWaitMs: 20, longestWaitMs: 50 }

const waitingSessions = async (client: pg.Client) => {
  const { rows } = await client.query(
    "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()",
  )
  return rows.length
}

describe("a server under pressure", () => {
  it("is one whose replica is far behind, in bytes, or in time while it has something to replay", () => {
    const judge = (lagBytes: number, lagMs?: number) =>
      judgePressure({ ...calm, replicas: [{ name: "reports", lagBytes, lagMs }] }, pressureLimits)
    expect(judge(64_000_000)).toEqual([])
    expect(judge(65_000_000, 20_000)).toEqual(["replica reports is 65.0 MB behind"])
    expect(judge(1, 12_000)).toEqual(["replica reports is 12.0 s behind"])
    expect(judge(0, 12_000)).toEqual([])
  })

  it("is one whose checkpoints do not keep up", () => {
    const judge = (sinceCheckpointBytes: number | undefined) =>
      judgePressure({ ...calm, sinceCheckpointBytes }, pressureLimits)
    expect(judge(1.2e9)).toEqual([])
    expect(judge(undefined)).toEqual([])
    expect(judge(1.3e9)).toEqual(["1.3 GB of write-ahead log since the last checkpoint, with a max_wal_size of 1.0 GB"])
  })
})

it("tells a role without any right all but the lag of replicas", async () => {
  await withDatabase("create table notes (id int)", async (database) =>
    withRole(database, "pw", async (role) => {
      const address = parsePostgresUrl(database.urlAs(role, "pw"), "DATABASE_URL")
      await withClient(address, { applicationName }, async (client) => {
        const before = await readPressure(client)
        expect(before.maxWalSizeBytes).toBeGreaterThan(1e6)
        expect(before.sinceCheckpointBytes).toBeGreaterThanOrEqual(0)
        await database.query("insert into notes select generate_series(1, 1000)")
        expect((await readPressure(client)).walBytes).toBeGreaterThan(before.walBytes + 50_000)
      })
    }),
  )
})

it("counts the sessions that wait for this one, and no others", async () => {
  await withDatabase(
    "create table notes (id int primary key, text text); insert into notes values (1), (2)",
    (database) =>
      withClient(database.address, { applicationName }, (client) =>
        withClient(database.address, { applicationName: "first" }, (first) =>
          withClient(database.address, { applicationName: "second" }, async (second) => {
            await client.query("begin; update notes set text = 'ours' where id = 1")
            expect(await countBlocked(client)).toBe(0)
            await first.query("begin; update notes set text = 'theirs' where id = 2")
            const blockedByThem = second.query("update notes set text = 'x' where id = 2")
            await until("the second waits", async () => (await waitingSessions(client)) === 1)
            expect(await countBlocked(client)).toBe(0)
            const blockedByUs = first.query("update notes set text = 'y' where id = 1")
            await until("the first waits", async () => (await waitingSessions(client)) === 2)
            expect(await countBlocked(client)).toBe(1)
            await client.query("rollback")
            await blockedByUs
            await first.query("commit")
            await blockedByThem
          }),
        ),
      ),
  )
})

describe("pacing", () => {
  it("rests a share of the time that the work took, and as long as that when sessions waited", async () => {
    await withDatabase("", (database) =>
      withClient(database.address, { applicationName }, async (client) => {
        const pace = { ...usualPace, restShare: 0.2 }
        const pressure = await watchPressure(client, { pace, log: recordingLog(), signal })
        const restOf = async (waiting: number) => {
          const elapsed = startTimer()
          expect(await pressure.settle({ tookMs: 400, waiting })).toBeUndefined()
          return elapsed()
        }
        expect(await restOf(0)).toBeGreaterThanOrEqual(79)
        expect(await restOf(2)).toBeGreaterThanOrEqual(399)
        expect(pressure.waitedMs()).toBe(0)
      }),
    )
  })

  it("holds the growth of the write-ahead log to its rate", async () => {
    await withDatabase("create table notes (text text)", (database) =>
      withClient(database.address, { applicationName }, async (client) => {
        const pace = { ...usualPace, restShare: 0, walBytesPerSecond: 2_000_000 }
        const pressure = await watchPressure(client, { pace, log: recordingLog(), signal })
        const elapsed = startTimer()
        await client.query("insert into notes select repeat('x', 1000) from generate_series(1, 2000)")
        await pressure.settle({ tookMs: elapsed(), waiting: 0 })
        expect(elapsed()).toBeGreaterThan(900)
        expect(pressure.waitedMs()).toBeGreaterThan(500)
      }),
    )
  })

  it("gives up when its waits are used up, and says why", async () => {
    await withDatabase("", (database) =>
      withClient(database.address, { applicationName }, async (client) => {
        const pace = { ...usualPace, ...impatient, totalWaitMs: 100, limits: { ...pressureLimits, walShare: -1 } }
        const log = recordingLog()
        const pressure = await watchPressure(client, { pace, log, signal })
        const why = await pressure.settle({ tookMs: 0, waiting: 0 })
        expect(why).toMatch(
          /^.* of write-ahead log since the last checkpoint, with a max_wal_size of .*; waited 1\d\d ms in all$/,
        )
        expect(log.lines[0]).toMatch(/^pausing for 20 ms: /)
        expect(log.lines[1]).toMatch(/^pausing for 40 ms: /)
      }),
    )
  })
})

describe("a replica that is behind", () => {
  const sql = `create table events (id int primary key, text text);
    insert into events select n, repeat('x', 200) from generate_series(1, 4000) n`
  const rule = { table: "events", where: "t.id <= 3000" }
  const limits = { ...pressureLimits, replicaLagBytes: 20_000 }

  it("pauses the work until it caught up, and the work then goes on to its end", async () => {
    await withReplica(async ({ primary, replica, query, pause, resume, untilEven }) => {
      await query(primary, sql)
      await untilEven()
      await pause()
      const log = recordingLog()
      const applying = withClient(primary, { applicationName }, async (client) =>
        applyRows(await planOf(client, rule), applyContext(client, { log, pace: { ...impatient, limits } })),
      )
      await until("it pauses", () => log.lines.filter((line) => line.startsWith("pausing")).length > 2)
      const [during] = await query(primary, "select count(*)::int as left from events where id <= 3000")
      expect(during?.left).toBe(2500)
      expect(log.lines[0]).toMatch(/^pausing for 20 ms: replica replica_of_test is .* behind$/)
      await resume()
      const applied = await applying
      expect(applied).toMatchObject({ removed: 3000, left: 0 })
      expect(applied.failure ?? applied.stopped).toBeUndefined()
      expect(applied.waitedMs).toBeGreaterThan(60)
      await untilEven()
      expect(await query(replica, "select count(*)::int as rows from events")).toEqual([{ rows: 1000 }])
    })
  })

  it("ends the work for today when it does not catch up; a role that may not see it is told so", async () => {
    await withReplica(async ({ primary, query, pause, untilEven }) => {
      await query(primary, `${sql}; create role plain login; grant all on events to plain`)
      await untilEven()
      await pause()
      const apply = (as: typeof primary, totalWaitMs: number) =>
        withClient(as, { applicationName }, async (client) =>
          applyRows(
            await planOf(client, rule),
            applyContext(client, { limit: 1000, pace: { ...impatient, limits, totalWaitMs } }),
          ),
        )
      const stopped = await apply(primary, 200)
      expect(stopped).toMatchObject({ removed: 500, left: 2500, batches: 1 })
      expect(stopped.stopped).toMatch(/^replica replica_of_test is .* behind; waited \d+ ms in all$/)
      const unseeing = await apply({ ...primary, user: "plain" }, 200)
      expect(unseeing).toMatchObject({ removed: 1000, left: 1500 })
      expect(unseeing.notes).toContain("replica lag not visible to this role: grant pg_monitor to it")
    })
  })
})
