import type { Client } from "pg"
import { z } from "zod"
import { errorText } from "../core/error-text.ts"
import type { Log } from "../core/log.ts"
import { formatCount } from "../core/size.ts"
import { quoteTable, renderTableName, type TableName } from "../postgres/name.ts"
import { retryConflicts } from "../postgres/transaction.ts"
import { sleep, startTimer } from "../system/clock.ts"

const largeRows = 100_000
const largeShare = 0.1
const usualLockTimeoutMs = 5000
const usualLimitMs = 30 * 60_000
const statisticsMs = 5000
const worthSaying = 1000

/** More than 100,000 rows or a tenth of the table: autovacuum would come late, and plans would go on believing in rows that are gone. */
export async function isLargeRemoval(client: Client, { oid }: { oid: string }, removed: number): Promise<boolean> {
  if (removed > largeRows) return true
  const { rows } = await client.query(
    "select reltuples::float8 as before from pg_catalog.pg_class where oid = $1::oid",
    [oid],
  )
  const [row] = z.array(z.object({ before: z.number() })).parse(rows)
  return row !== undefined && removed > 0 && removed > largeShare * Math.max(row.before, removed)
}

export type VacuumOptions = { log: Log; signal: AbortSignal; limitMs?: number; lockTimeoutMs?: number }

/**
 * `VACUUM (ANALYZE)` of one table, at the pace of autovacuum, and a look whether it really ran: on a table of another owner it only warns.
 * Never in a transaction. Does not reject for what keeps it from running: `notes` says that, and what somebody can run instead.
 */
export async function vacuumTable(
  client: Client,
  table: TableName & { oid: string },
  options: VacuumOptions,
): Promise<{ isDone: boolean; notes: string[] }> {
  const name = renderTableName(table)
  const isFlushed = await flushStatistics(client)
  const before = await statistics(client, table.oid)
  const sql = `vacuum (analyze) ${quoteTable(table)}`
  const failure = await withSettings(client, options, () =>
    retryConflicts({ times: 3, waitMs: 500, signal: options.signal }, () => client.query(sql)),
  )
  const after = await untilMoved(client, table.oid, {
    before: before.vacuums,
    patienceMs: isFlushed ? 0 : statisticsMs,
  })
  if (after.vacuums === before.vacuums) {
    const why = failure ?? `only ${after.owner} may, or a superuser`
    return { isDone: false, notes: [`VACUUM of ${name} did not run: ${why}: run as its owner: ${sql}`] }
  }
  options.log.info(`vacuumed ${name}`)
  return { isDone: true, notes: await remaining(client, name, { ...after, isFlushed }) }
}

/** Returns why `fn` failed for a reason that is the vacuum's own; every other error is thrown. */
async function withSettings(
  client: Client,
  { limitMs = usualLimitMs, lockTimeoutMs = usualLockTimeoutMs }: VacuumOptions,
  fn: () => Promise<unknown>,
): Promise<string | undefined> {
  const wanted = {
    statement_timeout: limitMs,
    lock_timeout: lockTimeoutMs,
    vacuum_cost_delay: 2,
    vacuum_cost_limit: 1000,
  }
  const names = Object.keys(wanted)
  const set = (values: readonly unknown[]) =>
    client.query("select set_config(name, value, false) from unnest($1::text[], $2::text[]) s (name, value)", [
      names,
      values,
    ])
  const { rows } = await client.query("select current_setting(name) as value from unnest($1::text[]) name", [names])
  const before = z.array(z.object({ value: z.string() })).parse(rows)
  await set(Object.values(wanted))
  let failure: string | undefined
  try {
    await fn()
  } catch (error) {
    if (!isServerError(error)) throw error
    failure = errorText(error)
  }
  await set(before.map(({ value }) => value))
  return failure
}

/** An answer of the server, after which the session goes on. */
function isServerError(error: unknown): error is Error {
  return error instanceof Error && "code" in error && /^(?!57P)\w{5}$/.test(String(error.code))
}

const statisticsRow = z.object({ vacuums: z.number(), deadRows: z.number(), owner: z.string() })

async function statistics(client: Client, oid: string): Promise<z.output<typeof statisticsRow>> {
  const { rows } = await client.query(
    `select pg_stat_get_vacuum_count(c.oid)::float8 as vacuums, pg_stat_get_dead_tuples(c.oid)::float8 as "deadRows",
            pg_get_userbyid(c.relowner) as owner
       from pg_catalog.pg_class c where c.oid = $1::oid`,
    [oid],
  )
  return statisticsRow.parse(rows[0])
}

/** Servers before PostgreSQL 15 tell their statistics a moment later. */
async function untilMoved(
  client: Client,
  oid: string,
  { before, patienceMs }: { before: number; patienceMs: number },
): Promise<z.output<typeof statisticsRow>> {
  const elapsed = startTimer()
  for (;;) {
    const seen = await statistics(client, oid)
    if (seen.vacuums !== before || elapsed() >= patienceMs) return seen
    await sleep(250)
  }
}

/** What this session deleted is counted a moment later, and would then seem to have been left by the vacuum. Servers from 15 on count it at once when asked. */
async function flushStatistics(client: Client): Promise<boolean> {
  const { rows } = await client.query("select from pg_catalog.pg_proc where proname = 'pg_stat_force_next_flush'")
  if (rows.length === 0) return false
  await client.query("select pg_stat_force_next_flush()")
  return true
}

/** Dead rows that an old snapshot may still want to see stay, whoever vacuums. */
async function remaining(
  client: Client,
  name: string,
  { deadRows, isFlushed }: { deadRows: number; isFlushed: boolean },
): Promise<string[]> {
  if (deadRows < worthSaying) return []
  const { rows } = await client.query(
    `select holder from (
       select age(backend_xmin) as age, coalesce(nullif(application_name, ''), 'an unnamed program') || ' (pid ' || pid || ')' as holder
         from pg_catalog.pg_stat_activity where backend_xmin is not null and pid <> pg_backend_pid()
          and (datname = current_database() or datname is null) -- those of other databases hold nothing up here
       union all
       select greatest(age(xmin), age(catalog_xmin)), 'the replication slot ' || slot_name from pg_catalog.pg_replication_slots
        where xmin is not null or catalog_xmin is not null
       union all
       select age(transaction), 'the prepared transaction ' || gid from pg_catalog.pg_prepared_xacts) holders
      order by age desc limit 1`,
  )
  const [oldest] = z.array(z.object({ holder: z.string() })).parse(rows)
  if (!oldest && !isFlushed) return []
  const why = oldest?.holder ?? "a session that this role does not see"
  return [`${formatCount(deadRows)} dead rows of ${name} could not be taken away: ${why} may still look at them`]
}
