import { careSchema } from "../../lib/config/care-schema.ts"
import { careChecks } from "../../lib/dbcare/all-checks.ts"
import { runChecks } from "../../lib/dbcare/run-checks.ts"
import type { PostgresAddress } from "../../lib/postgres/address.ts"
import { withClient } from "../../lib/postgres/connect.ts"
import { newestMajor } from "../../lib/postgres/programs.ts"
import { withScratchCluster } from "../../lib/postgres/scratch-cluster.ts"
import { startTimer } from "../../lib/system/clock.ts"

/*
 * Measures all daily checks of a database with many tables: each a key, an index, a foreign key to its neighbour, a sequence and a row.
 * Prints the time of each check, the slowest first, and the whole; ends with 1 when the median of the rounds is over the bound.
 *
 *     node --import tsx test/bench/database-checks.ts                    5 rounds, 5,000 tables, 5 seconds
 *     node --import tsx test/bench/database-checks.ts --tables 500
 */
const tables = numberOption("--tables", 5000)
const rounds = numberOption("--rounds", 5)
const boundMs = 5000

const quiet = () => undefined
const log = {
  debug: quiet,
  info: quiet,
  warn: console.error,
  error: console.error,
  progress: () => ({ at: quiet, done: quiet }),
}
const settings = { max_connections: "100", max_locks_per_transaction: "64", track_counts: "on" }
const { signal } = new AbortController()

await withScratchCluster(
  { major: await newestMajor(["initdb", "postgres"]), settings, log, signal },
  async (cluster) => {
    const address = cluster.address("postgres")
    await makeTables(address)
    const wholes: number[] = []
    const parts = new Map<string, number[]>()
    for (let round = 0; round < rounds; round++) {
      const elapsed = startTimer()
      const order = {
        address,
        checks: careChecks,
        settings: careSchema.parse({}),
        now: new Date(),
        earlier: [],
        signal,
      }
      const reports = await runChecks(order)
      wholes.push(elapsed())
      for (const { check, durationMs, result } of reports) {
        if (result.status === "failed") throw new Error(`${check.name}: ${result.reason}`)
        parts.set(check.name, [...(parts.get(check.name) ?? []), durationMs])
      }
    }
    const slowest = [...parts].map(([name, times]) => ({ check: name, medianMs: Math.round(median(times)) }))
    console.table(slowest.sort((a, b) => b.medianMs - a.medianMs))
    console.log(
      `${tables} tables, ${careChecks.length} checks: median ${Math.round(median(wholes))} ms of ${wholes.map(Math.round).join(", ")}`,
    )
    if (median(wholes) > boundMs) process.exitCode = 1
  },
)

/** Tables with a key, an index, a foreign key to their neighbour, a sequence and a row each. */
async function makeTables(address: PostgresAddress): Promise<void> {
  await withClient(address, { applicationName: "bench", statementTimeoutMs: 0 }, async (client) => {
    for (let first = 0; first < tables; first += 500) {
      await client.query(`do $$ begin for i in ${first}..${Math.min(first + 499, tables - 1)} loop
        execute format('create table t%s (id serial primary key, v text, other int%s)', i, case when i % 500 > 0 then format(' references t%s', i - 1) end);
        execute format('create index on t%s (v)', i); execute format('insert into t%s (v, other) values (%L, %s)', i, md5(i::text), case when i % 500 > 0 then '1' else 'null' end);
      end loop; end $$`)
    }
    await client.query("analyze")
  })
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

function numberOption(name: string, otherwise: number): number {
  const at = process.argv.indexOf(name)
  const value = at === -1 ? otherwise : Number(process.argv[at + 1])
  if (!Number.isInteger(value) || value < 1) throw new Error(`${name} takes a number from 1 on`)
  return value
}
