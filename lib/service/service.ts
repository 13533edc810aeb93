import type { ServiceConfig } from "../config/service-schema.ts"
import type { Severity } from "../core/severity.ts"
import type { PostgresAddress } from "../postgres/address.ts"

/** A service of the configuration with the values behind its references: what a check needs to look at it. */
export type Service = {
  name: string
  probe: Probe
  /** Where the service says it itself. */
  severity?: Severity | undefined
  timeoutMs: number
  /** Looked at no more often than this. */
  intervalMs?: number
  latency: { degradedMs?: number; failMs?: number }
  numbers: ServiceConfig["numbers"]
  /** How long waking up may take; a service that sleeps. */
  coldStartMs?: number
  dependsOn: readonly string[]
  provider?: string
  maintenance: ServiceConfig["maintenance"]
  timezone: string
  objective?: { availability: number; days: number }
  runbook?: string
}

export type HttpProbe = {
  kind: "http"
  url: string
  method: ServiceConfig["method"]
  headers: Record<string, string>
  body?: string
  redirects: number
  maxBytes: number
  /** Absolute path of a PEM file. */
  caFile?: string
  expect: NonNullable<ServiceConfig["expect"]>
  /** What of headers and body is secret: it may stand in no message, however the server quotes it. */
  secrets?: readonly string[]
  /** Paths of the numbers that have limits. */
  limits?: readonly string[]
}
export type TcpProbe = { kind: "tcp"; host: string; port: number }
export type DnsProbe = { kind: "dns" } & NonNullable<ServiceConfig["dns"]>
export type TlsProbe = { kind: "tls"; host: string; port: number; caFile?: string }
export type DomainProbe = { kind: "domain"; domain: string }
export type PostgresProbe = { kind: "postgres"; address: PostgresAddress; queries?: ServiceConfig["queries"] }
export type RedisProbe = { kind: "redis"; url: string; caFile?: string }

export type Probe = HttpProbe | TcpProbe | DnsProbe | TlsProbe | DomainProbe | PostgresProbe | RedisProbe
