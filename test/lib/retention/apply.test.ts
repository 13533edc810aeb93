import fc from "fast-check"
import type pg from "pg"
import { describe, expect, it } from "vitest"
import { withClient } from "../../../lib/postgres/connect.ts"
import { ensureOpsTables } from "../../../lib/postgres/ops-schema.ts"
import { type ApplyRowsContext, applyRows } from "../../../lib/retention/apply.ts"
import { describeProgress } from "../../../lib/retention/progress.ts"
import { applyContext, planOf, type RowsOf, recordingLog } from "../../support/cleanup-plan.ts"
import { type TestDatabase, withDatabase } from "../../support/postgres.ts"
import { until } from "../../support/processes.ts"

/** 3,000 rows, of which the first third is old; each has an amount, so that what is left can be added up. */
const events = `
  create table events (id bigint primary key, created_at timestamptz not null, amount int not null, note text);
  insert into events select n, '2026-01-01'::timestamptz + n * interval '1 minute', n % 97, 'note ' || n from generate_series(1, 3000) n;
  create index on events (created_at, id)`
const old: RowsOf = {
  table: "events",
  where: "t.created_at <= $1::timestamptz",
  values: ["2026-01-01T16:40:00Z"], // the 1,000th minute
  order: ["created_at", "id"],
}
const quick = { limits: { lockTimeoutMs: 150, patientLockTimeoutMs: 200, retryWaitMs: 20 }, pace: { restShare: 0 } }

async function session<T>(database: TestDatabase, fn: (client: pg.Client) => Promise<T>): Promise<T> {
  return withClient(database.address, { applicationName: "nightshift/cleanup", statementTimeoutMs: 0 }, fn)
}

async function other<T>(database: TestDatabase, fn: (client: pg.Client) => Promise<T>): Promise<T> {
  return withClient(database.address, { applicationName: "the app" }, fn)
}

async function apply(database: TestDatabase, rows: RowsOf, more: Partial<ApplyRowsContext> = {}) {
  return session(database, async (client) =>
    applyRows(await planOf(client, rows), applyContext(client, { ...quick, ...more })),
  )
}

const sums = (database: TestDatabase) =>
  database.query(
    "select count(*)::int as rows, sum(amount)::int as amount, min(id)::int as first, max(id)::int as last from events",
  )
const count = async (database: TestDatabase, table = "events") =>
  Number((await database.query(`select count(*) from ${table}`))[0]?.count)

describe("deleting", () => {
  it("takes all rows of the rule, no other, and nothing the second time", async () => {
    await withDatabase(events, async (database) => {
      const [kept] = await database.query("select sum(amount)::int as amount from events where id > 1000")
      const applied = await apply(database, old)
      expect(applied).toMatchObject({ removed: 1000, left: 0, heldBack: 0, retries: 0 })
      expect(applied.failure ?? applied.stopped).toBeUndefined()
      expect(await sums(database)).toEqual([{ rows: 2000, amount: kept?.amount, first: 1001, last: 3000 }])
      expect(await apply(database, old)).toMatchObject({ removed: 0, batches: 0, left: 0 })
      expect(await count(database)).toBe(2000)
    })
  })

  it("goes in whole batches up to its limit, oldest first, and the next run goes on", async () => {
    await withDatabase(events, async (database) => {
      const first = await apply(database, old, { limit: 700 })
      expect(first).toMatchObject({ removed: 700, left: 300, batches: 2 })
      expect(first.stopped).toBe("its limit of 700 rows is reached")
      expect(await sums(database)).toMatchObject([{ first: 701, rows: 2300 }])
      expect(await apply(database, old)).toMatchObject({ removed: 300, left: 0 })
    })
  })

  it("finds rows by a list where no index gives their order, with and without a primary key", async () => {
    await withDatabase(events, async (database) => {
      await database.query("create table bare as select * from events")
      const listed = { where: "t.amount = 5", walk: "listed" } as const
      const wanted = (await database.query("select from events where amount = 5")).length
      expect(await apply(database, { table: "events", ...listed })).toMatchObject({ removed: wanted, left: 0 })
      expect(await apply(database, { table: "bare", ...listed, order: [] })).toMatchObject({ removed: wanted, left: 0 })
      expect(await database.query("select from bare where amount = 5")).toEqual([])
      expect(await count(database, "bare")).toBe(3000 - wanted)
    })
  })

  it("frees rows that refer to each other, pass by pass", async () => {
    const tree = `create table nodes (id int primary key, parent int references nodes);
      insert into nodes select n, nullif(n - 1, 0) from generate_series(1, 30) n; create index on nodes (parent)`
    await withDatabase(tree, async (database) => {
      const leaves = { table: "nodes", where: "not exists (select from nodes c where c.parent = t.id)" }
      expect(await apply(database, leaves)).toMatchObject({ removed: 30, left: 0 })
    })
  })

  it("takes rows of leaf partitions and of heirs, each from its own storage", async () => {
    const partitioned = `
      create table logs (id bigint, at timestamptz not null, primary key (id, at)) partition by range (at);
      create table logs_old partition of logs for values from ('2026-01-01') to ('2026-02-01') partition by range (at);
      create table logs_old_1 partition of logs_old for values from ('2026-01-01') to ('2026-01-11');
      create table logs_old_2 partition of logs_old default;
      create table logs_new partition of logs default;
      insert into logs select n, '2026-01-01'::timestamptz + n * interval '1 hour' from generate_series(0, 1199) n`
    await withDatabase(partitioned, async (database) => {
      const rule = { table: "logs", where: "t.at < '2026-01-21'", order: ["at", "id"] }
      expect(await apply(database, rule)).toMatchObject({ removed: 480, left: 0 })
      expect(await database.query("select count(*)::int as rows, min(id)::int as first from logs")).toEqual([
        { rows: 720, first: 480 },
      ])
    })
  })

  it("goes over names and types that need quoting", async () => {
    const hostile = `create type "My Type" as enum ('a', 'b');
      create table "we""ird; drop table x --" ("a b" "My Type", "select" numeric(8,2), primary key ("a b", "select"));
      insert into "we""ird; drop table x --" select 'a', n from generate_series(1, 1200) n`
    await withDatabase(hostile, async (database) => {
      const rule = { table: 'we"ird; drop table x --', where: `t."select" <= 1100` }
      expect(await apply(database, rule)).toMatchObject({ removed: 1100, left: 0 })
    })
  })
})

