import { once } from "node:events"
import { type AddressInfo, connect, createServer } from "node:net"
import type { Client } from "pg"
import { expect, it, onTestFinished } from "vitest"
import { withClient } from "../../lib/postgres/connect.ts"
import { play, type RuleInput } from "../lib/decay/play.ts"
import { halving, itemsSql, makeWorld, type World } from "../lib/decay/world.ts"

const rule: RuleInput = {
  name: "fading",
  table: "items",
  column: "value",
  since: "at",
  halfLife: "1 day",
  batchRows: 100,
}
const many = `create table items (id bigint generated always as identity primary key, value double precision not null, at timestamptz not null, touched int not null default 0);
  insert into items (value, at) select 1024, '2026-01-01' from generate_series(1, 2000)`
const byId = "select value from items order by id"
const impatient = { lockTimeoutMs: 50, statementTimeoutMs: 10_000, attempts: 2, retryWaitMs: 10 }

function inSession<T>(world: World, fn: (client: Client) => Promise<T>): Promise<T> {
  return withClient(world.database.address, { applicationName: "tests" }, fn)
}

it("waits a bounded time for a row that another session holds, changes nothing then, and does it all later", async () => {
  const world = await makeWorld(many, halving)
  await inSession(world, async (holder) => {
    await holder.query("begin")
    await holder.query("update items set touched = 1 where id = 1500")
    const slot = "2026-01-02T04:00Z"
    await inSession(world, (client) =>
      expect(play(client, rule, slot, { limits: impatient })).rejects.toThrow(
        "canceling statement due to lock timeout",
      ),
    )
    expect(await world.values("select distinct value from items")).toEqual([1024])
    expect(await world.values("select count(*)::int from ops.decay_watermark")).toEqual([0])
    await holder.query("rollback")
    expect(await inSession(world, (client) => play(client, rule, slot, { limits: impatient }))).toMatchObject({
      kind: "applied",
    })
  })
  expect(await world.values("select distinct value from items")).toEqual([512])
})

it("says who holds the database when another job does, and changes nothing", async () => {
  const world = await makeWorld(itemsSql, halving)
  await inSession(world, async (holder) => {
    await holder.query(
      "set application_name = 'nightshift/backup'; select pg_advisory_lock(hashtextextended('nightshift/main', 0))",
    )
    const run = await world.run("2026-01-03T04:00Z", "--lock-wait", "1s")
    expect([run.exitCode, run.run.findings[0]?.detail]).toEqual([
      1,
      expect.stringContaining("held by nightshift/backup"),
    ])
  })
  expect(await world.values(byId)).toEqual([1, 0.8, 0.4, null])
})

it("loses nothing that others write meanwhile, and touches no row outside of the rule", async () => {
  const world = await makeWorld(
    `${many}; alter table items add kept boolean not null default false; update items set kept = true where id % 7 = 0;
     create table writes (id bigint, at timestamptz)`,
    `{ name: "fading", table: "items", column: "value", since: "at", halfLife: "1 day", batchRows: 100, where: "not kept" }`,
  )
  const stop = new AbortController()
  const write = async (seed: number) => {
    await inSession(world, async (client) => {
      for (let step = 0; !stop.signal.aborted; step++) {
        const id = 1 + ((step * 37 + seed * 101) % 2000)
        // One kind of write does not touch the value, the other gives a new one from a new time on, and both count themselves.
        if (step % 2 === 0) await client.query("update items set touched = touched + 1 where id = $1", [id])
        else
          await client.query("update items set value = 4096, at = '2026-02-01', touched = touched + 1 where id = $1", [
            id,
          ])
        await client.query("insert into writes values ($1, now())", [id])
      }
    })
  }
  const writers = [1, 2, 3].map(write)
  try {
    for (const day of ["02", "03", "04", "05"]) {
      const run = await world.run(`2026-01-${day}T04:00Z`)
      expect(run.exitCode, run.run.summary).toBe(0)
    }
  } finally {
    stop.abort()
    await Promise.all(writers)
  }
  expect(await world.values("select sum(touched)::int = (select count(*)::int from writes) from items")).toEqual([true])
  expect(await world.values("select distinct value from items where kept and at < '2026-02-01'")).toEqual([1024])
  expect(await world.values("select distinct value from items where not kept and at < '2026-02-01'")).toEqual([64])
  expect(await world.values("select distinct value from items where at = '2026-02-01'")).toEqual([4096])
})

