import { expect, inject, it } from "vitest"
import type { PostgresAddress } from "../../lib/postgres/address.ts"
import { withClient } from "../../lib/postgres/connect.ts"
import { withScratchCluster } from "../../lib/postgres/scratch-cluster.ts"
import { setup } from "../support/night.ts"
import { prove, troubles } from "../support/proven.ts"

const tables = 5000

/** As a server comes when nobody configured it. */
const defaults = {
  max_connections: "100",
  max_locks_per_transaction: "64",
  wal_level: "replica",
  max_wal_senders: "10",
  listen_addresses: "",
}
const log = {
  debug() {},
  info() {},
  warn: console.error,
  error: console.error,
  progress: () => ({ at() {}, done() {} }),
}

it("backs up and proves 5,000 tables of a server with default settings", async () => {
  const night = await setup()
  const { signal } = new AbortController()
  const options = { ...inject("postgres"), settings: defaults, log, signal }
  await withScratchCluster(options, async (cluster) => {
    const address = cluster.address("postgres")
    await makeTables(address)
    const { backup, test, receipt, set } = await prove(night, { DATABASE_URL: urlOf(address) })
    const memoryMb = Math.round(process.resourceUsage().maxRSS / 1024)
    console.info({ backupMs: set.manifest.durationsMs, restoreTestMs: receipt.timingsMs, memoryMb })
    expect(backup.exitCode, backup.stderr).toBe(0)
    expect(set.manifest.totals.tables).toBe(tables)
    expect(set.manifest.proof.tablesHashed).toBe(tables)
    expect(set.manifest.leftOut).toEqual([])
    expect(test.exitCode, test.stderr).toBe(0)
    expect(troubles(receipt)).toEqual({})
    expect(set.manifest.durationsMs.total).toBeLessThan(120_000)
    expect(receipt.timingsMs.total).toBeLessThan(300_000)
  })
})

/** Tables with a key, an index, a foreign key to their neighbour, a sequence and a row each. */
async function makeTables(address: PostgresAddress): Promise<void> {
  await withClient(address, { applicationName: "tests", statementTimeoutMs: 0 }, async (client) => {
    for (let first = 0; first < tables; first += 500) {
      await client.query(`do $$ begin for i in ${first}..${first + 499} loop
        execute format('create table t%s (id serial primary key, v text, other int%s)', i, case when i % 500 > 0 then format(' references t%s', i - 1) end);
        execute format('create index on t%s (v)', i); execute format('insert into t%s (v, other) values (%L, %s)', i, md5(i::text), case when i % 500 > 0 then '1' else 'null' end);
      end loop; end $$`)
    }
  })
}

function urlOf({ host, port, user, database }: PostgresAddress): string {
  return `postgres://${user}@${encodeURIComponent(host)}:${port}/${database}`
}