describe("setting columns", () => {
  it("writes values and expressions, once, and leaves all other columns and rows", async () => {
    await withDatabase(events, async (database) => {
      const where = `${old.where} and (t.note is distinct from null or t.amount is distinct from t.id % 7)`
      const rule = { ...old, where, set: { note: null, amount: { sql: "t.id % 7" } } }
      expect(await apply(database, rule)).toMatchObject({ removed: 1000, left: 0 })
      expect(
        await database.query("select from events where note is null and amount = id % 7 and id <= 1000"),
      ).toHaveLength(1000)
      expect(
        await database.query("select from events where note = 'note ' || id and amount = id % 97 and id > 1000"),
      ).toHaveLength(2000)
      expect(await apply(database, rule)).toMatchObject({ removed: 0, left: 0 })
    })
  })

  it("refuses to set the same rows for ever, and has changed nothing", async () => {
    await withDatabase(events, async (database) => {
      const applied = await apply(database, { ...old, set: { note: "gone" } })
      expect(applied.failure).toMatch(/^500 rows of public.events would still match after they are set/)
      expect(applied).toMatchObject({ removed: 0, left: 1000 })
      expect(await database.query("select from events where note = 'gone'")).toEqual([])
    })
  })
})

describe("what stands in the way", () => {
  it("a row that is locked is left at first, then waited for, then named with who has it", async () => {
    await withDatabase(events, async (database) => {
      await other(database, async (app) => {
        await app.query("begin; select from events where id in (5, 600) for update")
        const applied = await apply(database, old)
        expect(applied).toMatchObject({ removed: 998, left: 2 })
        expect(applied.failure).toBeUndefined()
        expect(applied.stopped).toMatch(/^rows are locked by the app \(pid \d+\)$/)
        await app.query("rollback")
      })
      expect(await apply(database, old)).toMatchObject({ removed: 2, left: 0 })
    })
  })

  it("a row that becomes free while it is waited for is taken, unless it no longer matches", async () => {
    await withDatabase(events, async (database) => {
      await other(database, async (app) => {
        await app.query("begin; select from events where id in (5, 600) for update")
        await app.query("update events set created_at = '2026-06-01' where id = 600")
        const applying = apply(database, old, { limits: { ...quick.limits, patientLockTimeoutMs: 20_000 } })
        await until("it waits for the row", async () => {
          const waiting = await database.query(
            "select from pg_stat_activity where application_name = 'nightshift/cleanup' and wait_event_type = 'Lock' and datname = current_database()",
          )
          return waiting.length > 0
        })
        await app.query("commit")
        expect(await applying).toMatchObject({ removed: 999, left: 0 })
      })
      expect(await database.query("select from events where id = 600")).toHaveLength(1)
    })
  })

  it("a lock on the whole table fails the rule after some attempts and says who has it", async () => {
    await withDatabase(events, async (database) => {
      await other(database, async (app) => {
        const applied = await session(database, async (client) => {
          const plan = await planOf(client, old)
          await app.query("begin; lock table events in share row exclusive mode")
          return applyRows(plan, applyContext(client, quick))
        })
        expect(applied.failure).toMatch(
          /^public.events is locked by the app \(pid \d+\): canceling statement due to lock timeout$/,
        )
        expect(applied).toMatchObject({ removed: 0, left: 1000, retries: 5 })
      })
    })
  })

  it("a deadlock is tried again with fewer rows", async () => {
    const children = `${events}; create table children (id int primary key, event bigint references events on delete cascade);
      insert into children select n, n from generate_series(1, 1000) n; create index on children (event)`
    await withDatabase(children, async (database) => {
      await database.query(`alter database ${database.name} set deadlock_timeout = '50ms'`)
      await other(database, async (app) => {
        await app.query("set deadlock_timeout = '60s'") // so that the other side is the one that notices
        await app.query("begin; update children set id = id where event = 400")
        const applying = apply(database, old, { limits: { ...quick.limits, lockTimeoutMs: 20_000 } })
        await until("it waits for the child", async () => {
          const waiting = await database.query(
            "select from pg_locks join pg_stat_activity using (pid) where not granted and locktype = 'transactionid' and datname = current_database()",
          )
          return waiting.length > 0
        })
        const mine = app.query("select from events where id = 5 for update").then(
          () => app.query("commit"),
          () => app.query("rollback"),
        )
        const applied = await applying
        await mine
        expect(applied).toMatchObject({ removed: 1000, left: 0 })
        expect(applied.retries).toBeGreaterThan(0)
      })
      expect(await count(database, "children")).toBe(0)
    })
  })

  it("a trigger that keeps rows is a failure, not an endless run", async () => {
    await withDatabase(events, async (database) => {
      await database.query(`create function keep() returns trigger language plpgsql as $$ begin return null; end $$;
        create trigger keep before delete on events for each row when (old.id % 100 = 0) execute function keep()`)
      const applied = await apply(database, old)
      expect(applied.failure).toBe(
        "10 rows of public.events cannot be changed: a trigger or a rule of the table keeps them as they are",
      )
      expect(applied).toMatchObject({ removed: 990, left: 10 })
    })
  })

  it("a table that is dropped, or replaced by another of its name, half-way", async () => {
    for (const change of [
      "drop table events",
      "alter table events rename to events_2; create table events (like events_2 including all)",
    ]) {
      await withDatabase(events, async (database) => {
        const applied = await session(database, async (client) => {
          const plan = await planOf(client, old)
          await database.query(change)
          return applyRows(plan, applyContext(client, quick))
        })
        expect(applied.failure).toMatch(/^table public.events (is gone|was replaced) since this run was planned/)
        expect(applied.removed).toBe(0)
      })
    }
  })

  it("a cancelled run says how far it came", async () => {
    await withDatabase(events, async (database) => {
      const cancel = new AbortController()
      const log = recordingLog()
      const pace = { restShare: 1, firstWaitMs: 10_000, limits: { replicaLagMs: 1, replicaLagBytes: 1, walShare: 0 } }
      const applying = apply(database, old, { signal: cancel.signal, pace, log })
      await until("it pauses", () => log.lines.length > 0)
      cancel.abort(new Error("the run was cancelled"))
      const applied = await applying
      expect(applied).toMatchObject({ removed: 500, batches: 1, failure: "the run was cancelled" })
      expect(await count(database)).toBe(2500)
    })
  })
})

