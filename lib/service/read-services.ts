import { resolve } from "node:path"
import type { Environment } from "../config/environment.ts"
import type { OpsConfig } from "../config/schema.ts"
import type { ServiceConfig } from "../config/service-schema.ts"
import { isSettingRef, type SecretRef } from "../config/setting-ref.ts"
import { ConfigError } from "../core/config-error.ts"
import { parsePostgresUrl } from "../postgres/address.ts"
import { statusPageUrl } from "./provider-pages.ts"
import type { HttpProbe, Probe, Service } from "./service.ts"

const defaultTlsPort = 443

/** Every service of the configuration with the values behind its references, in the order in which they are written. */
export function readServices(ops: OpsConfig, env: Environment): Service[] {
  return Object.entries(ops.services).map(([name, config]) => ({
    name,
    probe: readProbe(name, config, env),
    severity: config.severity,
    timeoutMs: config.timeout.ms,
    intervalMs: config.interval?.ms,
    latency: config.latency ?? {},
    numbers: config.numbers,
    coldStartMs: config.sleepy && config.sleepy.coldStartSeconds * 1000,
    dependsOn: config.dependsOn,
    provider: config.provider && statusPageUrl(config.provider),
    maintenance: config.maintenance,
    timezone: ops.app.timezone,
    objective: config.objective,
    runbook: config.runbook,
  }))
}

function readProbe(name: string, config: ServiceConfig, env: Environment): Probe {
  const { tcp, dns, tls, domain, postgres, redis, queries } = config
  const caFile = config.caFile === undefined ? undefined : resolve(config.caFile)
  if (config.url !== undefined) return readHttpProbe(config.url, caFile, config, env)
  if (tcp !== undefined) return { kind: "tcp", ...splitPlace(tcp, 0) }
  if (dns !== undefined) return { kind: "dns", ...dns }
  if (tls !== undefined) return { kind: "tls", ...splitPlace(tls, defaultTlsPort), caFile }
  if (domain !== undefined) return { kind: "domain", domain }
  if (redis !== undefined) return { kind: "redis", url: env.parsedSecret(redis, checkRedisUrl), caFile }
  if (postgres !== undefined) {
    const address = env.parsedSecret(postgres, (text, secret) => parsePostgresUrl(text, secret, { caFile }))
    return { kind: "postgres", address, queries }
  }
  throw new ConfigError(
    `services.${name} says not how it is reached: give it url, tcp, dns, tls, domain, postgres or redis`,
  )
}

function readHttpProbe(
  url: string,
  caFile: string | undefined,
  { method, headers, body, redirects, maxBytes, expect, numbers }: ServiceConfig,
  env: Environment,
): HttpProbe {
  const secrets: string[] = []
  const value = (text: string | SecretRef) => {
    if (!isSettingRef(text)) return text
    const secret = env.secret(text)
    secrets.push(secret)
    return secret
  }
  return {
    kind: "http",
    url,
    method,
    headers: Object.fromEntries(Object.entries(headers).map(([header, text]) => [header, value(text)])),
    body: body === undefined ? undefined : value(body),
    redirects,
    maxBytes,
    caFile,
    expect: expect ?? { json: [], headers: [], format: "any" },
    secrets,
    limits: Object.keys(numbers),
  }
}

/** Host and port of `host:port` and `[::1]:port`. */
function splitPlace(place: string, defaultPort: number): { host: string; port: number } {
  const [, host = "", port] = /^\[?(.*?)\]?(?::(\d+))?$/.exec(place) ?? []
  return { host, port: port === undefined ? defaultPort : Number(port) }
}

/** Returns the URL when a client can take it. The problem names `name` and never quotes the URL: there is a password in it. */
function checkRedisUrl(text: string, name: string): string {
  const url = URL.parse(text.trim())
  if (url === null || (url.protocol !== "redis:" && url.protocol !== "rediss:") || url.hostname === "") {
    throw new ConfigError(`${name} is no Redis URL: it takes redis://user:password@host:6379/0, or rediss:// for TLS`)
  }
  if (!/^\/?\d{0,4}$/.test(url.pathname))
    throw new ConfigError(`${name} ends in no number of a database: write …:6379/0`)
  return url.href
}
