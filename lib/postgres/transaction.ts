import type { Client } from "pg"
import { sleep } from "../system/clock.ts"

export type TransactionOptions = {
  isolation?: "read committed" | "repeatable read" | "serializable"
  readOnly?: boolean
  /** How long one statement may wait for a lock, in milliseconds; 55P03 then. */
  lockTimeoutMs?: number
  /** How long one statement may take, in milliseconds; 57014 then. */
  statementTimeoutMs?: number
}

/** Runs `fn` in one transaction: committed when it resolves, rolled back when it rejects. Timeouts hold inside of it alone. */
export async function withTransaction<T>(
  client: Client,
  { isolation = "read committed", readOnly = false, lockTimeoutMs, statementTimeoutMs }: TransactionOptions,
  fn: () => Promise<T>,
): Promise<T> {
  const settings = [
    lockTimeoutMs === undefined ? "" : `set local lock_timeout = ${Math.ceil(lockTimeoutMs)};`,
    statementTimeoutMs === undefined ? "" : `set local statement_timeout = ${Math.ceil(statementTimeoutMs)};`,
  ]
  await client.query(
    `begin isolation level ${isolation} ${readOnly ? "read only" : "read write"}; ${settings.join(" ")}`,
  )
  let result: T
  try {
    result = await fn()
  } catch (error) {
    // Where the connection is gone so is the transaction, and the first error says why.
    await client.query("rollback").catch(() => undefined)
    throw error
  }
  await client.query("commit")
  return result
}

/** Deadlock, serialisation failure, lock timeout: the same transaction may well succeed when it is tried again. */
const passing = ["40P01", "40001", "55P03"]

export function isPassingConflict(error: unknown): boolean {
  return error instanceof Error && "code" in error && passing.includes(String(error.code))
}

export type RetryOptions = { times: number; waitMs: number; signal: AbortSignal; onRetry?: (error: unknown) => void }

/** Tries `fn` again, up to `times` in all, with doubling waits, when it fails for what passes by itself. Everything else is thrown at once. */
export async function retryConflicts<T>(
  { times, waitMs, signal, onRetry }: RetryOptions,
  fn: () => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    signal.throwIfAborted()
    try {
      return await fn()
    } catch (error) {
      if (attempt >= times || !isPassingConflict(error)) throw error
      onRetry?.(error)
      await sleep(waitMs * 2 ** (attempt - 1), signal)
    }
  }
}
