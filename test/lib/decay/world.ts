import { onTestFinished } from "vitest"
import decay from "../../../jobs/decay.ts"
import type { Job } from "../../../lib/job/job.ts"
import { type Checkout, makeCheckout, type Outcome } from "../../support/checkout.ts"
import { createDatabase, type TestDatabase } from "../../support/postgres.ts"

export type World = {
  database: TestDatabase
  checkout: Checkout
  /** Runs the job at a time, which is its slot. */
  run(at: string, ...argv: string[]): Promise<Outcome>
  runAs(url: string, at: string, ...argv: string[]): Promise<Outcome>
  query: TestDatabase["query"]
  /** Values of one column in the order of the ids. */
  values(sql: string): Promise<unknown[]>
}

/** A database with rows, and a checkout whose one database has these rules. Both are gone when the test ends; the database is kept when it fails. */
export async function makeWorld(sql: string, rules: string): Promise<World> {
  const database = await createDatabase(sql)
  const checkout = await makeCheckout(configOf(rules))
  onTestFinished(async ({ task }) => {
    if (task.result?.state === "fail") return console.error(`kept for you: ${database.url} and ${checkout.dir}`)
    await database.drop()
    await checkout[Symbol.asyncDispose]()
  })
  const runAs = (url: string, at: string, ...argv: string[]) =>
    checkout.run(decay as Job, { now: at, argv, env: { DATABASE_WRITE_URL: url } })
  return {
    database,
    checkout,
    runAs,
    run: (at, ...argv) => runAs(database.url, at, ...argv),
    query: database.query,
    values: async (text) => (await database.query(text)).flatMap((row) => Object.values(row)),
  }
}

/** `items`: four rows of different ages, at midnight of 2 January a day old and so on; the last is without a value. */
export const itemsSql = `
  create table items (id bigint generated always as identity primary key, value double precision, at timestamptz not null, note text);
  insert into items (value, at) values (1, '2026-01-01T00:00Z'), (0.8, '2026-01-05T00:00Z'), (0.4, '2026-01-10T12:00Z'), (null, '2026-01-01T00:00Z')`

export const halving = `{ name: "fading", table: "items", column: "value", since: "at", halfLife: "1 day" }`

/** Runs other rules on the database of a world. */
export async function runOther(world: World, rules: string, at: string, ...argv: string[]): Promise<Outcome> {
  await using checkout = await makeCheckout(configOf(rules))
  return await checkout.run(decay as Job, { now: at, argv, env: { DATABASE_WRITE_URL: world.database.url } })
}

function configOf(rules: string): string {
  return `app: { name: "Shop" }, databases: { main: { url: secret("DATABASE_URL"), writeUrl: secret("DATABASE_WRITE_URL"), decay: [${rules}] } }`
}
