import { randomBytes } from "node:crypto"
import { Readable } from "node:stream"
import { buffer } from "node:stream/consumers"
import { generateHybridIdentity, identityToRecipient } from "age-encryption"
import { expect, inject, it } from "vitest"
import { withClient } from "../../../lib/postgres/connect.ts"
import { ensureOpsTables } from "../../../lib/postgres/ops-schema.ts"
import { parseRecipients } from "../../../lib/seal/recipients.ts"
import { unsealStream } from "../../../lib/seal/seal.ts"
import { openStore } from "../../../lib/store/open.ts"
import { archivedIds, archiveWorld, storedParts } from "../../support/archive-world.ts"
import { planOf, slot } from "../../support/planned-rule.ts"
import { createBucket, s3UrlFor } from "../../support/s3-server.ts"

const messages = (rows: number) => `
  create table messages (id int primary key, sent_at timestamptz not null, body text);
  create index on messages (sent_at);
  insert into messages select i, '2025-01-01Z'::timestamptz + i * interval '1 minute', 'message ' || i
    from generate_series(1, ${rows}) i;
  insert into messages values (1000001, '2026-02-01Z', 'young');`

const count = async (world: { database: { query(sql: string): Promise<Record<string, unknown>[]> } }) =>
  Number((await world.database.query("select count(*)::int as n from messages"))[0]?.n)

it("moves all rows of a plan, in order, to the store and leaves the others", async () => {
  const world = await archiveWorld(messages(3000))

  const done = await world.archive({})

  expect(done.failure).toBeUndefined()
  expect(done).toMatchObject({ removed: 3000, left: 0, kept: 0 })
  const parts = await world.parts()
  expect(parts.length).toBe(done.batches)
  expect(archivedIds(parts)).toEqual(Array.from({ length: 3000 }, (_, index) => index + 1))
  expect(await count(world)).toBe(1)
  expect(parts.every(({ manifest, receipt }) => manifest && receipt?.rowsDeleted === manifest.rows)).toBe(true)
  expect(parts[0]?.manifest).toMatchObject({ ages: { column: "sent_at", first: "2025-01-01 00:01:00+00" } })
  const states = await world.database.query("select state, count(*)::int from ops.archive_part group by 1")
  expect(states).toEqual([{ state: "closed", count: parts.length }])
})

it("does nothing when there is nothing, and nothing the second time", async () => {
  const world = await archiveWorld(messages(10))
  await world.archive({})
  const keys = await world.store.list("")
  expect(await world.archive({})).toMatchObject({ removed: 0, batches: 0, left: 0, plainBytes: 0 })
  expect(await world.store.list("")).toEqual(keys)
})

it("puts a run's parts behind each other and takes no more rows than its limit", async () => {
  const world = await archiveWorld(messages(1500))
  const done = await world.archive({}, { limit: 700 })
  expect(done).toMatchObject({ removed: 700, left: 800, stopped: "its limit of 700 rows is reached" })
  expect(await world.archive({})).toMatchObject({ removed: 800, left: 0 })
  expect(archivedIds(await world.parts())).toEqual(Array.from({ length: 1500 }, (_, index) => index + 1))
})

it("takes rows that no index orders from a list, and those of every partition", async () => {
  const world = await archiveWorld(`
    create table messages (id int, sent_at timestamptz, body text, primary key (id, sent_at)) partition by range (sent_at);
    create table "m; 1" partition of messages for values from ('2025-01-01Z') to ('2025-06-01Z');
    create table m2 partition of messages default;
    insert into messages select i, '2025-01-01Z'::timestamptz + i * interval '6 hours', 'b' from generate_series(1, 1300) i;`)
  const done = await world.archive({ walk: "listed", where: "t.id % 2 = 0", order: ["sent_at", "id"] })
  expect(done.failure).toBeUndefined()
  expect(done).toMatchObject({ removed: 650, left: 0 })
  const parts = await world.parts()
  expect(new Set(parts.map(({ manifest }) => manifest?.target.name))).toEqual(new Set(["m; 1", "m2"]))
  expect(archivedIds(parts).sort((a, b) => a - b)).toEqual(Array.from({ length: 650 }, (_, index) => 2 * index + 2))
})

