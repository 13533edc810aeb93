import { appendFile, readFile, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { generateX25519Identity } from "age-encryption"
import { expect, it } from "vitest"
import { withClient } from "../../../lib/postgres/connect.ts"
import { type RestoreArchiveOrder, restoreArchive } from "../../../lib/retention/restore-archive.ts"
import { parseIdentities } from "../../../lib/seal/recipients.ts"
import { type ArchiveWorld, archiveWorld } from "../../support/archive-world.ts"

function restore(world: ArchiveWorld, more: Partial<RestoreArchiveOrder> = {}) {
  return withClient(world.database.address, { applicationName: "tests" }, (client) =>
    restoreArchive({
      ...{ client, store: world.store, identities: parseIdentities(world.identity, "BACKUP_IDENTITY"), run: "by-hand" },
      ...{ signal: new AbortController().signal, log: world.log, database: "main", rule: "messages", choice: {} },
      ...{
        into: { schema: "public", name: "archive_messages" },
        append: false,
        includeUnconfirmed: false,
        dryRun: false,
      },
      ...more,
    }),
  )
}

const plain = `
  create table messages (id int primary key, sent_at timestamptz not null, body text);
  create index on messages (sent_at);
  insert into messages select i, '2025-01-01Z'::timestamptz + i * interval '1 minute', 'message ' || i from generate_series(1, 1200) i;`

const odd = `
  create type mood as enum ('calm', 'it''s "odd", yes');
  create type point3 as (x int, y text, z numeric);
  create schema "Sh op";
  create domain "Sh op"."Do""main" as text check (value <> 'x');
  create table messages (
    id bigint generated always as identity primary key, sent_at timestamptz not null default '2025-01-01 00:00:00.123456Z',
    "we""ird, na;me" text, "select" text, doc jsonb, raw json, n numeric(20, 5), f float8, r real, b bytea, a text[], aa int[][], c point3,
    m mood, d date, ts timestamp, i interval, rng int4range, u uuid, ip inet, bits varbit, ch char(5), money money, x xml, dm "Sh op"."Do""main",
    reg regclass, tsv tsvector, bool boolean, total int generated always as (length("select")) stored);
  insert into messages ("we""ird, na;me") values (null), (''), ('\\.'), (' '), ('NULL'), ('"'), (E'a\\nb\\r\\nc,"d"\\t\\\\N'), ('ü 🦉 \u202e'), (repeat('long ', 200000));
  insert into messages (doc, raw) values ('null', 'null'), (null, null), ('{"a": [1, 2.50, "x\\n", null]}', '{"b":  1,"b": 2}');
  insert into messages (n, f, r) values ('NaN', 'NaN', '-Infinity'), (-0.00001, 'Infinity', 1e-30), (99999999999999.99999, 0.1::float8 + 0.2, 3.4028235e38), (0, '-0', '-0');
  insert into messages (b, a, aa, c) values ('\\x00ff0a', '{}', '{{1,2},{3,null}}', row(1, null, 2.0)), ('', array['', null, 'NULL', '{"}', E'\\n'], '{}', row(null, '', null)), ('\\x', '[0:1]={a,b}', null, row(3, ',")(', 'NaN'));
  insert into messages (m, d, ts, i, rng, u, ip, bits, ch, money, x, dm, reg, tsv, bool) values
    ('it''s "odd", yes', 'infinity', '-infinity', '1 year -2 days 03:04:05.678901', '[1,5)', gen_random_uuid(), '::1/64', B'0101', 'ab', 1234.5, '<a>&amp;</a>', 'y', 'pg_class', 'a:1 b:2', true),
    ('calm', '0044-03-15 BC', '0044-03-15 10:00 BC', '-00:00:01', 'empty', null, '10.0.0.1', B'', '', -0.01, 'text only', '', '"Sh op"."messages2"', '', false);
  `.replace("create table messages (", 'create table "Sh op".messages2 (); create table messages (')

it("brings every kind of value back exactly, and says how to put it into its table again", async () => {
  const world = await archiveWorld(odd)
  await world.database.query(
    "create table kept as table messages; set datestyle to 'SQL, DMY'; alter database :db set datestyle to 'SQL, DMY'".replace(
      ":db",
      world.database.name,
    ),
  )
  const before = await world.database.query("select count(*)::int as n from kept")

  const done = await world.archive({})
  expect(done).toMatchObject({ left: 0, removed: before[0]?.n })
  expect(done.failure).toBeUndefined()
  const restored = await restore(world)

  expect(restored).toMatchObject({ problems: [], warnings: [], rows: before[0]?.n })
  const sideways = await world.database.query(
    `select (select count(*)::int from kept k full join archive_messages a using (id) where row(k.*)::text is distinct from row(a.*)::text) as differ,
            (select count(*)::int from archive_messages) as n`,
  )
  expect(sideways[0]).toEqual({ differ: 0, n: before[0]?.n })
  await world.database.query(restored.putBack)
  const [back] = await world.database.query(
    "select count(*)::int as differ from kept k full join messages a using (id) where row(k.*)::text is distinct from row(a.*)::text",
  )
  expect(back?.differ).toBe(0)
  const types =
    "select attname, format_type(atttypid, atttypmod) as type from pg_attribute where attrelid = $1::regclass and attnum > 0 order by attnum"
  expect(await world.database.query(types, ["archive_messages"])).toEqual(
    await world.database.query(types, ["messages"]),
  )
})

it("loads twice what it loaded once", async () => {
  const world = await archiveWorld(plain)
  await world.archive({})
  const first = await restore(world)
  expect(first).toMatchObject({ rows: 1200, partsKnown: 0 })
  await expect(restore(world)).rejects.toThrow(/there is a table of that name: .* --append/)
  expect(await restore(world, { append: true })).toMatchObject({
    rows: 0,
    partsLoaded: 0,
    partsKnown: first.partsLoaded,
  })
  expect((await world.database.query("select count(*)::int from archive_messages"))[0]?.count).toBe(1200)
})

it("changes nothing in a dry run, not even the schema ops", async () => {
  const world = await archiveWorld(plain)
  await world.archive({})
  const restored = await restore(world, { dryRun: true })
  expect(restored).toMatchObject({ rows: 1200, partsLoaded: 0 })
  const [found] = await world.database.query(
    "select to_regclass('archive_messages') as t, to_regclass('ops.archive_load') as o",
  )
  expect(found).toEqual({ t: null, o: null })
})

it("leaves a damaged, a cut and a missing part out whole, and loads the others", async () => {
  const world = await archiveWorld(plain)
  await world.archive({})
  await world.database.query(
    "insert into messages select i, '2025-02-01Z', 'second' from generate_series(2001, 2300) i",
  )
  await world.archive({}, { run: "second" })
  await world.database.query("insert into messages select i, '2025-02-01Z', 'third' from generate_series(3001, 3040) i")
  await world.archive({}, { run: "third" })
  const all = (await world.parts()).filter(({ receipt }) => receipt)
  expect(all.length).toBeGreaterThanOrEqual(4)
  const file = (index: number) => join(world.dir, "bucket", all[index]?.folder ?? "", `${all[index]?.name}.csv.zst.age`)
  const bytes = await readFile(file(0))
  bytes[bytes.length - 200] = (bytes[bytes.length - 200] ?? 0) ^ 1
  await writeFile(file(0), bytes)
  await appendFile(file(1), "x")
  await rm(file(2))

  const restored = await restore(world)

  expect(restored.problems).toHaveLength(3)
  expect(restored.problems.join("\n")).toMatch(/is missing in/)
  const good = all.slice(3).reduce((sum, { receipt }) => sum + (receipt?.rowsDeleted ?? 0), 0)
  expect(restored.rows).toBe(good)
  expect((await world.database.query("select count(*)::int from archive_messages"))[0]?.count).toBe(good)
})

it("knows from the database of parts that are gone from the store with everything beside them", async () => {
  const world = await archiveWorld(plain)
  await world.archive({})
  await rm(join(world.dir, "bucket", "archives"), { recursive: true })
  expect((await restore(world)).problems.join()).toMatch(/part-00001.*missing/)
})

it("refuses a private key that is none of the archive's before anything is made", async () => {
  const world = await archiveWorld(plain)
  await world.archive({})
  const other = parseIdentities(await generateX25519Identity(), "BACKUP_IDENTITY")
  await expect(restore(world, { identities: other })).rejects.toThrow(/BACKUP_IDENTITY belongs to .* was sealed for/)
  expect(await world.database.query("select to_regclass('archive_messages') as t")).toEqual([{ t: null }])
})

it("leaves parts without a receipt out, unless told, and never takes one that was given up", async () => {
  const world = await archiveWorld(plain)
  const stop = new AbortController()
  const log = {
    ...world.log,
    debug: (line: string) => void (line.endsWith(": verified") && stop.abort(new Error("told to end"))),
  }
  await world.archive({}, { log, signal: stop.signal })
  expect(await restore(world)).toMatchObject({
    rows: 0,
    parts: [],
    warnings: [expect.stringContaining("1 part without a receipt left out")],
  })
  const taken = await restore(world, { includeUnconfirmed: true })
  expect(taken).toMatchObject({ rows: 500, warnings: [expect.stringContaining("may still be in the table")] })
  expect(taken.putBack).toMatch(/on conflict do nothing;$/)

  await world.archive({}, { run: "second" })
  const into = { schema: "public", name: "other" }
  expect(await restore(world, { into, includeUnconfirmed: true })).toMatchObject({ rows: 1200 })
})

it("brings back rows of which the receipt was lost, by what the database remembers", async () => {
  const world = await archiveWorld(plain)
  await world.archive({})
  for (const { key } of await world.store.list("archives/"))
    if (key.endsWith("receipt.json")) await world.store.remove(key)
  expect(await restore(world)).toMatchObject({ rows: 1200, warnings: [] })
})

it("names the rules that have archives when there is none of the one that was named, and refuses the table itself", async () => {
  const world = await archiveWorld(plain)
  await world.archive({})
  await expect(restore(world, { rule: "mesages" })).rejects.toThrow(
    /no archive of that rule of main: it has those of messages/,
  )
  await expect(restore(world, { into: { schema: "public", name: "messages" }, append: true })).rejects.toThrow(
    /is the table that the rows came from/,
  )
  await expect(restore(world, { choice: { from: new Date("2027-01-01Z") } })).rejects.toThrow(/no part .* of that time/)
})

it("wants a table for each form that the columns had", async () => {
  const world = await archiveWorld(plain)
  await world.archive({})
  await world.database.query(
    "alter table messages add column more int; insert into messages values (5000, '2025-01-01Z', 'x', 1)",
  )
  await world.archive({}, { run: "second", slot: new Date("2026-03-02T04:00:00Z") })
  await expect(restore(world)).rejects.toThrow(/the columns of messages changed while it was archived/)
  const from = new Date("2026-03-02T00:00:00Z")
  expect(await restore(world, { choice: { from } })).toMatchObject({ rows: 1 })
  const into = { schema: "public", name: "earlier" }
  expect(await restore(world, { into, choice: { to: from } })).toMatchObject({ rows: 1200 })
})

it("goes on with --append where it was ended", async () => {
  const world = await archiveWorld(plain)
  await world.archive({})
  const stop = new AbortController()
  const log = { ...world.log, info: () => stop.abort(new Error("told to end")) }
  await expect(restore(world, { log, signal: stop.signal })).rejects.toThrow("told to end")
  expect((await world.database.query("select count(*)::int from archive_messages"))[0]?.count).toBe(500)
  expect(await restore(world, { append: true })).toMatchObject({ rows: 700, partsKnown: 1 })
  expect(
    (await world.database.query("select count(distinct id)::int, count(*)::int as n from archive_messages"))[0],
  ).toEqual({ count: 1200, n: 1200 })
})

it("says of a value that the side table refuses where it stands, and not the value", async () => {
  const world = await archiveWorld(plain)
  await world.archive({})
  await world.database.query(
    "create table side (id int, sent_at timestamptz, body text); alter table side add check (body <> 'message 600')",
  )
  const restored = await restore(world, { into: { schema: "public", name: "side" }, append: true })
  expect(restored).toMatchObject({ rows: 500, problems: [expect.stringContaining("was not loaded")] })
  expect(restored.problems.join()).not.toContain("message 600")
})
