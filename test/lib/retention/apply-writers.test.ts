import { describe, expect, it } from "vitest"
import { withClient } from "../../../lib/postgres/connect.ts"
import { ensureOpsTables } from "../../../lib/postgres/ops-schema.ts"
import { applyRows } from "../../../lib/retention/apply.ts"
import type { Applied } from "../../../lib/retention/contract.ts"
import { removePartitions } from "../../../lib/retention/remove-partitions.ts"
import { applyContext } from "../../support/cleanup-plan.ts"
import { planOf, slot } from "../../support/planned-rule.ts"
import { type TestDatabase, withDatabase } from "../../support/postgres.ts"
import { until } from "../../support/processes.ts"

type Query = (sql: string, values?: unknown[]) => Promise<{ rowCount: number | null; rows: Record<string, unknown>[] }>
/** What a session of the app does again and again. */
type Turn = (query: Query, n: number) => Promise<unknown>

/** Runs `work` while sessions of the app take their turns, which begin before it and go on until its end. */
async function besideWriters<T>(database: TestDatabase, turns: Turn[], work: () => Promise<T>): Promise<T> {
  let isOver = false
  const taken = turns.map(() => 0)
  const writing = Promise.all(
    turns.map((turn, at) =>
      withClient(database.address, { applicationName: `the app ${at}` }, async (client) => {
        for (let n = 0; !isOver; n++) {
          await turn((sql, values) => client.query(sql, values), n)
          taken[at] = n + 1
        }
      }),
    ),
  )
  try {
    await Promise.race([writing, until("all of them write", () => taken.every((count) => count > 2))])
    const before = taken.reduce((sum, count) => sum + count)
    const result = await Promise.race([work(), writing.then(() => Promise.reject(new Error("the writers ended")))])
    expect(taken.reduce((sum, count) => sum + count)).toBeGreaterThan(before)
    return result
  } finally {
    isOver = true
    await writing
  }
}

/** Plans and applies a rule as the job does, with the table of legal holds in place. */
async function clean(database: TestDatabase, rule: Parameters<typeof planOf>[1]): Promise<Applied> {
  return withClient(
    database.address,
    { applicationName: "nightshift/cleanup", statementTimeoutMs: 0 },
    async (client) => {
      await ensureOpsTables(client, ["legal_hold"])
      const plan = await planOf(database, rule)
      expect(plan.refusals).toEqual([])
      expect(plan.selection.hasHolds).toBe(true)
      const context = applyContext(client, { slot, pace: { restShare: 0.5 } })
      const applied = await (plan.partitions ? removePartitions(plan, context) : applyRows(plan, context))
      expect(applied.failure ?? applied.stopped).toBeUndefined()
      return applied
    },
  )
}

const one = async (database: TestDatabase, sql: string) => (await database.query(sql))[0]
const young = "'2026-06-14T00:00:00Z'"

/** 6,000 people, of whom the first 4,000 were last seen long ago; what they own is moved about and never grows or shrinks. */
const people = `
  create table people (id int primary key, seen_at timestamptz not null, state text not null default 'open', email text, owns int not null default 100, visits int not null default 0);
  insert into people (id, seen_at, email) select n, case when n <= 4000 then '2026-01-01'::timestamptz + n * interval '1 minute' else ${young} end, 'p' || n from generate_series(1, 6000) n;
  create index on people (seen_at, id)`

