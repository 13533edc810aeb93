import { chmod, chown, mkdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { inject } from "vitest"
import type { PostgresAddress } from "../../lib/postgres/address.ts"
import { startCluster } from "../../lib/postgres/cluster.ts"
import { withClient } from "../../lib/postgres/connect.ts"
import { findPrograms } from "../../lib/postgres/programs.ts"
import { sleep } from "../../lib/system/clock.ts"
import { runProgram, startProgram } from "../../lib/system/program.ts"
import { withTempDir } from "../../lib/system/temp.ts"
import { unprivilegedUser } from "../../lib/system/user.ts"
import { until } from "./processes.ts"

export type Replicated = {
  primary: PostgresAddress
  replica: PostgresAddress
  /** Runs SQL on one of them and returns the rows of the last statement. */
  query(on: PostgresAddress, sql: string, values?: unknown[]): Promise<Record<string, unknown>[]>
  /** The replica receives what the primary writes but shows and confirms none of it, until `resume`. */
  pause(): Promise<void>
  resume(): Promise<void>
  /** Resolves when the replica has replayed all that the primary wrote until now. */
  untilEven(): Promise<void>
}

const superuser = "nightshift_test"
const settings = {
  listen_addresses: "",
  wal_level: "replica",
  max_wal_senders: "4",
  hot_standby: "on",
  fsync: "off",
  shared_buffers: "32MB",
  max_connections: "30",
  wal_receiver_status_interval: "1",
}

/**
 * Runs `fn` with a primary of its own and a second server that streams from it, as `replica_of_test`. Both are stopped and removed
 * after. `extra` are settings of the primary.
 */
export async function withReplica<T>(
  fn: (servers: Replicated) => Promise<T>,
  extra: Record<string, string> = {},
): Promise<T> {
  const { major, binDirectories } = inject("postgres")
  return withTempDir("replica", async (dir) => {
    const place = await folders(dir, ["primary", "standby", "socket"])
    const started = { major, binDirectories, dir: place.primary, superuser, settings: { ...settings, ...extra } }
    const cluster = await startCluster(started)
    const primary = cluster.address("postgres")
    const programs = await findPrograms(major, ["pg_basebackup", "postgres"], { binDirectories })
    const { user } = place
    const data = join(place.standby, "data")
    let stop = async () => {}
    try {
      await runProgram(
        programs.pg_basebackup,
        ["-h", primary.host, "-p", String(primary.port), "-U", superuser, "-D", data, "-X", "stream", "-c", "fast"],
        { cwd: dir, user, timeoutMs: 60_000 },
      )
      await writeFile(join(data, "standby.signal"), "")
      const own = {
        ...settings,
        port: "5433",
        unix_socket_directories: place.socket,
        primary_conninfo: `host=${primary.host} port=${primary.port} user=${superuser} application_name=replica_of_test`,
      }
      const args = Object.entries(own).flatMap(([name, value]) => ["-c", `${name}=${value}`])
      const server = startProgram(programs.postgres, ["-D", data, ...args], { cwd: dir, user, stdout: "ignore" })
      stop = () => server.kill("SIGQUIT", 5000)
      server.exited.catch(() => undefined) // its end is part of every test
      const servers = describe(primary, { ...primary, host: place.socket, port: 5433 })
      await until("the replica streams", () => streams(servers).catch(() => false))
      return await fn(servers)
    } finally {
      await stop()
      await cluster.stop()
    }
  })
}

async function folders(dir: string, names: readonly ["primary", "standby", "socket"]) {
  const user = await unprivilegedUser()
  if (user) await chmod(dir, 0o711)
  const [primary, standby, socket] = names.map((name) => join(dir, name)) as [string, string, string]
  for (const folder of [primary, standby, socket]) {
    await mkdir(folder, { mode: 0o700 })
    if (user && folder !== primary) await chown(folder, user.uid, user.gid)
  }
  return { primary, standby, socket, user }
}

function describe(primary: PostgresAddress, replica: PostgresAddress): Replicated {
  const query: Replicated["query"] = (on, sql, values) =>
    withClient(on, { applicationName: "tests" }, async (client) => {
      const results = [await client.query(sql, values)].flat()
      return results.at(-1)?.rows ?? []
    })
  return {
    primary,
    replica,
    query,
    async pause() {
      await query(replica, "select pg_wal_replay_pause()")
      // Asked for is not done: what is being replayed is replayed to its end.
      await until("replay is paused", async () => {
        const [row] = await query(replica, "select pg_get_wal_replay_pause_state() = 'paused' as paused")
        return row?.paused === true
      })
    },
    async resume() {
      await query(replica, "select pg_wal_replay_resume()")
    },
    async untilEven() {
      const [row] = await query(primary, "select pg_current_wal_lsn()::text as lsn")
      await until("the replica is even with its primary", async () => {
        await sleep(20)
        const [seen] = await query(replica, "select pg_last_wal_replay_lsn() >= $1::pg_lsn as even", [row?.lsn])
        return seen?.even === true
      })
    },
  }
}

async function streams({ query, primary, replica }: Replicated): Promise<boolean> {
  await query(replica, "select 1")
  const rows = await query(
    primary,
    "select from pg_stat_replication where application_name = 'replica_of_test' and state = 'streaming'",
  )
  return rows.length === 1
}
