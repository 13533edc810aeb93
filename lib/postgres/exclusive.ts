import type { Client } from "pg"
import type { Log } from "../core/log.ts"
import type { PostgresAddress } from "./address.ts"
import { withAdvisoryLock } from "./advisory-lock.ts"
import { withClient } from "./connect.ts"
import { refuseUnsuitableAddress } from "./pooler.ts"

export type ExclusiveOrder = {
  /** Name of the database in the configuration: what the lock is called after. */
  database: string
  address: PostgresAddress
  /** The job that asks. */
  job: string
  lockWaitMs: number
  log: Log
  signal: AbortSignal
}

/**
 * One session that no other job shares the database with: through no transaction pooler, under the advisory lock `nightshift/<database>`,
 * without a statement timeout of its own. Waits at most `lockWaitMs`, then rejects with `LockHeld`, which names the holder.
 */
export async function withExclusiveSession<T>(
  { database, address, job, lockWaitMs, log, signal }: ExclusiveOrder,
  fn: (client: Client, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const connection = { applicationName: `nightshift/${job}`, signal }
  await refuseUnsuitableAddress(address, connection)
  return withClient(address, { ...connection, statementTimeoutMs: 0 }, (client) =>
    withAdvisoryLock(client, `nightshift/${database}`, { waitMs: lockWaitMs, signal, log }, (locked) =>
      fn(client, locked),
    ),
  )
}
