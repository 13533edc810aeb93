import pg from "pg"
import { z } from "zod"
import { clientConfig, type PostgresAddress } from "./address.ts"
import { explainConnectError, explainConnectionLoss, isConnectionLoss } from "./connect-error.ts"

const closeLimitMs = 2000
const cancelLimitMs = 2500

export type ClientOptions = {
  /** Who the server and other waiting jobs see: `nightshift/<job>`. */
  applicationName: string
  /** Ends the running statement on the server and the connection; `withClient` then rejects with the signal's reason. */
  signal?: AbortSignal | undefined
  /** 0 lifts a limit that the role has; left out, the server's own holds. */
  statementTimeoutMs?: number | undefined
}

/**
 * Runs `fn` with one connection and closes it in every case. A failure to connect says what to do about it. When the connection
 * is lost, the running statement and every later one rejects, and so does `withClient`, naming the place; nothing is thrown elsewhere.
 */
export async function withClient<T>(
  address: PostgresAddress,
  options: ClientOptions,
  fn: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const { signal } = options
  signal?.throwIfAborted()
  const client = newClient(address, options)
  const hangUp = () => void client.connection.stream.destroy()
  signal?.addEventListener("abort", hangUp, { once: true })
  try {
    await connect(client, address)
    return await inSession(client, address, options, fn)
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  } finally {
    signal?.removeEventListener("abort", hangUp)
    await close(client)
  }
}

function newClient(address: PostgresAddress, { applicationName }: ClientOptions): pg.Client {
  const client = new pg.Client({ ...clientConfig(address), application_name: applicationName })
  // A lost connection fails the running statement and all later ones: that is where it is dealt with.
  client.on("error", () => undefined)
  return client
}

async function connect(client: pg.Client, address: PostgresAddress): Promise<void> {
  try {
    await client.connect()
  } catch (error) {
    throw explainConnectError(address, error)
  }
}

async function inSession<T>(
  client: pg.Client,
  address: PostgresAddress,
  options: ClientOptions,
  fn: (client: pg.Client) => Promise<T>,
): Promise<T> {
  let cancelled: Promise<void> | undefined
  let cancel: (() => void) | undefined
  try {
    const pid = await setUp(client, options.statementTimeoutMs)
    cancel = () => {
      cancelled = endBackend(address, pid, options)
    }
    options.signal?.addEventListener("abort", cancel, { once: true })
    return await fn(client)
  } catch (error) {
    throw isConnectionLoss(error) ? explainConnectionLoss(address, error) : error
  } finally {
    if (cancel) options.signal?.removeEventListener("abort", cancel)
    await cancelled
  }
}

/** Returns the session's process id. The timeout is no startup parameter: poolers refuse those that they do not know. */
async function setUp(client: pg.Client, statementTimeoutMs: number | undefined): Promise<number> {
  const set =
    statementTimeoutMs === undefined
      ? ""
      : `, set_config('statement_timeout', '${Math.ceil(statementTimeoutMs)}', false)`
  const { rows } = await client.query(`select pg_backend_pid() as pid${set}`)
  return z.tuple([z.object({ pid: z.number() })]).parse(rows)[0].pid
}

/**
 * Ends a session from outside: a closed socket alone leaves a long statement, its locks and its snapshot on the server until it next
 * writes something. Does not reject: the run is ending already, and where the server is gone so is the session.
 */
async function endBackend(address: PostgresAddress, pid: number, options: ClientOptions): Promise<void> {
  const client = newClient(address, options)
  const timer = setTimeout(() => client.connection.stream.destroy(), cancelLimitMs)
  const sql = `select pg_terminate_backend(pid) from pg_stat_activity
    where pid = $1 and application_name = $2 and usename = current_user`
  const ended = client.connect().then(() => client.query(sql, [pid, options.applicationName]))
  await ended.catch(() => undefined).finally(() => clearTimeout(timer))
  await close(client)
}

/** Says good-bye, and hangs up when the other side does not answer. */
async function close(client: pg.Client): Promise<void> {
  const { promise: limit, resolve: giveUp } = Promise.withResolvers<void>()
  const timer = setTimeout(() => {
    client.connection.stream.destroy()
    giveUp()
  }, closeLimitMs)
  await Promise.race([client.end(), limit]).finally(() => clearTimeout(timer))
}
