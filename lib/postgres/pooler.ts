import { lookup as dnsLookup } from "node:dns/promises"
import type { Client } from "pg"
import { z } from "zod"
import { ConfigError } from "../core/config-error.ts"
import { hasRoute } from "../system/route.ts"
import { describeAddress, type PostgresAddress } from "./address.ts"
import { withClient } from "./connect.ts"
import { isLocal } from "./tls.ts"

type Options = { applicationName: string; signal?: AbortSignal | undefined }

/** Refuses what a session, a snapshot and a lock cannot be had through, with the address to use instead. */
export async function refuseUnsuitableAddress(
  address: PostgresAddress,
  connection: { applicationName: string; signal: AbortSignal },
): Promise<void> {
  await refuseUnreachableIpv6(address)
  await refuseTransactionPooler(address, connection)
}

/**
 * Throws `ConfigError` with the address to use instead when a transaction pooler answers at `address`: there, snapshots, settings and
 * locks belong to whoever comes next. Supabase's port 6543 is known; everything else is asked by two clients, of which one sits in
 * a transaction: the other's server process may neither be the same one nor change.
 */
export async function refuseTransactionPooler(address: PostgresAddress, options: Options): Promise<void> {
  if (address.port === 6543 && supabaseProject(address)) throw transactionPooler(address)
  await withClient(address, options, (one) =>
    withClient(address, options, async (other) => {
      const before = await backendPid(one)
      const between = await beginAndAsk(other, address)
      const after = await backendPid(one)
      await other.query("rollback")
      if (before === between || before !== after) throw transactionPooler(address)
    }),
  )
}

export type Ipv6Options = {
  lookup?: (host: string) => Promise<{ address: string; family: number }[]>
  hasRoute?: (address: string) => Promise<boolean>
}

/**
 * Throws `ConfigError` with the address to use instead when the host has only IPv6 addresses and this machine has no way to them, as
 * GitHub's runners do not. A host that cannot be looked up is left to the connection, which explains it.
 */
export async function refuseUnreachableIpv6(address: PostgresAddress, options: Ipv6Options = {}): Promise<void> {
  const { lookup = (host) => dnsLookup(host, { all: true }), hasRoute: isReachable = hasRoute } = options
  if (isLocal(address.host)) return
  const addresses = await lookup(address.host).catch(() => [])
  if (addresses.length === 0 || addresses.some((one) => one.family === 4)) return
  for (const one of addresses) if (await isReachable(one.address)) return
  const project = supabaseProject(address)
  throw new ConfigError(
    `${address.name}: ${address.host} has only an IPv6 address, and this machine has no IPv6: use ${
      project ? supabaseSessionPooler(address, project) : "the provider's IPv4 address or session pooler"
    }`,
  )
}

async function backendPid(client: Client): Promise<number> {
  const { rows } = await client.query("select pg_backend_pid() as pid")
  return z.object({ pid: z.number() }).parse(rows[0]).pid
}

async function beginAndAsk(client: Client, address: PostgresAddress): Promise<number> {
  await client.query("begin").catch((error: unknown) => {
    throw error instanceof Error && /statement pooling/i.test(error.message) ? transactionPooler(address) : error
  })
  return backendPid(client)
}

function transactionPooler(address: PostgresAddress): ConfigError {
  return new ConfigError(
    `${address.name}: ${describeAddress(address)} is a transaction pooler, through which no snapshot and no lock can be held: use ${direct(address)}`,
  )
}

function direct(address: PostgresAddress): string {
  const { host, user, database } = address
  if (host.endsWith(".pooler.supabase.com")) return `the session pooler, postgres://${user}:…@${host}:5432/${database}`
  const project = supabaseProject(address)
  if (project) return supabaseSessionPooler(address, project)
  if (/-pooler\./.test(host))
    return `the host without "-pooler", postgres://${user}:…@${host.replace("-pooler.", ".")}/${database}`
  return "the address of the Postgres server itself, or of a pool with pool_mode = session"
}

/** The project's reference, for a host of Supabase. */
function supabaseProject({ host, user }: PostgresAddress): string | undefined {
  if (host.endsWith(".pooler.supabase.com")) return user.split(".").at(-1)
  return /^db\.([a-z0-9]+)\.supabase\.(?:co|com)$/.exec(host)?.[1]
}

function supabaseSessionPooler({ user, database }: PostgresAddress, project: string): string {
  const pooled = user.includes(".") ? user : `${user}.${project}`
  return `the session pooler, postgres://${pooled}:…@aws-0-<region>.pooler.supabase.com:5432/${database} (copy the exact host from "Connect" in the project's dashboard: only it knows the region)`
}