describe("legal holds", () => {
  const held =
    "exists (select from ops.legal_hold h where h.released_at is null and (h.row_key ->> 'id')::bigint = t.id)"
  const rule = { ...old, where: `${old.where} and not ${held}`, withoutHolds: `(${old.where})`, hasHolds: true }
  const hold = `insert into ops.legal_hold (table_name, row_key, reason) values ('events', '{"id": 900}', 'a case')`

  it("that come half-way are honoured from the next batch on", async () => {
    await withDatabase(events, async (database) => {
      await session(database, (client) => ensureOpsTables(client, ["legal_hold"]))
      const log = recordingLog()
      const pace = {
        restShare: 0,
        firstWaitMs: 200,
        longestWaitMs: 200,
        limits: { replicaLagMs: 1, replicaLagBytes: 1, walShare: 0 },
        totalWaitMs: 1,
      }
      const first = await apply(database, rule, { log, pace })
      expect(first).toMatchObject({ removed: 500, left: 500 })
      expect(first.stopped).toMatch(/of write-ahead log since the last checkpoint/)
      await database.query(hold)
      expect(await apply(database, rule)).toMatchObject({ removed: 499, left: 0, heldBack: 1 })
      expect(await database.query("select id::int from events where id <= 1000")).toEqual([{ id: 900 }])
    })
  })

  it("that are being placed are waited for", async () => {
    await withDatabase(events, async (database) => {
      await session(database, (client) => ensureOpsTables(client, ["legal_hold"]))
      await other(database, async (clerk) => {
        await clerk.query("begin")
        await clerk.query(hold)
        const applying = apply(database, rule, { limits: { ...quick.limits, lockTimeoutMs: 20_000 } })
        await until("it waits for the hold", async () => {
          const waiting = await database.query(
            "select from pg_locks where not granted and mode = 'ShareLock' and relation = 'ops.legal_hold'::regclass",
          )
          return waiting.length > 0
        })
        await clerk.query("commit")
        expect(await applying).toMatchObject({ removed: 999, left: 0, heldBack: 1 })
      })
    })
  })

  it("for which there was no table when the run was planned end it", async () => {
    await withDatabase(events, async (database) => {
      const applied = await session(database, async (client) => {
        const plan = await planOf(client, old)
        await ensureOpsTables(client, ["legal_hold"])
        return applyRows(plan, applyContext(client, quick))
      })
      expect(applied.failure).toBe(
        "ops.legal_hold was made or removed since this run was planned: the next run plans anew",
      )
      expect(await count(database)).toBe(3000)
    })
  })
})

