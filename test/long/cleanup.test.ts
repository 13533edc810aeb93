import { spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { expect, it } from "vitest"
import { withClient } from "../../lib/postgres/connect.ts"
import { ensureOpsTables } from "../../lib/postgres/ops-schema.ts"
import { applyRows } from "../../lib/retention/apply.ts"
import { sleep } from "../../lib/system/clock.ts"
import { applyContext, planOf, type RowsOf } from "../support/cleanup-plan.ts"
import { type TestDatabase, withDatabase } from "../support/postgres.ts"
import { until } from "../support/processes.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))
const total = 400_000
const doomed = 150_000
const accounts = 200

/** Payments of accounts, with their parts: the first ones are old. What accounts have is moved between them and never grows or shrinks. */
const schema = `
  create table accounts (id int primary key, balance int not null);
  insert into accounts select n, 1000 from generate_series(1, ${accounts}) n;
  create table payments (id bigint primary key, account int not null references accounts, at timestamptz not null, amount int not null);
  insert into payments select n, 1 + n % ${accounts}, '2026-01-01'::timestamptz + n * interval '1 second', n % 89 from generate_series(1, ${total}) n;
  create index on payments (at, id); create index on payments (account);
  create table parts (id bigint primary key, payment bigint not null references payments on delete cascade);
  insert into parts select n, n from generate_series(1, ${total}, 2) n; create index on parts (payment);
  analyze`

const held = "t.id in (select (h.row_key ->> 'id')::bigint from ops.legal_hold h where h.released_at is null)"
const old = "t.at <= '2026-01-01'::timestamptz + interval '150000 seconds'"
const rule: RowsOf = {
  table: "payments",
  where: `${old} and not ${held}`,
  withoutHolds: `(${old})`,
  hasHolds: true,
  order: ["at", "id"],
}

type Writers = { stop(): Promise<{ added: number; rescued: number[] }> }

/** Three sessions that work on all tables at once, and one that places holds and moves old payments into the future. */
function startWriters(database: TestDatabase): Writers {
  let isOver = false
  let added = 0
  const rescued = new Set<number>()
  const session = (
    name: string,
    turn: (
      query: (sql: string, values?: unknown[]) => Promise<{ rowCount: number | null }>,
      n: number,
    ) => Promise<void>,
  ) =>
    withClient(database.address, { applicationName: name }, async (client) => {
      for (let n = 0; !isOver; n++) await turn((sql, values) => client.query(sql, values), n)
    })
  const buyers = [1, 2, 3].map((buyer) =>
    session(`buyer ${buyer}`, async (query, n) => {
      const [from, to] = [1 + ((n * 7) % accounts), 1 + ((n * 7 + 1) % accounts)]
      await query("begin")
      await query("update accounts set balance = balance - 1 where id = $1", [Math.min(from, to)])
      await query("update accounts set balance = balance + 1 where id = $1", [Math.max(from, to)])
      await query("insert into payments values ($1, $2, '2026-09-01', 1)", [buyer * 10_000_000 + n, from])
      await query("commit")
      added++
    }),
  )
  const clerk = session("clerk", async (query, n) => {
    const id = doomed - ((n * 997) % 50_000)
    const { rowCount } = await query("update payments set at = '2026-09-01' where id = $1", [id])
    if (rowCount === 1) rescued.add(id)
    await query(
      "insert into ops.legal_hold (table_name, row_key, reason) values ('payments', jsonb_build_object('id', $1::int), 'a case')",
      [doomed - ((n * 991) % 50_000)],
    )
    await sleep(20)
  })
  const done = Promise.all([...buyers, clerk])
  done.catch(() => undefined) // told by stop()
  return {
    async stop() {
      isOver = true
      await done
      return { added, rescued: [...rescued] }
    },
  }
}

it("deletes 150,000 rows with their children while others write, move rows and place holds, killed now and then", async () => {
  await withDatabase(schema, async (database) => {
    await withClient(database.address, { applicationName: "tests" }, (client) =>
      ensureOpsTables(client, ["legal_hold"]),
    )
    const writers = startWriters(database)
    for (let kills = 0; kills < 4; kills++) {
      const left = async () =>
        Number((await database.query(`select count(*) from payments where id <= ${doomed}`))[0]?.count)
      const before = await left()
      const args = ["--import", "tsx", "test/support/apply-process.ts", database.url, JSON.stringify(rule), "{}"]
      const child = spawn(process.execPath, args, { cwd: root, stdio: "ignore" })
      await until("some rows are gone", async () => (await left()) < before - 2000)
      await sleep(kills * 61)
      child.kill("SIGKILL")
      await once(child, "exit")
    }
    const applied = await withClient(
      database.address,
      { applicationName: "nightshift/cleanup", statementTimeoutMs: 0 },
      async (client) => applyRows(await planOf(client, rule), applyContext(client)),
    )
    const { added, rescued } = await writers.stop()
    expect(applied.failure ?? applied.stopped).toBeUndefined()
    expect(applied.left).toBe(0)

    expect(await database.query(`select from payments t where ${old} and not ${held}`)).toEqual([])
    const [outside] = await database.query(`select count(*)::int as rows from payments where id > ${doomed}`)
    expect(outside?.rows).toBe(total - doomed + added)
    const kept = await database.query("select id::int from payments where id = any($1)", [rescued])
    expect(kept).toHaveLength(rescued.length)
    expect(
      await database.query("select from parts c where not exists (select from payments p where p.id = c.payment)"),
    ).toEqual([])
    const [parts] = await database.query(`select count(*)::int as rows from parts where payment > ${doomed}`)
    expect(parts?.rows).toBe((total - doomed) / 2)
    expect(await database.query("select sum(balance)::int as balance from accounts")).toEqual([
      { balance: accounts * 1000 },
    ])
  })
})
