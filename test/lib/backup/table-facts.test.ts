import fc from "fast-check"
import { Client } from "pg"
import { afterAll, beforeAll, expect, it } from "vitest"
import { factsQuery, pinSettings, readColumns, rowsOf } from "../../../lib/backup/table-facts.ts"
import { createDatabase, type TestDatabase } from "../../support/postgres.ts"

let database: TestDatabase
let client: Client

beforeAll(async () => {
  database = await createDatabase("create type mood as enum ('sad', 'ok'); create type pair as (n float8, t text)")
  client = new Client({ connectionString: database.url })
  await client.connect()
  await pinSettings(client)
})

afterAll(async () => {
  await client.end()
  await database.drop()
})

/** Values of a type as Postgres reads them, such that two different texts are two different values. */
const text = fc.string({ unit: "grapheme", maxLength: 6 }).filter((value) => !value.includes("\0"))
const finite = fc
  .double({ noNaN: true, noDefaultInfinity: true })
  .map((value) => (Object.is(value, -0) ? "-0" : String(value)))
const whole = fc.integer().map(String)
const types: Record<string, fc.Arbitrary<string>> = {
  int4: whole,
  int8: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
  float8: fc.oneof(finite, fc.constantFrom("NaN", "Infinity", "-Infinity")),
  numeric: fc.oneof(
    whole,
    fc.tuple(fc.integer(), fc.nat(999)).map(([a, b]) => `${a}.${String(b).padEnd(3, "0")}`),
    fc.constant("NaN"),
  ),
  text,
  bytea: fc.uint8Array({ maxLength: 6 }).map((bytes) => `\\x${Buffer.from(bytes).toString("hex")}`),
  jsonb: fc.jsonValue({ maxDepth: 2 }).map((value) => JSON.stringify(value).replaceAll("\\u0000", "")),
  bool: fc.constantFrom("true", "false"),
  "public.mood": fc.constantFrom("sad", "ok"),
  "int4[]": fc.array(whole, { maxLength: 3 }).map((items) => `{${items.join(",")}}`),
  "float8[]": fc.array(finite, { maxLength: 3 }).map((items) => `{${items.join(",")}}`),
  uuid: fc.uuid(),
  interval: fc
    .tuple(fc.integer({ min: -99, max: 99 }), fc.integer({ min: -99, max: 99 }))
    .map(([m, d]) => `${m} months ${d} days`),
}

type Value = string | null
type Table = { columns: string[]; rows: Value[][] }
type Example = Table & { others: Value[] }

/** A table, and another value for each of its columns. */
const example: fc.Arbitrary<Example> = fc
  .array(fc.constantFrom(...Object.keys(types)), { minLength: 1, maxLength: 4 })
  .chain((columns) => {
    const cells = columns.map((type) => fc.option(types[type] ?? text, { freq: 5 }))
    const row = fc.tuple(...cells)
    return fc.record({ columns: fc.constant(columns), rows: fc.array(row, { maxLength: 8 }), others: row })
  })

/** Makes the table anew, with its columns in the given order; gives what a proof holds of it, and its rows as they are printed. */
async function store({ columns, rows }: Table, isReversed = false): Promise<{ facts: unknown; printed: Value[][] }> {
  const places = columns.map((_, at) => at)
  if (isReversed) places.reverse()
  const list = places.map((at) => `c${at} ${columns[at]}`).join(", ")
  await client.query(`drop table if exists public.t; create table public.t (${list})`)
  const insert = `insert into public.t values (${places.map((_, at) => `$${at + 1}`).join(", ")})`
  for (const row of rows)
    await client.query(
      insert,
      places.map((at) => row[at]),
    )
  const oid = String((await client.query("select 'public.t'::regclass::oid::text as oid")).rows[0]?.oid)
  const described = (await readColumns(client, [oid])).get(oid)
  const facts = await client.query(factsQuery(rowsOf({ oid, schema: "public", name: "t", kind: "table" }), described))
  const printed = `select ${columns.map((_, at) => `c${at}::text`).join(", ")} from public.t`
  return { facts: facts.rows[0], printed: (await client.query({ text: printed, rowMode: "array" })).rows }
}

/** What may have happened to a table: `pick` numbers choose the rows and the column. */
const changes: Record<string, (table: Example, pick: number[]) => void> = {
  "a changed value": ({ rows, columns, others }, [row = 0, column = 0]) => {
    const changed = rows[row % rows.length]
    if (changed) changed[column % columns.length] = others[column % columns.length] ?? null
  },
  "a swap of one value between two rows": ({ rows, columns }, [row = 0, column = 0, second = 0]) => {
    const [a, b, at] = [rows[row % rows.length], rows[second % rows.length], column % columns.length]
    if (a && b) [a[at], b[at]] = [b[at] ?? null, a[at] ?? null]
  },
  "a row in place of another": ({ rows }, [row = 0, , second = 0]) => {
    const kept = rows[second % rows.length]
    if (kept) rows[row % rows.length] = [...kept]
  },
  "a lost row": ({ rows }) => void rows.pop(),
  nothing: () => {},
}

it("is equal exactly when the rows are, in whatever order they and their columns are stored", async () => {
  const change = fc.constantFrom(...Object.keys(changes))
  const pick = fc.array(fc.nat(50), { minLength: 3, maxLength: 3 })
  await fc.assert(
    fc.asyncProperty(example, change, pick, fc.boolean(), async (before, name, numbers, isReversed) => {
      const original = await store(before)
      const after = { ...before, rows: original.printed.map((row) => [...row]) }
      changes[name]?.(after, numbers)
      after.rows.reverse()
      const changed = await store(after, isReversed)
      const isSame = multiset(original.printed) === multiset(changed.printed)
      if (isSame) expect(changed.facts).toEqual(original.facts)
      else expect(changed.facts).not.toEqual(original.facts)
    }),
    { numRuns: 150 },
  )
})

function multiset(rows: Value[][]): string {
  return rows
    .map((row) => JSON.stringify(row))
    .sort()
    .join()
}

it("tells a table without columns by its rows", async () => {
  await store({ columns: [], rows: [] })
  await client.query("insert into public.t default values; insert into public.t default values")
  const query = factsQuery(rowsOf({ oid: "0", schema: "public", name: "t", kind: "table" }), [])
  expect((await client.query(query)).rows).toEqual([{ rows: "2", hash: expect.stringMatching(/^-?\d+$/) }])
})

it("asks the type itself, and no cast of the team's own that says less", async () => {
  await client.query(`create type public.celsius as (degrees float8);
    create function public.worded(public.celsius) returns text language sql immutable as $$ select 'mild'::text $$;
    create cast (public.celsius as text) with function public.worded(public.celsius)`)
  const cold = await store({ columns: ["public.celsius"], rows: [["(1)"]] })
  const warm = await store({ columns: ["public.celsius"], rows: [["(30)"]] })
  expect(cold.facts).not.toEqual(warm.facts)
})
