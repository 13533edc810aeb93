import { type Client, escapeIdentifier } from "pg"
import { z } from "zod"
import type { Log } from "../core/log.ts"
import { type CatalogueTable, listTables } from "../postgres/catalogue.ts"
import type { Excluded } from "./proof.ts"
import { pinSettings } from "./table-facts.ts"

/** A transaction's view of the database that other sessions can join by its `id`, with every table locked against DDL. */
export type Snapshot = { client: Client; id: string; tables: CatalogueTable[] }

const lockBatch = 500
const attempts = 10

/**
 * Makes the server look every 5 s whether this client is still there: a killed backup says no good-bye, and its statement, snapshot
 * and lock would stay until the statement ends. Since PostgreSQL 14; servers on Windows cannot.
 */
const noticeLostClient = `select set_config(name, '5s', false) from pg_catalog.pg_settings
  where name = 'client_connection_check_interval' and version() !~* 'visual c|mingw|windows'`

/**
 * Runs `fn` inside one repeatable-read transaction whose snapshot is exported. Every table is locked ACCESS SHARE before the
 * snapshot exists: a TRUNCATE that came between the two would leave a table that is empty in the snapshot and was never empty.
 */
export async function withSnapshot<T>(
  client: Client,
  options: { excluded: Excluded; lockTimeoutMs: number; log: Log },
  fn: (snapshot: Snapshot) => Promise<T>,
): Promise<T> {
  await pinSettings(client)
  await client.query(
    `set lock_timeout = ${options.lockTimeoutMs}; set idle_in_transaction_session_timeout = 0; set statement_timeout = 0`,
  )
  await client.query(noticeLostClient)
  for (let attempt = 1; ; attempt++) {
    const snapshot = await openSnapshot(client, options.excluded, options.lockTimeoutMs)
    if (snapshot !== "tables changed") {
      const result = await fn(snapshot)
      await client.query("rollback")
      return result
    }
    if (attempt === attempts)
      throw new Error(
        `tables were created or dropped ${attempts} times while they were being locked: run the backup again`,
      )
    options.log.info("a table was created or dropped while tables were being locked: starting over")
  }
}

async function openSnapshot(
  client: Client,
  excluded: Excluded,
  lockTimeoutMs: number,
): Promise<Snapshot | "tables changed"> {
  const before = await listTables(client, excluded)
  await client.query("begin isolation level repeatable read, read only")
  try {
    await lockTables(client, before, lockTimeoutMs)
  } catch (error) {
    await client.query("rollback")
    if (error instanceof Error && "code" in error && error.code === "42P01") return "tables changed"
    throw error
  }
  const { rows } = await client.query("select pg_export_snapshot() as id")
  const tables = await listTables(client, excluded)
  if (tables.map((table) => table.oid).join() !== before.map((table) => table.oid).join()) {
    await client.query("rollback")
    return "tables changed"
  }
  return { client, id: z.string().parse(rows[0]?.id), tables }
}

/** Materialized views cannot be locked by name; their definition is read inside the snapshot. */
async function lockTables(client: Client, tables: readonly CatalogueTable[], lockTimeoutMs: number): Promise<void> {
  const names = tables
    .filter((table) => table.kind !== "materialized view")
    .map((table) => `only ${escapeIdentifier(table.schema)}.${escapeIdentifier(table.name)}`)
  for (let start = 0; start < names.length; start += lockBatch) {
    try {
      await client.query(`lock table ${names.slice(start, start + lockBatch).join(", ")} in access share mode`)
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined
      if (code === "53200")
        throw new Error(
          `the server has no room for locks on ${names.length} tables: raise its max_locks_per_transaction (64 are enough for about 5,000 tables) and restart it`,
          { cause: error },
        )
      if (code !== "55P03") throw error
      throw new Error(
        `a table stayed locked for ${lockTimeoutMs / 1000} s: something holds an ACCESS EXCLUSIVE lock, see pg_locks`,
        { cause: error },
      )
    }
  }
}
