import { Readable } from "node:stream"
import { buffer } from "node:stream/consumers"
import { expect, it } from "vitest"
import { withClient } from "../../lib/postgres/connect.ts"
import { openStore } from "../../lib/store/open.ts"
import type { Store } from "../../lib/store/store.ts"
import { archivedIds, archiveWorld } from "../support/archive-world.ts"
import { canMount, smallDisk } from "../support/small-disk.ts"

const messages = (rows: number, body = "'message ' || i") => `
  create table messages (id int primary key, sent_at timestamptz not null, body text);
  create index on messages (sent_at);
  insert into messages select i, '2025-01-01Z'::timestamptz + i * interval '1 minute', ${body} from generate_series(1, ${rows}) i;`

type World = Awaited<ReturnType<typeof archiveWorld>>

async function ids({ database }: World): Promise<number[]> {
  return (await database.query("select id from messages order by 1")).map(({ id }) => Number(id))
}

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)

/** The store with some of its methods done differently. */
function spoilt(store: Store, changes: (store: Store) => Partial<Store>): Store {
  return { ...store, ...changes(store) }
}

/** Every row is in exactly one place. */
async function expectNoneLostOrDoubled(world: World, all: number[]): Promise<void> {
  const archived = archivedIds(await world.parts())
  expect([...(await ids(world)), ...archived].sort((a, b) => a - b)).toEqual(all)
}

it("deletes nothing when the store refuses the rows", async () => {
  const world = await archiveWorld(messages(50))
  const store = spoilt(world.store, () => ({ put: () => Promise.reject(new Error("no space left on the store")) }))

  const done = await world.archive({}, { store })

  expect(done).toMatchObject({ removed: 0, left: 50, failure: "no space left on the store" })
  expect(await ids(world)).toEqual(range(1, 50))
  const again = await world.archive({})
  expect(again).toMatchObject({ removed: 50, left: 0 })
  await expectNoneLostOrDoubled(world, range(1, 50))
})

it("deletes nothing when the disk of the store is full", async () => {
  expect(canMount).toBe(true)
  const world = await archiveWorld(
    messages(600, "(select string_agg(md5(random()::text || i || j), '') from generate_series(1, 200) j)"),
  )
  const store = openStore(`file://${await smallDisk(1)}`, { variable: "BACKUP_STORE" })

  const done = await world.archive({}, { store })

  expect(done.removed).toBe(0)
  expect(done.failure).toMatch(/full|no space/i)
  expect(await ids(world)).toEqual(range(1, 600))
})

it("deletes nothing when what comes back is damaged, cut, gone, or another object", async () => {
  const world = await archiveWorld(messages(20))
  let first: Uint8Array | undefined
  const faults: [RegExp, (store: Store) => Partial<Store>][] = [
    [/could not be read back/, (store) => ({ get: async (key) => readable(flipped(await bytesOf(store, key))) })],
    [
      /could not be read back/,
      (store) => ({ get: async (key) => readable((await bytesOf(store, key)).subarray(0, -20)) }),
    ],
    [/could not be read back/, (store) => ({ get: (key) => store.get(`${key}.gone`) })],
    [
      /could not be read back|came back/,
      (store) => ({
        get: async (key) => {
          first ??= await bytesOf(store, (await store.list("archives/"))[0]?.key ?? key)
          return readable(first)
        },
      }),
    ],
  ]
  for (const [message, fault] of faults) {
    const done = await world.archive({}, { store: spoilt(world.store, fault) })
    expect(done.failure).toMatch(message)
    expect(done.removed).toBe(0)
    expect(await ids(world)).toEqual(range(1, 20))
  }
  expect((await world.parts()).every(({ manifest, receipt }) => !manifest && !receipt)).toBe(true)
})

it("refuses without a public key to seal for, although a key of its own would do", async () => {
  const world = await archiveWorld(messages(5))
  const done = await world.archive({}, { recipients: { ...world.recipients, keys: [] } })
  expect(done.failure).toContain("no public key")
  expect(await world.store.list("")).toEqual([])
})

it("writes the missing receipt in the next run when the store went away after the delete", async () => {
  const world = await archiveWorld(messages(30))
  const store = spoilt(world.store, (real) => ({
    put: (key, ...more) =>
      key.endsWith(".receipt.json") ? Promise.reject(new Error("the network is down")) : real.put(key, ...more),
  }))

  const done = await world.archive({}, { store })

  expect(done).toMatchObject({ failure: "the network is down", removed: 30 })
  expect(archivedIds(await world.parts())).toEqual([])
  const next = await world.archive({})
  expect(next.resumed).toMatchObject({ closed: 1, abandoned: 0, problems: [] })
  await expectNoneLostOrDoubled(world, range(1, 30))
})