it("leaves every row outside of the rule alone while others write, and none inside, whatever they do", async () => {
  await withDatabase(events, async (database) => {
    let isOver = false
    const writing = Promise.all(
      [1, 2, 3].map((writer) =>
        other(database, async (app) => {
          let added = 0
          for (let n = 0; !isOver; n++) {
            // Old rows become young and young ones change: none of them is ever lost.
            await app.query("update events set created_at = '2026-06-01' where id = $1", [(n * 37 * writer) % 3000])
            await app.query("update events set note = 'seen' where id = $1", [1001 + ((n * 13) % 1999)])
            await app.query("insert into events values ($1, '2026-06-01', 1, 'new')", [10_000 * writer + n])
            added++
          }
          return added
        }),
      ),
    )
    const applied = await apply(database, old, { pace: { restShare: 0.2 } })
    isOver = true
    const added = (await writing).reduce((sum, one) => sum + one, 0)
    expect(applied).toMatchObject({ left: 0 })
    expect(applied.failure ?? applied.stopped).toBeUndefined()
    expect(await count(database)).toBe(3000 + added - applied.removed)
    expect(await database.query("select from events where created_at <= '2026-01-01T16:40:00Z'")).toEqual([])
    expect(await database.query("select from events where id between 1001 and 3000")).toHaveLength(2000)
  })
})

it("takes exactly the rows of a rule, whatever the data, the order and the limit", async () => {
  await withDatabase(
    "create table points (id int primary key, at int not null); create index on points (at, id)",
    (database) =>
      session(database, async (client) => {
        const rows = fc.uniqueArray(fc.record({ id: fc.nat(5000), at: fc.nat(20) }), {
          selector: ({ id }) => id,
          maxLength: 80,
        })
        const run = async (
          points: { id: number; at: number }[],
          most: number,
          limit: number,
          walk: "ordered" | "listed",
        ) => {
          await client.query("truncate points")
          await client.query("insert into points select * from unnest($1::int[], $2::int[])", [
            points.map(({ id }) => id),
            points.map(({ at }) => at),
          ])
          const plan = await planOf(client, {
            table: "points",
            where: "t.at <= $1::int",
            values: [most],
            order: ["at", "id"],
            walk,
          })
          const applied = await applyRows(plan, applyContext(client, { ...quick, limit }))
          const inside = points.filter(({ at }) => at <= most)
          expect(applied.removed).toBe(Math.min(limit, inside.length))
          expect(applied.left).toBe(inside.length - applied.removed)
          const order = inside.toSorted((a, b) => a.at - b.at || a.id - b.id).slice(applied.removed)
          const kept = [...points.filter(({ at }) => at > most), ...order].map(({ id }) => id).toSorted((a, b) => a - b)
          expect((await client.query("select id from points order by id")).rows.map(({ id }) => id)).toEqual(kept)
        }
        const walk = fc.constantFrom("ordered" as const, "listed" as const)
        await fc.assert(fc.asyncProperty(rows, fc.nat(20), fc.integer({ min: 1, max: 90 }), walk, run), { numRuns: 40 })
      }),
  )
})

it("says how far it is, how fast, and how long it will take", () => {
  expect(describeProgress(1_200_000, 5_000_000, 35_300)).toBe(
    "1,200,000 of 5,000,000 rows, 33,994 rows/s, 1 min 52 s left",
  )
  expect(describeProgress(0, 10, 0)).toBe("0 of 10 rows, 0 rows/s")
})
