import fc from "fast-check"
import type { Client } from "pg"
import { expect, it } from "vitest"
import { withClient } from "../../../lib/postgres/connect.ts"
import { withDatabase } from "../../support/postgres.ts"
import { play, type RuleInput } from "./play.ts"

/*
 * What is true of every rule, tried with random rows and shapes on a real server. Times are milliseconds around the beginning of 2026.
 */
const begin = Date.parse("2026-01-01T00:00:00Z")
const hourMs = 3_600_000
const dayMs = 24 * hourMs
const schema = `
  create table kinds (id integer primary key, half interval);
  insert into kinds values (1, '2 days'), (2, '20 hours'), (3, null), (4, '1 month');
  create table items (id integer primary key, value double precision, base double precision, at timestamptz, kind integer);`

const row = fc.record({
  value: fc.option(fc.double({ min: -10, max: 1e6, noNaN: true }), { freq: 20, nil: null }),
  at: fc.option(fc.integer({ min: begin - 40 * dayMs, max: begin + 20 * dayMs }), { freq: 20, nil: null }),
  kind: fc.integer({ min: 1, max: 5 }),
})
const rows = fc.array(row, { minLength: 1, maxLength: 40 })
type Row = { value: number | null; at: number | null; kind: number }

const shape = fc.oneof(
  fc.integer({ min: 1, max: 400 }).map((hours): Partial<RuleInput> => ({ halfLife: `${hours} hours` })),
  fc.constant<Partial<RuleInput>>({ halfLife: { table: "kinds", column: "half", by: "kind" } }),
  fc
    .double({ min: 0.001, max: 1e5, noNaN: true })
    .map((amount): Partial<RuleInput> => ({ linear: { amount, every: "1 day" } })),
)
const limits = fc.record(
  { floor: fc.constantFrom(0, 0.5, -3), ceiling: fc.constantFrom(1, 100, 1e7) },
  { requiredKeys: [] },
)
const grid = fc.constantFrom<Partial<RuleInput>>(
  { every: "1 day" },
  { every: "1 day", timezone: "America/New_York" },
  { every: "3 hours" },
  { every: "2 days", timezone: "Europe/London" },
)
const rule = fc.tuple(shape, limits, grid).map(
  ([one, two, three]): RuleInput => ({
    ...{ name: "law", table: "items", column: "value", since: "at", maxCatchUp: "1000 days", batchRows: 100 },
    ...one,
    ...two,
    ...three,
  }),
)
const slots = fc.uniqueArray(fc.integer({ min: 1, max: 24 * 50 }), { minLength: 1, maxLength: 5 })

async function fill(client: Client, given: Row[]): Promise<void> {
  await client.query("drop schema if exists ops cascade; truncate items")
  await client.query(
    "insert into items select n, v, v, to_timestamp(a / 1000.0), k from unnest($1::float8[], $2::float8[], $3::int[]) with ordinality x(v, a, k, n)",
    [given.map(({ value }) => value), given.map(({ at }) => at), given.map(({ kind }) => kind)],
  )
}

async function values(client: Client): Promise<(number | null)[]> {
  const { rows: found } = await client.query("select value from items order by id")
  return found.map(({ value }) => value)
}

async function runAll(
  client: Client,
  input: RuleInput,
  given: Row[],
  hours: readonly number[],
): Promise<(number | null)[]> {
  await fill(client, given)
  for (const hour of hours) await play(client, input, new Date(begin + hour * hourMs).toISOString())
  return values(client)
}

/** Some 1e-15 are lost with each step of the arithmetic, of the larger one of start and loss. */
function expectNear(one: (number | null)[], other: (number | null)[], given: Row[]): void {
  for (const [index, value] of one.entries()) {
    const expected = other[index] ?? null
    if (value === null || expected === null) expect(value).toBe(expected)
    else expect(Math.abs(value - expected)).toBeLessThanOrEqual(1e-9 * Math.max(1, Math.abs(given[index]?.value ?? 1)))
  }
}

const runs = { numRuns: 25 }

it("runs that come often come to the same as one that comes late", () =>
  withDatabase(schema, ({ address }) =>
    withClient(address, { applicationName: "tests" }, async (client) => {
      const law = fc.asyncProperty(rows, rule, slots, async (given, input, hours) => {
        const sorted = hours.toSorted((a, b) => a - b)
        const often = await runAll(client, input, given, sorted)
        const late = await runAll(client, input, given, sorted.slice(-1))
        expectNear(often, late, given)
      })
      await fc.assert(law, runs)
    }),
  ))

it("no value rises, none falls through the floor, and none stays above the ceiling", () =>
  withDatabase(schema, ({ address }) =>
    withClient(address, { applicationName: "tests" }, async (client) => {
      const law = fc.asyncProperty(rows, rule, slots, async (given, input, hours) => {
        await fill(client, given)
        let before = await values(client)
        const { floor = 0, ceiling = Number.POSITIVE_INFINITY } = input
        for (const hour of hours.toSorted((a, b) => a - b)) {
          await play(client, input, new Date(begin + hour * hourMs).toISOString())
          const after = await values(client)
          for (const [index, value] of after.entries()) {
            const was = before[index] ?? null
            if (value === null || was === null) {
              expect(value).toBe(was)
              continue
            }
            // An exponential fades to zero from both sides.
            if (was >= 0 || "linear" in input) expect(value).toBeLessThanOrEqual(was)
            expect(value).toBeGreaterThanOrEqual(Math.min(was, floor))
            const isTold =
              given[index]?.at !== null && (input.halfLife === undefined || typeof input.halfLife === "string")
            if (isTold) expect(value).toBeLessThanOrEqual(ceiling)
          }
          before = after
        }
      })
      await fc.assert(law, runs)
    }),
  ))

it("a value that has a base is the same whenever and however often it is computed, and falls in steps no lower than the last share", () =>
  withDatabase(schema, ({ address }) =>
    withClient(address, { applicationName: "tests" }, async (client) => {
      const closed = fc.oneof(
        shape,
        fc.constant<Partial<RuleInput>>({
          steps: [
            { after: "1 day", share: 0.9 },
            { after: "5 days", share: 0.25 },
          ],
        }),
        fc.constant<Partial<RuleInput>>({ expression: "base / (1 + age_days)" }),
      )
      const input = fc.tuple(closed, grid).map(
        ([one, two]): RuleInput => ({
          ...{
            name: "law",
            table: "items",
            column: "value",
            since: "at",
            base: "base",
            floor: -100,
            maxCatchUp: "1000 days",
          },
          ...one,
          ...two,
        }),
      )
      const law = fc.asyncProperty(rows, input, slots, async (given, one, hours) => {
        const sorted = hours.toSorted((a, b) => a - b)
        expect(await runAll(client, one, given, sorted)).toEqual(await runAll(client, one, given, sorted.slice(-1)))
      })
      await fc.assert(law, runs)
    }),
  ))
