import type { ClientConfig } from "pg"
import { ConfigError } from "../core/config-error.ts"
import { caPath, chooseTls, isLocal, nodeTls, type Tls } from "./tls.ts"
import { type PostgresUrl, splitPostgresUrl } from "./url.ts"

/** Where a database is and how to reach it: one reading of its URL, for node-postgres and for libpq's programs. */
export type PostgresAddress = {
  /** The setting that it came from, for messages. */
  name: string
  /** A host name, an IP address, or the directory of a Unix socket. */
  host: string
  port: number
  user: string
  password: string | undefined
  database: string
  tls: Tls
  /** Server settings for the session, as `-c name=value`. */
  options: string | undefined
  channelBinding: "disable" | "prefer" | "require" | undefined
  connectTimeoutSeconds: number
}

const defaultConnectTimeoutSeconds = 15
const knownParameters = "sslmode sslrootcert channel_binding options connect_timeout application_name".split(" ")

/**
 * Reads a `postgres://` URL. `caFile` is the CA that the configuration names, used where the URL has no `sslrootcert`.
 * Throws `ConfigError` with all problems, each naming `name` and never quoting the password: also for what the two clients
 * could not take in the same way (several hosts, no user, no database, no host, parameters that only one of them knows).
 * `application_name` is accepted and not used: each run is named after its job.
 */
export function parsePostgresUrl(
  text: string,
  name: string,
  { caFile }: { caFile?: string | undefined } = {},
): PostgresAddress {
  const url = splitPostgresUrl(text, name)
  const problems: string[] = [...placeProblems(url), ...parameterProblems(url)]
  const channelBinding = url.parameters.get("channel_binding")
  const tls = chooseTls({
    mode: url.parameters.get("sslmode"),
    ca: url.parameters.get("sslrootcert") ?? caFile,
    channelBinding,
    host: url.host,
  })
  if (typeof tls === "string") problems.push(tls)
  else if (tls.mode === "disable" && channelBinding === "require") {
    problems.push("channel_binding=require needs TLS: remove it, or use sslmode=verify-full")
  }
  if (problems.length > 0 || typeof tls === "string")
    throw new ConfigError(problems.map((problem) => `${name}: ${problem}`))
  return {
    name,
    host: url.host,
    port: Number(url.port || 5432),
    user: url.user,
    password: url.password || undefined,
    database: url.database,
    tls,
    options: url.parameters.get("options") || undefined,
    channelBinding: parseChannelBinding(channelBinding),
    connectTimeoutSeconds: Number(url.parameters.get("connect_timeout") ?? defaultConnectTimeoutSeconds),
  }
}

/** Database, place and user, for people: `shop on db.example.com:5432 as alice`. Never the password. */
export function describeAddress({ host, port, user, database }: PostgresAddress): string {
  const place = host.startsWith("/") ? `${host}/.s.PGSQL.${port}` : `${host.includes(":") ? `[${host}]` : host}:${port}`
  return `${database} on ${place} as ${user}`
}

/** What is weak about the connection, with the remedy, for a warning; `undefined` when it is checked or stays on this machine. */
export function tlsWeakness({ tls, host, name }: PostgresAddress): string | undefined {
  if (isLocal(host)) return undefined
  if (tls.mode === "disable")
    return `${name} sends everything in clear text (sslmode=disable): remove sslmode unless the network is private`
  if (tls.mode === "require") {
    return `${name} encrypts but does not check who answers (sslmode=require): use sslmode=verify-full, with caFile for a provider's own CA`
  }
  return undefined
}

/** The address for node-postgres. Nothing is left for it to look up in the environment or in `~/.pgpass`. */
export function clientConfig(address: PostgresAddress): ClientConfig {
  return {
    host: address.host,
    port: address.port,
    user: address.user,
    password: address.password ?? (() => ""),
    database: address.database,
    ssl: nodeTls(address.tls),
    sslnegotiation: "postgres",
    options: address.options,
    enableChannelBinding: address.channelBinding === "prefer" || address.channelBinding === "require",
    connectionTimeoutMillis: address.connectTimeoutSeconds * 1000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 30_000,
  }
}

/**
 * The address as environment of libpq's programs: nothing of it belongs into their arguments. There is no home directory in it,
 * so that no `.pgpass`, `.pg_service.conf` or `.postgresql/` of the user changes what the URL says.
 */
export function programEnvironment(address: PostgresAddress, applicationName = "nightshift"): Record<string, string> {
  const { tls, password, options, channelBinding } = address
  return {
    HOME: "/nonexistent",
    PGHOST: address.host,
    PGPORT: String(address.port),
    PGUSER: address.user,
    PGDATABASE: address.database,
    PGAPPNAME: applicationName,
    PGCONNECT_TIMEOUT: String(address.connectTimeoutSeconds),
    PGGSSENCMODE: "disable",
    PGSSLMODE: tls.mode,
    ...("ca" in tls && { PGSSLROOTCERT: caPath(tls.ca) }),
    ...(password !== undefined && { PGPASSWORD: password }),
    ...(options !== undefined && { PGOPTIONS: options }),
    ...(channelBinding !== undefined && { PGCHANNELBINDING: channelBinding }),
  }
}

/** A value for `--dbname` that means exactly this database, whatever characters its name has. */
export function databaseArgument(database: string): string {
  return `dbname='${database.replaceAll(/[\\']/g, "\\$&")}'`
}

function placeProblems({ host, port, user, database }: PostgresUrl): string[] {
  const problems: string[] = []
  if (user === "") problems.push("names no user: write postgres://user:password@host/database")
  if (database === "") problems.push("names no database: end it with /database")
  if (host === "")
    problems.push("names no host: write localhost, or the folder of the socket as ?host=/var/run/postgresql")
  if (host.includes(","))
    problems.push("names several hosts: name the one to work with (a replica is fine for reading)")
  if (port !== "" && !isPort(port)) {
    problems.push(
      'has a port that is no number from 1 to 65535 (in a password, write "/" as %2F, "?" as %3F, "@" as %40)',
    )
  }
  return problems
}

function parameterProblems({ parameters }: PostgresUrl): string[] {
  const problems: string[] = []
  const unknown = [...parameters.keys()].filter((key) => !knownParameters.includes(key))
  if (unknown.length > 0) {
    const known = knownParameters.join(", ")
    problems.push(`has parameters that are not known here (${unknown.join(", ")}): remove them; known are ${known}`)
  }
  const timeout = parameters.get("connect_timeout")
  if (timeout !== undefined && !(/^\d{1,3}$/.test(timeout) && Number(timeout) >= 1 && Number(timeout) <= 300)) {
    problems.push("connect_timeout is no number of seconds from 1 to 300")
  }
  const binding = parameters.get("channel_binding")
  if (binding !== undefined && !parseChannelBinding(binding)) {
    problems.push("channel_binding is none of disable, prefer, require")
  }
  return problems
}

function parseChannelBinding(text: string | undefined): PostgresAddress["channelBinding"] {
  return text === "disable" || text === "prefer" || text === "require" ? text : undefined
}

function isPort(text: string): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535
}