it("never sees a row twice nor loses one while others write", async () => {
  const world = await archiveWorld(`${messages(3000)}
    create table log (id int, body text);
    create function note() returns trigger language plpgsql as $$ begin insert into log values (old.id, old.body); return old; end $$;
    create trigger note after delete on messages for each row execute function note();`)
  const stop = new AbortController()
  const writer = withClient(world.database.address, { applicationName: "writer" }, async (client) => {
    while (!stop.signal.aborted)
      await client.query(
        "update messages set body = body || '+' where id = any(array(select (random() * 3000)::int from generate_series(1, 20)))",
      )
  })
  const done = await world.archive({})
  stop.abort()
  await writer
  expect(done.kept).toBeGreaterThan(0)
  expect(done.failure).toBeUndefined()
  await world.archive({}, { run: "second" })
  const parts = await world.parts()
  const archived = parts.flatMap(({ csv, receipt }) => {
    const lines = csv
      .trimEnd()
      .split("\n")
      .slice(1)
      .map((line) => line.split(","))
    return lines.flatMap(([id, , body], at) => (receipt?.rowsKept.includes(at + 1) ? [] : [`${id} ${body}`]))
  })
  const deleted = (await world.database.query("select id || ' ' || body as row from log")).map(({ row }) => String(row))
  expect(archived.sort()).toEqual(deleted.sort())
  expect(new Set(archived.map((row) => row.split(" ")[0])).size).toBe(3000)
  expect(await count(world)).toBe(1)
})

it("cuts parts by their size, and takes a row that is larger than a part by itself", async () => {
  const body = "(select string_agg(md5(random()::text || i || j), '') from generate_series(1, 32000) j)"
  const world = await archiveWorld(`create table messages (id int primary key, sent_at timestamptz not null, body text);
    create index on messages (sent_at);
    insert into messages select i, '2025-01-01Z'::timestamptz + i * interval '1 minute', ${body} from generate_series(1, 34) i;
    insert into messages select 35, '2025-01-02Z', repeat('long ', 4000000);
    insert into messages select i, '2025-01-03Z', 'short' from generate_series(36, 60) i`)
  const done = await world.archive({})
  expect(done).toMatchObject({ removed: 60, left: 0 })
  const parts = await world.parts()
  expect(parts.map(({ manifest }) => manifest?.rows)).toEqual([17, 17, 1, 25])
  expect(archivedIds(parts)).toEqual(Array.from({ length: 60 }, (_, index) => index + 1))
})

it("seals for post-quantum keys with a passing key of the same kind", async () => {
  const world = await archiveWorld(messages(20))
  const identity = await generateHybridIdentity()
  const recipients = parseRecipients(await identityToRecipient(identity), "BACKUP_RECIPIENTS")
  expect(await world.archive({}, { recipients })).toMatchObject({ removed: 20 })
  const [object] = (await world.store.list("")).filter(({ key }) => key.endsWith(".age"))
  const sealed = await buffer(await world.store.get(object?.key ?? ""))
  expect(
    sealed
      .toString("latin1")
      .match(/-> \S+/g)
      ?.map((stanza) => stanza.split(" ")[1]),
  ).toEqual(["mlkem768x25519", "mlkem768x25519"])
  const plain = await buffer(unsealStream(Readable.from([sealed]), { keys: [identity] }).plain)
  expect(plain.toString().split("\n")).toHaveLength(22)
})

it("archives to a bucket as it does to a directory", async () => {
  const world = await archiveWorld(messages(1200))
  const s3 = inject("s3")
  const bucket = `archive-${randomBytes(4).toString("hex")}`
  await createBucket(s3, bucket)
  const store = openStore(s3UrlFor(s3, bucket, "backups"), { variable: "BACKUP_STORE", credentials: s3 })
  expect(await world.archive({}, { store })).toMatchObject({ removed: 1200, left: 0 })
  expect(archivedIds(await storedParts(store, world.identity))).toHaveLength(1200)
})

it("refuses rows that would take others along, and says what to do", async () => {
  const world = await archiveWorld(messages(5))
  const cascades = [{ schema: "public", name: "replies", through: "replies_fk", effect: "deleted" as const, count: 7 }]
  const done = await world.archive({}, { plan: { cascades } })
  expect(done.failure).toMatch(
    /7 rows of public.replies would be deleted .* archive those first by a rule of their own/,
  )
  expect(await count(world)).toBe(6)
})

it("archives what the planner plans, but for rows on hold and rows that others refer to", async () => {
  const world = await archiveWorld(`${messages(100)}
    create table replies (id int, message int references messages);
    create index on replies (message);
    insert into replies values (1, 7);`)
  await withClient(world.database.address, { applicationName: "tests" }, (client) =>
    ensureOpsTables(client, ["legal_hold"]),
  )
  await world.database.query(
    `insert into ops.legal_hold (table_name, row_key, reason) values ('public.messages', '{"id": 9}', 'a claim')`,
  )
  const rule = { table: "messages", column: "sent_at", olderThan: "90 days", action: "archive" }
  const plan = await planOf(world.database, rule)
  expect(plan.refusals).toEqual([])

  const done = await world.archive({}, { plan, slot })

  expect(done.failure).toBeUndefined()
  expect(done).toMatchObject({ removed: plan.count, heldBack: 1 })
  expect((await world.database.query("select id from messages order by 1")).map(({ id }) => id)).toEqual([7, 9])
  expect((await world.parts())[0]?.folder).toBe("archives/main/rule/2026-06-15T04-00-00Z-test-run")
})
