import type { Environment } from "../config/environment.ts"
import type { OpsConfig } from "../config/schema.ts"
import type { ServiceConfig } from "../config/service-schema.ts"
import { ConfigError } from "../core/config-error.ts"
import { readServices } from "./read-services.ts"
import type { Service } from "./service.ts"
import { readHours, type WarmHours } from "./warm-hours.ts"

/** What a service promises its visitors of its warmth, and what that may cost. */
export type WarmSettings = {
  name: string
  /** A database is asked a query; all else is asked over HTTP. */
  kind: "web" | "database"
  everyMs: number
  hours: WarmHours
  /** Without a request for so long the host puts it to sleep. */
  idleMs: number
  /** A later first byte was a cold start. */
  coldMs: number
  /** How long waking up may take. */
  wakeMs: number
  /** Share of the active hours that should be warm, 0 to 1. */
  atLeast: number
  /** Hours a month that the host gives. */
  budgetHours?: number
  /** After so many days without a cold start keeping warm may no longer be needed. */
  enoughDays: number
}

/** A service that is kept warm, with what is needed to ping it. */
export type WarmTarget = WarmSettings & {
  service: Service
  /** Address that is pinged, of a web service. */
  url?: string
  /** Text that only the app itself answers. */
  marker?: string
  /** Query that must return a row, of a database. */
  sql?: string
}

const minuteMs = 60_000
const webIdleMinutes = 15
const databaseIdleMinutes = 7 * 1440
const defaultColdMs = 3000
const defaultWakeMs = 60_000

/** A target, or what is missing of it on a machine on which not every secret is exported. */
export type ReadTarget = { name: string } & ({ value: WarmTarget } | { missing: string[] })

/** The services that have `keepWarm`, in the order in which they are written. Of the others no secret is asked. Throws `ConfigError`. */
export function readWarmTargets(ops: OpsConfig, env: Environment): ReadTarget[] {
  return warmServices(ops).map(([name, config]) => ({
    name,
    ...env.part((own): WarmTarget => {
      const [service] = readServices({ ...ops, services: { [name]: config } }, own)
      if (!service) throw new Error(`service ${name} was not read`)
      const { url = config.url, marker = config.expect?.text, sql } = config.keepWarm
      return { ...warmSettings(name, config, ops.app.timezone), service, url, marker, sql }
    }),
  }))
}

export type WarmServiceConfig = ServiceConfig & { keepWarm: NonNullable<ServiceConfig["keepWarm"]> }

/** The configured services that have `keepWarm`. Throws `ConfigError` where it cannot work. */
export function warmServices({ services }: OpsConfig): [string, WarmServiceConfig][] {
  const kept = Object.entries(services).flatMap(([name, config]): [string, WarmServiceConfig][] =>
    config.keepWarm ? [[name, { ...config, keepWarm: config.keepWarm }]] : [],
  )
  const problems = kept.flatMap(([name, { postgres, keepWarm }]) => {
    if (postgres === undefined) return []
    const example = 'such as "select id from users limit 1"'
    if (keepWarm.sql === undefined)
      return `services.${name}.keepWarm.sql is missing: it takes a query on a real table, ${example}`
    return /\bfrom\b/i.test(keepWarm.sql)
      ? []
      : `services.${name}.keepWarm.sql reads no table, which keeps no database awake: it takes a query on a real one, ${example}`
  })
  if (problems.length > 0) throw new ConfigError(problems)
  return kept
}

/** What `keepWarm` of a service means. Needs no secret. */
export function warmSettings(
  name: string,
  { keepWarm, postgres, sleepy }: WarmServiceConfig,
  timezone: string,
): WarmSettings {
  const kind = postgres === undefined ? "web" : "database"
  return {
    ...{ name, kind, everyMs: keepWarm.every.ms, hours: readHours(keepWarm, timezone) },
    idleMs: (keepWarm.idleMinutes ?? (kind === "web" ? webIdleMinutes : databaseIdleMinutes)) * minuteMs,
    coldMs: keepWarm.coldMs ?? defaultColdMs,
    wakeMs: sleepy ? sleepy.coldStartSeconds * 1000 : defaultWakeMs,
    atLeast: keepWarm.atLeast,
    budgetHours: keepWarm.budgetHours,
    enoughDays: keepWarm.enoughDays,
  }
}