it("says so when the rows of a part that was deleted are not on the store any more", async () => {
  const world = await archiveWorld(messages(30))
  const store = spoilt(world.store, (real) => ({
    put: async (key, ...more) => {
      if (key.endsWith(".receipt.json")) {
        await real.remove(key.replace("receipt.json", "csv.zst.age"))
        throw new Error("the network is down")
      }
      return real.put(key, ...more)
    },
  }))
  await world.archive({}, { store })
  const next = await world.archive({})
  expect(next.resumed.problems.join()).toMatch(/its 30 rows were deleted from the table and .* is not in/)
})

it("gives up a part whose rows were not deleted, and archives them anew", async () => {
  const world = await archiveWorld(messages(30))
  const stop = new AbortController()
  const log = {
    ...world.log,
    debug: (line: string) => void (line.endsWith(": verified") && stop.abort(new Error("told to end"))),
  }

  const done = await world.archive({}, { log, signal: stop.signal })

  expect(done).toMatchObject({ failure: "told to end", removed: 0 })
  const next = await world.archive({})
  expect(next.resumed).toMatchObject({ closed: 0, abandoned: 1 })
  const parts = await world.parts()
  expect(parts.map(({ isAbandoned }) => isAbandoned)).toEqual([true, false])
  await expectNoneLostOrDoubled(world, range(1, 30))
})

it("leaves unfinished parts alone that another name of the same database began", async () => {
  const world = await archiveWorld(messages(30))
  const stop = new AbortController()
  const log = {
    ...world.log,
    debug: (line: string) => void (line.endsWith(": verified") && stop.abort(new Error("told to end"))),
  }
  await world.archive({}, { log, signal: stop.signal })
  const other = await world.archive({ where: "false" }, { database: "other" })
  expect(other.resumed).toEqual({ closed: 0, abandoned: 0, problems: [] })
  expect(await world.database.query("select state from ops.archive_part")).toEqual([{ state: "verified" }])
})

it("archives a column that is added while it goes on", async () => {
  const world = await archiveWorld(messages(600))
  let isDone = false
  const store = spoilt(world.store, (real) => ({
    put: async (key, ...more) => {
      if (!isDone && key.endsWith(".receipt.json")) {
        isDone = true
        await world.database.query("alter table messages add column more text; update messages set more = 'new ' || id")
      }
      return real.put(key, ...more)
    },
  }))
  expect(await world.archive({}, { store })).toMatchObject({ removed: 600, left: 0 })
  const [first, second] = await world.parts()
  expect(first?.csv).toMatch(/^id,sent_at,body\n/)
  expect(second?.csv).toMatch(/^id,sent_at,body,more\n/)
  expect(second?.csv).toContain("new 600")
})

it("names who locks the table when it cannot delete, and loses nothing", async () => {
  const world = await archiveWorld(messages(30))
  await withClient(world.database.address, { applicationName: "a migration" }, async (holder) => {
    const store = spoilt(world.store, (real) => ({
      put: async (key, ...more) => {
        if (/part-\d+\.json$/.test(key)) await holder.query("begin; lock table messages in share mode")
        return real.put(key, ...more)
      },
    }))
    const done = await world.archive({}, { store })
    expect(done).toMatchObject({
      removed: 0,
      failure: expect.stringMatching(/public.messages is locked by a migration/),
    })
  })
  await world.archive({})
  await expectNoneLostOrDoubled(world, range(1, 30))
})

it("never writes over an object that is there", async () => {
  const world = await archiveWorld(messages(30))
  await world.archive({})
  await world.database.query("delete from ops.archive_part")
  await world.database.query("insert into messages select i, '2025-01-01Z', 'more' from generate_series(31, 40) i")
  const before = await world.parts()
  await world.archive({})
  const after = await world.parts()
  expect(after.length).toBe(before.length + 1)
  expect(after.slice(0, before.length)).toEqual(before)
})