const triggers = {
  before: `create function touch() returns trigger language plpgsql as $$ begin new.at := now(); return new; end $$;
    create trigger touch_items before update on items for each row execute function touch()`,
  after: `create function touch() returns trigger language plpgsql as $$ begin
      if new.at < '2026-06-01' then update items set at = now() where id = new.id; end if; return null; end $$;
    create trigger touch_items after update on items for each row execute function touch()`,
}

it.each(["before", "after"] as const)("refuses to age rows whose age a trigger resets %s the update", async (when) => {
  const world = await makeWorld(`${itemsSql}; ${triggers[when]}`, halving)
  const run = await world.run("2026-01-06T04:00Z")
  expect(run.exitCode).toBe(1)
  expect(run.run.findings[0]?.detail).toContain(
    "an update of public.items.value moves at, from which the age is counted, in 2 rows; all was rolled back: let the trigger leave out updates of value",
  )
  expect(run.run.findings[0]?.detail).toContain("its triggers on update: touch_items")
  expect(await world.values(byId)).toEqual([1, 0.8, 0.4, null])
  expect(await world.values("select count(*)::int from ops.decay_watermark")).toEqual([0])
})

it("is red when something undoes afterwards what a rule with a base computes", async () => {
  const world = await makeWorld(
    `${itemsSql}; create function undo() returns trigger language plpgsql as $$ begin
       if new.value <> 1 then update items set value = 1 where id = new.id; end if; return null; end $$;
     create trigger undo after update on items for each row execute function undo()`,
    `{ name: "fading", table: "items", column: "value", since: "at", base: 1, halfLife: "1 day" }`,
  )
  const run = await world.run("2026-01-06T04:00Z")
  expect([run.exitCode, run.run.findings[0]?.detail]).toEqual([
    1,
    expect.stringContaining(
      "still had another value after 3 passes; all was rolled back: a trigger of public.items undoes the change",
    ),
  ])
  expect(await world.values(byId)).toEqual([1, 0.8, 0.4, null])
})

it.each([
  ["keeps the old value", "new.value := old.value; return new;", "keeps 2 rows from getting the new value"],
  ["swallows the update", "return null;", "keeps 2 rows from getting the new value"],
  [
    "raises an error with row data in it",
    "raise exception 'no: %', new.note;",
    "a trigger or function of the database raised an error (P0001)",
  ],
])("is red, and changes nothing, when a trigger %s", async (_, body, words) => {
  const world = await makeWorld(
    `${itemsSql}; update items set note = 'secret of a person';
     create function odd() returns trigger language plpgsql as $$ begin ${body} end $$; create trigger odd before update on items for each row execute function odd()`,
    halving,
  )
  const run = await world.run("2026-01-06T04:00Z")
  expect([run.exitCode, run.run.findings[0]?.detail]).toEqual([1, expect.stringContaining(words)])
  expect(run.stdout + run.stderr).not.toContain("secret of a person")
  expect(await world.values(byId)).toEqual([1, 0.8, 0.4, null])
})

it("goes on with the other rules when one fails on its rows, without a value of them in any text", async () => {
  const world = await makeWorld(
    `${itemsSql}; update items set note = 'Ada Lovelace'; alter table items add limited double precision default 8 check (limited > 3)`,
    `{ name: "quoting", table: "items", column: "limited", since: "at", base: 8, expression: "base * item.note::double precision" },
     { name: "limited", table: "items", column: "limited", since: "at", halfLife: "1 day" }, ${halving}`,
  )
  const run = await world.run("2026-01-06T04:00Z")
  expect(run.exitCode).toBe(1)
  expect(run.run.findings.map(({ outcome, detail }) => [outcome, detail.slice(0, 200)])).toEqual([
    ["fail", expect.stringContaining("invalid input syntax for type double precision")],
    ["fail", expect.stringContaining("violates check constraint")],
    ["ok", expect.stringContaining("2 rows of 4 changed")],
  ])
  expect(run.stdout + run.stderr).not.toContain("Ada")
})

