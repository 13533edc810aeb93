import { spawn } from "node:child_process"
import { once } from "node:events"
import { connect as connectSocket, createServer, type Socket } from "node:net"
import { fileURLToPath } from "node:url"
import { expect, it } from "vitest"
import { withClient } from "../../../lib/postgres/connect.ts"
import { applyRows } from "../../../lib/retention/apply.ts"
import { sleep } from "../../../lib/system/clock.ts"
import { applyContext, planOf } from "../../support/cleanup-plan.ts"
import { type TestDatabase, withDatabase } from "../../support/postgres.ts"
import { until } from "../../support/processes.ts"

const root = fileURLToPath(new URL("../../..", import.meta.url))
const events = `
  create table events (id int primary key, amount int not null);
  insert into events select n, n % 97 from generate_series(1, 9000) n;
  create table children (id int primary key, event int references events on delete cascade);
  insert into children select n, n from generate_series(1, 9000, 3) n; create index on children (event)`
const rule = { table: "events", where: "t.id <= 6000" }

const left = async (database: TestDatabase) => Number((await database.query("select count(*) from events"))[0]?.count)

/** What the rule may never touch, and that no child is without its event. */
async function expectTheRest(database: TestDatabase): Promise<void> {
  expect(await database.query("select count(*)::int as rows, sum(id)::int as ids from events where id > 6000")).toEqual(
    [{ rows: 3000, ids: (3000 * (6001 + 9000)) / 2 }],
  )
  expect(
    await database.query("select from children c where not exists (select from events e where e.id = c.event)"),
  ).toEqual([])
  const [children] = await database.query("select count(*)::int as rows from children where event > 6000")
  expect(children?.rows).toBe(1000)
}

/** A proxy whose every connection is cut when the predicate first says so of what the client sends. */
async function withProxy<T>(
  port: number,
  cutsAt: (sent: string) => "before" | "after" | undefined,
  fn: (port: number) => Promise<T>,
): Promise<T> {
  const sockets = new Set<Socket>()
  const server = createServer((near) => {
    const far = connectSocket(port, "127.0.0.1")
    for (const socket of [near, far]) sockets.add(socket.on("error", () => undefined))
    far.pipe(near)
    near.on("data", (chunk) => {
      const cut = cutsAt(chunk.toString("latin1"))
      if (cut === "after") far.unpipe(near).write(chunk)
      else if (cut === undefined) far.write(chunk)
      if (cut !== undefined) near.resetAndDestroy()
      if (cut === "before") far.resetAndDestroy()
    })
    far.once("close", () => near.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("no port")
  try {
    return await fn(address.port)
  } finally {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  }
}

it("killed without a word at any moment it has done whole batches, and the next run does the rest", async () => {
  await withDatabase(events, async (database) => {
    for (let kills = 0; kills < 3; kills++) {
      const before = await left(database)
      const args = [
        "--import",
        "tsx",
        "test/support/apply-process.ts",
        database.url,
        JSON.stringify(rule),
        JSON.stringify({ restShare: 60 }),
      ]
      const child = spawn(process.execPath, args, { cwd: root, stdio: "ignore" })
      await until("some rows are gone", async () => (await left(database)) < before)
      await sleep(kills * 7)
      child.kill("SIGKILL")
      await once(child, "exit")
      await until("its session is gone", async () => {
        const sessions = await database.query(
          "select from pg_stat_activity where application_name = 'nightshift/cleanup' and datname = current_database()",
        )
        return sessions.length === 0
      })
      await expectTheRest(database)
    }
    const rest = (await left(database)) - 3000
    expect(rest).toBeGreaterThan(0)
    const applied = await withClient(database.address, { applicationName: "tests" }, async (client) =>
      applyRows(await planOf(client, rule), applyContext(client)),
    )
    expect(applied).toMatchObject({ removed: rest, left: 0 })
    await expectTheRest(database)
  })
})

it("counts exactly what was committed when the network is cut, in a batch, before or after a commit reached the server", async () => {
  const cuts = [
    { at: /delete from only/, how: "before" },
    { at: /^Q.{4}commit/s, how: "before" },
    { at: /^Q.{4}commit/s, how: "after" },
  ] as const
  for (const { at, how } of cuts) {
    await withDatabase(events, async (database) => {
      let seen = 0
      const cutsAt = (sent: string) => (at.test(sent) && ++seen === 4 ? how : undefined)
      await withProxy(database.address.port, cutsAt, async (port) => {
        const applied = await withClient(
          { ...database.address, port },
          { applicationName: "nightshift/cleanup" },
          async (client) => {
            const plan = await planOf(client, rule)
            return applyRows(plan, applyContext(client, { address: database.address, pace: { restShare: 0 } }))
          },
        ).catch((error: unknown) => error)
        expect(seen).toBe(4)
        expect(applied).toMatchObject({ removed: 9000 - (await left(database)) })
        expect(applied).toMatchObject({ failure: expect.stringMatching(/./), batches: how === "after" ? 4 : 3 })
      })
      await expectTheRest(database)
    })
  }
})

it("says that it does not know of the last batch where nobody can be asked", async () => {
  await withDatabase(events, async (database) => {
    let seen = 0
    const cutsAt = (sent: string) => (/^Q.{4}commit/s.test(sent) && ++seen === 2 ? ("after" as const) : undefined)
    await withProxy(database.address.port, cutsAt, (port) =>
      withClient({ ...database.address, port }, { applicationName: "nightshift/cleanup" }, async (client) => {
        const applied = await applyRows(await planOf(client, rule), applyContext(client, { pace: { restShare: 0 } }))
        expect(applied.failure).toMatch(/; whether the last 1,000 rows were changed is unknown$/)
        expect(applied.removed).toBe(500)
      }),
    )
  })
})
