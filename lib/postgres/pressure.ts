import type { Client } from "pg"
import { z } from "zod"
import { formatDuration } from "../core/duration.ts"
import { formatBytes, formatCounted } from "../core/size.ts"

/** How the server bears what is written to it. */
export type Pressure = {
  /** Position in the write-ahead log, in bytes since the server's beginning. */
  walBytes: number
  /** Written since the last finished checkpoint began; absent where the role may not know it. */
  sinceCheckpointBytes?: number | undefined
  maxWalSizeBytes: number
  replicas: Replica[]
  /** Replicas of which this role sees that they exist, and no more. */
  hiddenReplicas: number
}

/** A server, or a subscriber, that receives the write-ahead log. `lagMs` is absent while it has nothing to replay. */
export type Replica = { name: string; lagMs?: number | undefined; lagBytes: number }

/** From where on the server is to be left alone for a while. */
export type PressureLimits = {
  replicaLagMs: number
  replicaLagBytes: number
  /** Of `max_wal_size`: a checkpoint that keeps up stays below 1. */
  walShare: number
}

/**
 * A checkpoint that was asked for at half of `max_wal_size` ends before all of it is written; above that it does not keep up. A replica
 * that is 64 MB or 10 s behind would soon show people data of yesterday, or lose its place.
 */
export const pressureLimits: PressureLimits = {
  replicaLagMs: 10_000,
  replicaLagBytes: 64 * 1000 * 1000,
  walShare: 1.25,
}

const row = z.object({
  walBytes: z.number(),
  sinceCheckpointBytes: z.number().nullable(),
  maxWalSizeBytes: z.number(),
  hiddenReplicas: z.number(),
  replicas: z.array(z.object({ name: z.string(), lagMs: z.number().nullable(), lagBytes: z.number() })),
})

/** Asks a primary server. Needs no right; without pg_read_all_stats replicas are only counted. */
export async function readPressure(client: Client): Promise<Pressure> {
  const { rows } = await client.query(pressureSql)
  const { replicas, sinceCheckpointBytes, ...rest } = row.parse(rows[0])
  return {
    ...rest,
    sinceCheckpointBytes: sinceCheckpointBytes ?? undefined,
    replicas: replicas.map(({ lagMs, ...replica }) => ({ ...replica, lagMs: lagMs ?? undefined })),
  }
}

/** A replica that takes a base backup has replayed nothing and never will. */
const pressureSql = `
  select pg_wal_lsn_diff(at.lsn, '0/0')::float8 as "walBytes",
         pg_wal_lsn_diff(at.lsn, (select redo_lsn from pg_control_checkpoint()))::float8 as "sinceCheckpointBytes",
         pg_size_bytes(current_setting('max_wal_size'))::float8 as "maxWalSizeBytes",
         (select count(*)::int from pg_stat_replication where state is null) as "hiddenReplicas",
         (select coalesce(json_agg(json_build_object(
              'name', coalesce(nullif(application_name, ''), 'pid ' || pid),
              'lagMs', extract(epoch from replay_lag) * 1000,
              'lagBytes', greatest(0, pg_wal_lsn_diff(pg_current_wal_flush_lsn(), replay_lsn))) order by pid), '[]')
            from pg_stat_replication where replay_lsn is not null) as replicas
    from (select pg_current_wal_insert_lsn() as lsn) at`

/** Why the server should be left alone for now, one sentence each; empty when it bears it well. */
export function judgePressure(pressure: Pressure, limits: PressureLimits): string[] {
  const { replicas, sinceCheckpointBytes = 0, maxWalSizeBytes } = pressure
  const reasons = replicas.flatMap(({ name, lagMs = 0, lagBytes }) => {
    // The time alone is stale: it is that of the last change that was replayed, however long ago.
    if (lagBytes > limits.replicaLagBytes) return [`replica ${name} is ${formatBytes(lagBytes)} behind`]
    if (lagMs > limits.replicaLagMs && lagBytes > 0) return [`replica ${name} is ${formatDuration(lagMs)} behind`]
    return []
  })
  if (sinceCheckpointBytes > limits.walShare * maxWalSizeBytes)
    reasons.push(
      `${formatBytes(sinceCheckpointBytes)} of write-ahead log since the last checkpoint, with a max_wal_size of ${formatBytes(maxWalSizeBytes)}`,
    )
  return reasons
}

/** How many sessions wait for a lock that this one holds. Inside of a transaction: between two of them nobody does. */
export async function countBlocked(client: Client): Promise<number> {
  const { rows } = await client.query(`select ${blockedCountSql} as blocked`)
  return z.object({ blocked: z.number() }).parse(rows[0]).blocked
}

/** The same as an expression, for a statement that has something else to say too. */
export const blockedCountSql = `(
  select count(distinct w.pid)::int from pg_catalog.pg_locks w
   where not w.granted and pg_catalog.pg_backend_pid() = any(pg_catalog.pg_blocking_pids(w.pid)))`

/** `2 sessions wait`, in a sentence about why it is slow. */
export function describeBlocked(count: number): string {
  return `${formatCounted(count, "session")} ${count === 1 ? "waits" : "wait"} for its locks`
}