it("is red when the network is cut in the middle, leaves all or nothing, and makes up for it when it is run again", async () => {
  const world = await makeWorld(
    `${many}; create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(0.0005); return new; end $$;
    create trigger slow before update of value on items for each row execute function slow()`,
    halving,
  )
  const wire = await startWire(world.database.url)
  const running = world.runAs(wire.url, "2026-01-02T04:00Z")
  await expect
    .poll(
      () =>
        world.values(
          "select count(*)::int from pg_stat_activity where query like 'with picked%' and state = 'active' and datname = current_database()",
        ),
      { timeout: 20_000 },
    )
    .toEqual([1])
  wire.cut()
  const run = await running
  expect(run.exitCode).toBe(1)
  expect(run.run.findings[0]?.detail).toContain("running it again is harmless")
  await expect
    .poll(
      () =>
        world.values(
          "select count(*)::int from pg_stat_activity where application_name = 'nightshift/decay' and datname = current_database()",
        ),
      { timeout: 20_000 },
    )
    .toEqual([0])
  expect(await world.values("select distinct value from items")).toEqual([1024])
  expect((await world.run("2026-01-02T05:00Z")).exitCode).toBe(0)
  expect(await world.values("select distinct value from items")).toEqual([512])
})

/** A wire to the server that can be cut. */
async function startWire(target: string): Promise<{ url: string; cut(): void }> {
  const { hostname, port } = new URL(target)
  const sockets = new Set<import("node:net").Socket>()
  const server = createServer((near) => {
    const far = connect(Number(port), hostname)
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on("error", () => undefined)
    }
    near.pipe(far).pipe(near)
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  onTestFinished(() => void server.close())
  const url = new URL(target)
  url.port = String((server.address() as AddressInfo).port)
  return {
    url: url.href,
    cut() {
      for (const socket of sockets) socket.resetAndDestroy()
    },
  }
}

it("a table that vanishes after the rules were checked fails its rule alone", async () => {
  const world = await makeWorld(
    `${itemsSql}; create table gone (like items including all)`,
    `{ name: "gone", table: "gone", column: "value", since: "at", halfLife: "1 day" }, ${halving}`,
  )
  const running = await inSession(world, async (holder) => {
    await holder.query("select pg_advisory_lock(hashtextextended('nightshift/main', 0))")
    const started = world.run("2026-01-06T04:00Z")
    await expect
      .poll(
        () =>
          world.values(
            "select count(*)::int from pg_stat_activity where query like '%pg_try_advisory_lock%' and application_name = 'nightshift/decay' and datname = current_database()",
          ),
        { timeout: 20_000 },
      )
      .toEqual([1])
    await holder.query("drop table gone")
    await holder.query("select pg_advisory_unlock(hashtextextended('nightshift/main', 0))")
    return started
  })
  expect(running.exitCode).toBe(1)
  expect(running.run.findings).toMatchObject([
    {
      subject: "database/main/decay/gone",
      outcome: "fail",
      detail: expect.stringContaining("table public.gone does not exist"),
    },
    { subject: "database/main/decay/fading", outcome: "ok" },
  ])
})

it("lets rows that fell low leave by the cleanup's ways: what is on hold stays, and nothing leaves without a fresh backup", async () => {
  const world = await makeWorld(
    itemsSql,
    `{ name: "fading", table: "items", column: "value", since: "at", halfLife: "1 day", where: "note is null -- open", thresholds: [{ below: 0.3, action: "delete" }] }`,
  )
  const refused = await world.run("2026-01-08T04:00Z")
  expect(refused.exitCode).toBe(1)
  expect(refused.run.findings).toContainEqual(
    expect.objectContaining({ subject: "database/main/decay/fading", outcome: "ok" }),
  )
  expect(refused.run.findings).toContainEqual(
    expect.objectContaining({ outcome: "fail", detail: expect.stringContaining("nothing was changed") }),
  )
  expect(await world.values("select count(*)::int from items")).toEqual([4])
  const capped = await world.run("2026-01-08T05:00Z", "--without-backup")
  expect([capped.exitCode, await world.values("select count(*)::int from items")]).toEqual([1, [4]])
  await world.query(
    `insert into ops.legal_hold (table_name, row_key, reason) values ('public.items', '{"id": 1}', 'a trial')`,
  )
  const run = await world.run("2026-01-08T05:00Z", "--without-backup", "--allow-large")
  expect(run.exitCode, run.run.summary).toBe(0)
  expect(run.run.findings).toContainEqual(
    expect.objectContaining({ subject: "database/main/cleanup/fading at 0.3 or less", outcome: "ok" }),
  )
  expect(await world.values("select id::int from items order by id")).toEqual([1, 3, 4])
})