it("leaves rows that others change, delete, hold or refer to between reading and deleting", async () => {
  const world = await archiveWorld(
    `${messages(100)} create schema ops;
     create table ops.legal_hold (table_name text, row_key jsonb, until timestamptz);
     create table replies (id int, message int references messages on delete cascade);`,
  )
  const hold = "not exists (select from ops.legal_hold h where h.row_key = jsonb_build_object('id', t.id))"
  const changed = `update messages set body = 'changed' where id = 10; update messages set body = body where id = 11;
    delete from messages where id = 20; insert into ops.legal_hold values ('messages', '{"id": 30}');
    delete from messages where id = 50; insert into messages values (50, '2025-01-01Z', 'another');
    insert into replies values (1, 40)`
  const log = { ...world.log, debug: world.log.debug }
  let isDone = false
  const store = spoilt(world.store, (real) => ({
    put: async (key, ...more) => {
      if (!isDone && key.endsWith(".json")) {
        isDone = true
        await world.database.query(changed)
      }
      return real.put(key, ...more)
    },
  }))

  const done = await world.archive(
    { where: `t.sent_at < '2026-01-01Z' and ${hold}`, withoutHolds: "t.sent_at < '2026-01-01Z'", hasHolds: true },
    { store, log },
  )

  expect(done.failure).toBeUndefined()
  expect(await ids(world)).toEqual([30, 40])
  const [first, second] = await world.parts()
  expect(first?.receipt?.rowsKept).toEqual([10, 11, 20, 30, 40, 50])
  expect(second?.csv).toContain("10,2025-01-01 00:10:00+00,changed")
  expect(second?.csv).toContain("another")
  expect(archivedIds(await world.parts()).sort((a, b) => a - b)).toEqual(
    range(1, 100).filter((id) => ![20, 30, 40].includes(id)),
  )
})

it("waits in a last pass for rows that another session has locked, and leaves those that stay locked", async () => {
  const world = await archiveWorld(messages(60))
  await withClient(world.database.address, { applicationName: "tests" }, async (passing) => {
    await withClient(world.database.address, { applicationName: "tests" }, async (staying) => {
      await passing.query("begin; select from messages where id = 5 for update")
      await staying.query("begin; select from messages where id = 7 for update")
      const before = async () => void setTimeout(() => void passing.query("commit"), 1500)
      const done = await world.archive({}, { before })
      expect(done).toMatchObject({ removed: 59, left: 1 })
      expect(done.stopped).toMatch(/locked/)
      expect(await ids(world)).toEqual([7])
      await staying.query("rollback")
    })
  })
  await world.archive({})
  await expectNoneLostOrDoubled(world, range(1, 60))
})

it("ends in words when the connection is cut between verifying and deleting, and loses nothing", async () => {
  const world = await archiveWorld(messages(40))
  const cut =
    "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
  const store = spoilt(world.store, (real) => ({
    put: async (key, ...more) => {
      const stored = await real.put(key, ...more)
      if (/part-\d+\.json$/.test(key)) await world.database.query(cut)
      return stored
    },
  }))
  const done = await world.archive({}, { store })
  expect(done).toMatchObject({ removed: 0, failure: expect.stringMatching(/connection to the database was lost/) })
  expect(await ids(world)).toEqual(range(1, 40))
  await world.archive({})
  await expectNoneLostOrDoubled(world, range(1, 40))
})

it("ends in words when the connection is cut while rows are read", async () => {
  const world = await archiveWorld(
    messages(400, "(select string_agg(md5(random()::text || i || j), '') from generate_series(1, 1200) j)"),
  )
  const cutTheCopy = `do $$ begin for i in 1..200000 loop
      perform pg_terminate_backend(pid) from pg_stat_activity where state = 'active' and query like 'copy (%';
      exit when found;
      perform pg_stat_clear_snapshot();
    end loop; end $$`
  const cuts: Promise<unknown>[] = []
  const done = await world.archive({}, { before: async () => void cuts.push(world.database.query(cutTheCopy)) })
  await Promise.all(cuts)
  expect(done.failure).toMatch(/connection to the database was lost/)
  expect((await ids(world)).length).toBe(400 - done.removed)
  await world.archive({})
  await expectNoneLostOrDoubled(world, range(1, 400))
})

function readable(bytes: Uint8Array) {
  return Readable.from([bytes])
}

async function bytesOf(store: Store, key: string): Promise<Uint8Array> {
  return buffer(await store.get(key))
}

function flipped(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes)
  copy[copy.length - 30] = (copy[copy.length - 30] ?? 0) ^ 1
  return copy
}
