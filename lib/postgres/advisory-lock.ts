import type { Client } from "pg"
import { z } from "zod"
import { formatDuration } from "../core/duration.ts"
import type { Log } from "../core/log.ts"
import { sleep, startTimer } from "../system/clock.ts"

const pollMs = 500
const reminderMs = 60_000

export type LockOptions = {
  /** How long to wait for another holder; 0 tries once. */
  waitMs: number
  signal: AbortSignal
  log: Log
}

/** Another session kept the lock for longer than this one would wait. The message says who. */
export class LockHeld extends Error {
  constructor(name: string, holder: string, waitedMs: number) {
    super(`the lock ${name} is held by ${holder}; waited ${formatDuration(waitedMs)}: try again when it has ended`)
    this.name = "LockHeld"
  }
}

/**
 * Runs `fn` while this session holds the advisory lock `name`, such as `nightshift/main`: the 64-bit key is
 * `hashtextextended(name, 0)`, and it lives in the database that `client` is connected to. Waits at most `waitMs` and rejects with
 * `LockHeld`. The signal given to `fn` fires with the run's own, and when the connection, and with it the lock, is lost.
 */
export async function withAdvisoryLock<T>(
  client: Client,
  name: string,
  options: LockOptions,
  fn: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  await acquire(client, name, options)
  const lost = new AbortController()
  const lose = (error?: Error) =>
    lost.abort(new Error(`the lock ${name} is lost: its connection broke`, error && { cause: error }))
  client.once("error", lose).once("end", lose)
  try {
    const result = await fn(AbortSignal.any([options.signal, lost.signal])).catch(async (error: unknown) => {
      // The session ends with this error, and the lock with the session, whether or not it can still be given back.
      await client
        .query("rollback")
        .then(() => release(client, name))
        .catch(() => undefined)
      lost.signal.throwIfAborted() // what failed because of the loss would be blamed for it
      throw error
    })
    lost.signal.throwIfAborted()
    await release(client, name)
    return result
  } finally {
    client.off("error", lose).off("end", lose)
  }
}

async function acquire(client: Client, name: string, { waitMs, signal, log }: LockOptions): Promise<void> {
  const elapsed = startTimer()
  for (let nextReminderMs = 0; ; ) {
    signal.throwIfAborted()
    const { rows } = await client.query("select pg_try_advisory_lock(hashtextextended($1, 0)) as locked", [name])
    if (z.object({ locked: z.boolean() }).parse(rows[0]).locked) return
    const waitedMs = elapsed()
    if (waitedMs >= waitMs) throw new LockHeld(name, await describeHolder(client, name), waitedMs)
    if (waitedMs >= nextReminderMs) {
      log.info(`waiting for the lock ${name}, held by ${await describeHolder(client, name)}`)
      nextReminderMs = waitedMs + reminderMs
    }
    await sleep(Math.min(pollMs, waitMs - waitedMs), signal)
  }
}

async function release(client: Client, name: string): Promise<void> {
  const { rows } = await client.query("select pg_advisory_unlock(hashtextextended($1, 0)) as unlocked", [name])
  if (z.object({ unlocked: z.boolean() }).parse(rows[0]).unlocked) return
  throw new Error(`the lock ${name} was lost before its work ended: connect without a transaction pooler`)
}

const holderRow = z.object({
  pid: z.number(),
  application: z.string().nullable(),
  role: z.string().nullable(),
  address: z.string().nullable(),
  since: z.string().nullable(),
})

/** Another role's address and start are only shown to members of pg_read_all_stats. */
async function describeHolder(client: Client, name: string): Promise<string> {
  const { rows } = await client.query(
    `select l.pid, a.application_name as application, a.usename::text as role, host(a.client_addr) as address,
            to_char(a.backend_start at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as since
       from pg_locks l left join pg_stat_activity a on a.pid = l.pid,
            (select hashtextextended($1, 0) as key) k
      where l.locktype = 'advisory' and l.granted and l.objsubid = 1
        and l.database = (select oid from pg_database where datname = current_database())
        and l.classid::bigint = ((k.key >> 32) & 4294967295) and l.objid::bigint = (k.key & 4294967295)`,
    [name],
  )
  if (rows.length === 0) return "a session that has just ended"
  const { pid, application, role, address, since } = holderRow.parse(rows[0])
  const details = [
    role && `user ${role}`,
    address ? `from ${address}` : undefined,
    since ? `connected since ${since}` : undefined,
  ].filter(Boolean)
  return `${application || "an unnamed program"} (${[`pid ${pid}`, ...details].join(", ")})`
}
