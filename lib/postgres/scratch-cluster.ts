import { readFile } from "node:fs/promises"
import { totalmem } from "node:os"
import { join } from "node:path"
import { formatDuration } from "../core/duration.ts"
import { errorText } from "../core/error-text.ts"
import type { Log } from "../core/log.ts"
import { sleep, startTimer } from "../system/clock.ts"
import { endStrayProgram } from "../system/stray-program.ts"
import { sweepStaleTempDirs, withTempDir } from "../system/temp.ts"
import type { PostgresAddress } from "./address.ts"
import { type RunningCluster, startCluster } from "./cluster.ts"
import { createDatabase, type NewDatabase } from "./create-database.ts"
import type { SearchOptions } from "./program-inventory.ts"

const crashNoticeMs = 500

export type ScratchOptions = SearchOptions & {
  major: number
  signal: AbortSignal
  log: Log
  /** A name that no dump uses. */
  superuser?: string
  /** Server settings, over those that suit a short life. */
  settings?: Record<string, string>
}

export type ScratchCluster = {
  /** A database of the cluster over its Unix socket, as the superuser; `postgres` always exists. */
  address(database: string): PostgresAddress
  /** Makes an empty database. Rejects with `LocaleMissing` when this machine lacks the locale. */
  createDatabase(database: NewDatabase): Promise<void>
}

/**
 * Runs `fn` with a Postgres server of its own: no network, data that survives nothing, a superuser that needs no password. The server
 * is stopped and its files are removed in every case; when `signal` fires at once, whatever `fn` is doing. What killed runs left
 * behind is stopped and removed first.
 */
export async function withScratchCluster<T>(
  options: ScratchOptions,
  fn: (cluster: ScratchCluster) => Promise<T>,
): Promise<T> {
  const { log, signal } = options
  await sweepScratchClusters(log)
  return withTempDir("pg", async (dir) => {
    const elapsed = startTimer()
    const { superuser = "nightshift_scratch" } = options
    const settings = { ...shortLivedSettings(), ...options.settings }
    const cluster = await startCluster({ ...options, dir, superuser, settings })
    log.debug(`scratch server of PostgreSQL ${options.major} ready after ${formatDuration(elapsed())}`)
    return useCluster(cluster, signal, fn)
  })
}

async function useCluster<T>(
  cluster: RunningCluster,
  signal: AbortSignal,
  fn: (cluster: ScratchCluster) => Promise<T>,
): Promise<T> {
  const stop = () => void cluster.stop()
  signal.addEventListener("abort", stop, { once: true })
  try {
    return await fn({
      address: cluster.address,
      createDatabase: (database) => createDatabase(cluster.address("postgres"), database, signal),
    })
  } catch (error) {
    signal.throwIfAborted()
    // A client may notice the end of the server before this process does.
    const lastWords = await Promise.race([cluster.crashed, sleep(crashNoticeMs)])
    throw lastWords === undefined
      ? error
      : new Error(`the scratch server ended by itself: ${lastWords}`, { cause: error })
  } finally {
    signal.removeEventListener("abort", stop)
    await cluster.stop()
  }
}

/** Stops and removes scratch clusters whose process was killed before it could. Logs what it did; a failure is only a warning. */
export async function sweepScratchClusters(log: Log): Promise<void> {
  try {
    const removed = await sweepStaleTempDirs(stopStrayServer)
    if (removed.length > 0) log.info(`removed what killed runs left behind: ${removed.join(", ")}`)
  } catch (error) {
    log.warn(errorText(error))
  }
}

async function stopStrayServer(dir: string): Promise<void> {
  const data = join(dir, "data")
  let pidFile: string
  try {
    pidFile = await readFile(join(data, "postmaster.pid"), "utf8")
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return
    throw error
  }
  await endStrayProgram(Number.parseInt(pidFile, 10), data, "SIGQUIT")
}

/** For a server that is filled once, read once and thrown away. */
function shortLivedSettings(): Record<string, string> {
  const memoryMb = Math.floor(totalmem() / 1024 / 1024)
  const share = (divisor: number, leastMb: number, mostMb: number) =>
    `${Math.min(mostMb, Math.max(leastMb, Math.floor(memoryMb / divisor)))}MB`
  return {
    listen_addresses: "",
    fsync: "off",
    synchronous_commit: "off",
    full_page_writes: "off",
    wal_level: "minimal",
    max_wal_senders: "0",
    max_wal_size: "4GB",
    checkpoint_timeout: "1h",
    autovacuum: "off",
    shared_buffers: share(16, 64, 1024),
    maintenance_work_mem: share(16, 64, 1024),
    max_connections: "20",
    max_locks_per_transaction: "2048", // x max_connections: 40,000 objects in one transaction
    jit: "off",
    log_checkpoints: "off",
  }
}
