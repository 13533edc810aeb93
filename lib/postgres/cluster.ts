import { chmod, chown, mkdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { formatDuration } from "../core/duration.ts"
import { errorText } from "../core/error-text.ts"
import { sleep, startTimer } from "../system/clock.ts"
import { type RunningProgram, runProgram, startProgram } from "../system/program.ts"
import { makeTempDir, removeTempDir, shortTempBase } from "../system/temp.ts"
import { unprivilegedUser } from "../system/user.ts"
import type { PostgresAddress } from "./address.ts"
import { withClient } from "./connect.ts"
import type { SearchOptions } from "./program-inventory.ts"
import { serverPrograms } from "./programs.ts"

const initdbLimitMs = 120_000
const readyLimitMs = 60_000
const stopGraceMs = 5000
const longestSocketName = ".s.PGSQL.65535"
const maxSocketPathBytes = 103

export type ClusterOptions = SearchOptions & {
  major: number
  /** An empty directory. The data goes into `data`, the socket into `socket`. */
  dir: string
  superuser: string
  settings: Record<string, string>
  /** Names the socket, and is the port of `listen_addresses`; 5432 unless told. */
  port?: number
  /** Replaces `pg_hba.conf`, which else trusts everyone who can reach the server. */
  hba?: string
  signal?: AbortSignal
}

export type RunningCluster = {
  /** The database over the Unix socket, as the superuser. */
  address(database: string): PostgresAddress
  /** Resolves with what the server said last, when it ends without having been stopped. */
  readonly crashed: Promise<string>
  /** Ends the server without care for its data. Resolves when its process is gone; safe to call twice. */
  stop(): Promise<void>
}

/**
 * Makes a cluster and starts its server as a child of this process, under an unprivileged user when this is root.
 * Resolves when it takes connections. Rejects, with nothing left running, when that fails or takes longer than a minute.
 */
export async function startCluster(options: ClusterOptions): Promise<RunningCluster> {
  const { dir, signal, superuser, port = 5432 } = options
  const programs = await serverPrograms(options.major, options)
  const user = await unprivilegedUser()
  const data = join(dir, "data")
  const socket = await makeSocketFolder(dir)
  try {
    if (user) await chmod(dir, 0o711) // the server's user must get through to its own folders
    await mkdir(data, { mode: 0o700 })
    for (const folder of [data, socket]) if (user) await chown(folder, user.uid, user.gid)
    const common = { cwd: dir, user }
    const initArgs = ["-D", data, "-U", superuser, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
    await runProgram(programs.initdb, initArgs, { ...common, signal, timeoutMs: initdbLimitMs })
    if (options.hba !== undefined) await writeFile(join(data, "pg_hba.conf"), options.hba)

    signal?.throwIfAborted()
    const args = serverArguments(options.settings, socket, port)
    const server = startProgram(programs.postgres, ["-D", data, ...args], { ...common, stdout: "ignore" })
    const cluster = describeCluster(server, { socket, port, superuser })
    await untilReady(cluster, server, signal).catch(async (error: unknown) => {
      await cluster.stop()
      throw error
    })
    return cluster
  } catch (error) {
    await removeTempDir(socket)
    throw error
  }
}

function serverArguments(given: Record<string, string>, socket: string, port: number): string[] {
  const own = { unix_socket_directories: socket, unix_socket_permissions: "0700", port: String(port) }
  return Object.entries({ ...given, ...own }).flatMap(([name, value]) => ["-c", `${name}=${value}`])
}

/** A socket's path has a limit that a long temp directory exceeds; the socket then gets a directory of its own elsewhere. */
async function makeSocketFolder(dir: string): Promise<string> {
  const socket = join(dir, "socket")
  if (Buffer.byteLength(join(socket, longestSocketName)) > maxSocketPathBytes)
    return makeTempDir("socket", shortTempBase)
  await mkdir(socket, { mode: 0o700 })
  return socket
}

type Place = { socket: string; port: number; superuser: string }

function describeCluster(server: RunningProgram, { socket, port, superuser }: Place): RunningCluster {
  let stopping = false
  const { promise: crashed, resolve: crash } = Promise.withResolvers<string>()
  server.exited.then(
    () => stopping || crash(lastWords(server)),
    (error: unknown) => crash(errorText(error)),
  )
  return {
    crashed,
    address: (database) => ({
      name: "the scratch server",
      host: socket,
      port,
      user: superuser,
      password: undefined,
      database,
      tls: { mode: "disable" },
      options: undefined,
      channelBinding: undefined,
      connectTimeoutSeconds: 10,
    }),
    async stop() {
      stopping = true
      await server.kill("SIGQUIT", stopGraceMs)
      await removeTempDir(socket)
    },
  }
}

async function untilReady(
  cluster: RunningCluster,
  server: RunningProgram,
  signal: AbortSignal | undefined,
): Promise<void> {
  let ended = false
  cluster.crashed.then(() => {
    ended = true
  })
  const elapsed = startTimer()
  const options = { applicationName: "nightshift/start", signal }
  let lastError: unknown
  while (elapsed() < readyLimitMs) {
    if (ended) throw new Error(`the scratch server did not start: ${await cluster.crashed}`)
    try {
      return await withClient(cluster.address("postgres"), options, async () => undefined)
    } catch (error) {
      signal?.throwIfAborted()
      lastError = error
    }
    await sleep(20, signal)
  }
  const message = `the scratch server took no connection within ${formatDuration(readyLimitMs)}: ${lastWords(server)}`
  throw new Error(message, { cause: lastError })
}

function lastWords(server: RunningProgram): string {
  return server.stderr().trim().split("\n").slice(-5).join("\n").slice(-1000) || "it said nothing"
}