describe("beside people who write", () => {
  it.each([
    { action: "set", set: { state: "closed" }, isDone: "state = 'closed' and email = 'p' || id" },
    { action: "anonymise", set: { email: null, state: "gone" }, isDone: "state = 'gone' and email is null" },
  ])("$action writes all rows of the rule, its own columns and nobody else's", async ({ isDone, ...rule }) => {
    await withDatabase(people, async (database) => {
      const isUntouched = "state = 'open' and email = 'p' || id"
      const back = new Set<number>()
      let [visits, added] = [0, 0]
      const turns: Turn[] = [
        async (query, n) => {
          await query("update people set visits = visits + 1 where id = any($1)", [[1 + ((n * 37) % 6000)]])
          visits++
        },
        async (query, n) => {
          const id = 1 + ((n * 101) % 4000)
          const { rowCount } = await query(
            `update people set seen_at = ${young} where id = $1 and state = 'open' and seen_at < '2026-05-01'`,
            [id],
          )
          if (rowCount === 1) back.add(id)
        },
        async (query, n) => {
          const [from, to] = [1 + ((n * 53) % 5000), 1 + ((n * 53) % 5000) + 997]
          await query("begin")
          await query("update people set owns = owns - 1 where id = $1", [from])
          await query("update people set owns = owns + 1 where id = $1", [to])
          await query("commit")
        },
        async (query, n) => {
          await query(`insert into people (id, seen_at, email, owns) values ($1, ${young}, 'p' || $1::int, 0)`, [
            10_000 + n,
          ])
          added++
        },
      ]
      const applied = await besideWriters(database, turns, () =>
        clean(database, { table: "people", column: "seen_at", olderThan: "30 days", ...rule }),
      )
      expect(applied).toMatchObject({ left: 0, heldBack: 0 })
      expect(back.size).toBeGreaterThan(0)
      expect(
        await one(
          database,
          `select count(*)::int as people, sum(owns)::int as owns, sum(visits)::int as visits,
                  (count(*) filter (where ${isDone}))::int as done, (count(*) filter (where ${isUntouched}))::int as untouched,
                  (count(*) filter (where seen_at < '2026-05-01' and not (${isDone})))::int as missed
             from people`,
        ),
      ).toEqual({
        people: 6000 + added,
        owns: 600_000,
        visits,
        done: applied.removed,
        untouched: 6000 + added - applied.removed,
        missed: 0,
      })
      expect(
        await database.query(`select from people where id = any($1) and ${isUntouched}`, [[...back]]),
      ).toHaveLength(back.size)
      expect(await database.query(`select from people where id > 4000 and not (${isUntouched})`)).toEqual([])
    })
  })

  it.each(["drop", "detach"])("%s takes old partitions, and no row that was moved out of them", async (action) => {
    const months = Array.from({ length: 6 }, (_, month) => `2026-0${month + 1}-01`)
    const logs = `create table logs (id int, at timestamptz not null, amount int not null, primary key (id, at)) partition by range (at);
      ${months.map((from, n) => `create table logs_${n + 1} partition of logs for values from ('${from}') to ('2026-0${n + 2}-01');`).join("\n")}
      insert into logs select n, '2026-01-01'::timestamptz + n * interval '1 hour', 10 from generate_series(0, 3900) n`
    await withDatabase(logs, async (database) => {
      const youngSums = "select sum(amount)::int as amount from logs where at >= '2026-05-01' and id <= 3900"
      const before = await one(database, youngSums)
      const moved = new Set<number>()
      let added = 0
      const turns: Turn[] = [
        async (query, n) => {
          const id = (n * 37) % 2800
          const { rowCount } = await query(
            `update logs set at = ${young}, amount = 0 where id = $1 and at < '2026-05-01'`,
            [id],
          )
          if (rowCount === 1) moved.add(id)
        },
        async (query, n) => {
          const id = 2950 + ((n * 13) % 900)
          await query("begin")
          await query("update logs set amount = amount - 1 where id = $1 and at >= '2026-05-01'", [id])
          await query("update logs set amount = amount + 1 where id = $1 and at >= '2026-05-01'", [id + 1])
          await query("commit")
        },
        async (query, n) => {
          await query(`insert into logs values ($1, ${young}, 1)`, [10_000 + n])
          added++
        },
        (query) => query("select count(*), sum(amount) from logs"),
      ]
      const applied = await besideWriters(database, turns, () =>
        clean(database, { table: "logs", column: "at", olderThan: "40 days", action }),
      )
      expect(applied).toMatchObject({ batches: 4, left: 0 })
      expect(moved.size).toBeGreaterThan(0)
      expect(await one(database, youngSums)).toEqual(before)
      expect(await database.query("select from logs where at < '2026-05-01'")).toEqual([])
      expect(await database.query("select from logs where id >= 10000")).toHaveLength(added)
      expect(await database.query("select from logs where id = any($1)", [[...moved]])).toHaveLength(moved.size)
      expect(await database.query("select from logs where id between 2880 and 3900")).toHaveLength(1021)
      if (action === "drop") {
        expect(await one(database, "select to_regclass('logs_1') as gone")).toEqual({ gone: null })
        return
      }
      const all = `select id from logs union all ${[1, 2, 3, 4].map((n) => `select id from logs_${n}`).join(" union all ")}`
      expect(
        await one(
          database,
          `select count(*)::int as rows, count(distinct id)::int as ids from (${all}) a where id < 10000`,
        ),
      ).toEqual({ rows: 3901, ids: 3901 })
    })
  })

  it("orphans go, and children stay whose parent came back before their turn", async () => {
    const families = `create table parents (id int primary key);
      create table children (id int primary key, parent_id int not null, amount int not null default 10, seen int not null default 0);
      create index on children (parent_id);
      insert into parents select n from generate_series(1, 1000) n;
      insert into children select n, 1 + n % 2000 from generate_series(0, 7999) n`
    await withDatabase(families, async (database) => {
      const saved = new Set<unknown>()
      let [seen, added] = [0, 0]
      const turns: Turn[] = [
        async (query, n) => {
          // Who brings a parent back looks which children it has, and keeps others from changing that meanwhile.
          const parent = 1001 + ((n * 37) % 1000)
          await query("begin")
          const { rows } = await query("select id from children where parent_id = $1 order by id for update", [parent])
          await query("insert into parents values ($1) on conflict do nothing", [parent])
          await query("commit")
          for (const { id } of rows) saved.add(id)
        },
        async (query, n) => {
          const { rowCount } = await query("update children set seen = seen + 1 where id = $1 and parent_id <= 1000", [
            (n * 37) % 8000,
          ])
          seen += rowCount ?? 0
        },
        async (query, n) => {
          await query("begin")
          await query("insert into parents values ($1)", [10_000 + n])
          await query("insert into children values ($1, $2, 0)", [10_000 + n, 10_000 + n])
          await query("commit")
          added++
        },
        async (query, n) => {
          const first = 2000 * (n % 3) + (n % 900)
          await query("begin")
          await query("update children set amount = amount - 1 where id = $1", [first])
          await query("update children set amount = amount + 1 where id = $1", [first + 2000])
          await query("commit")
        },
      ]
      const orphans = { column: "parent_id", of: "parents" }
      const applied = await besideWriters(database, turns, () =>
        clean(database, { table: "children", orphans, action: "delete" }),
      )
      expect(applied.left).toBe(0)
      expect(saved.size).toBeGreaterThan(0)
      expect(
        await database.query(
          "select from children c where not exists (select from parents p where p.id = c.parent_id)",
        ),
      ).toEqual([])
      expect(await database.query("select from children where id = any($1)", [[...saved]])).toHaveLength(saved.size)
      expect(
        await one(
          database,
          "select count(*)::int as rows, sum(amount)::int as amount, sum(seen)::int as seen from children where parent_id <= 1000 or id >= 10000",
        ),
      ).toEqual({ rows: 4000 + added, amount: 40_000, seen })
      expect(await one(database, "select count(*)::int as rows from children")).toEqual({
        rows: 8000 + added - applied.removed,
      })
    })
  })

  it("stuck jobs are queued again, and none whose worker has given a sign or finished", async () => {
    const jobs = `create table jobs (id int primary key, status text not null, started_at timestamptz, worker text, tries int not null default 0);
      insert into jobs select n, case when n <= 4000 then 'running' else 'queued' end, case when n <= 4000 then '2026-06-15T01:00:00Z'::timestamptz end, 'old' from generate_series(1, 5000) n;
      create index on jobs (status, started_at); create index on jobs (started_at)`
    await withDatabase(jobs, async (database) => {
      const alive = new Set<unknown>()
      const finished = new Set<unknown>()
      let tries = 0
      const turns: Turn[] = [
        async (query, n) => {
          const { rows } = await query(
            "update jobs set started_at = '2026-06-15T03:59:00Z', worker = 'alive' where id = $1 and status = 'running' and worker = 'old' returning id",
            [1 + ((n * 37) % 4000)],
          )
          for (const { id } of rows) alive.add(id)
        },
        async (query, n) => {
          const { rows } = await query(
            "update jobs set status = 'done', worker = 'done' where id = $1 and status = 'running' and worker = 'old' returning id",
            [1 + ((n * 53) % 4000)],
          )
          for (const { id } of rows) finished.add(id)
        },
        async (query) => {
          const { rows } = await query(
            `update jobs set status = 'running', started_at = '2026-06-15T03:59:00Z', worker = 'new'
              where id = (select id from jobs where status = 'queued' order by id desc limit 1 for update skip locked) returning id`,
          )
          for (const { id } of rows) alive.add(id)
        },
        async (query, n) => {
          await query("update jobs set tries = tries + 1 where id = $1", [1 + ((n * 41) % 5000)])
          tries++
        },
      ]
      const stuck = { longerThan: "1 hour", where: "status = 'running'" }
      const applied = await besideWriters(database, turns, () =>
        clean(database, { table: "jobs", column: "started_at", stuck, action: "set", set: { status: "queued" } }),
      )
      expect(applied.left).toBe(0)
      expect(Math.min(alive.size, finished.size)).toBeGreaterThan(0)
      expect(
        await database.query("select id from jobs where status = 'running' and started_at < '2026-06-15T03:00:00Z'"),
      ).toEqual([])
      const kept = (ids: Set<unknown>, status: string) =>
        database.query("select from jobs where id = any($1) and status = $2 and worker <> 'old'", [[...ids], status])
      expect(await kept(alive, "running")).toHaveLength(alive.size)
      expect(await kept(finished, "done")).toHaveLength(finished.size)
      expect(await one(database, "select count(*)::int as jobs, sum(tries)::int as tries from jobs")).toEqual({
        jobs: 5000,
        tries,
      })
      // All that were running with their old worker, and neither gave a sign nor finished, are queued or with a new one.
      expect(applied.removed).toBe(
        4000 - finished.size - (await database.query("select from jobs where worker = 'alive'")).length,
      )
    })
  })
})
