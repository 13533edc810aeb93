import { errorText } from "../core/error-text.ts"
import type { Log } from "../core/log.ts"
import type { Observation } from "../core/observation.ts"
import type { Ledger } from "../ledger/ledger.ts"
import { readObservations } from "../ledger/observations.ts"
import { lastGoodVersions } from "./gate.ts"
import type { Service } from "./service.ts"

type History = Pick<Ledger, "read" | "streams">

const dayMs = 24 * 3600 * 1000
const versionDays = 30

/** When each service that has an interval was last looked at. A ledger that cannot be read is a reason to look, and warned of. */
export async function readLastLooks(
  ledger: History,
  services: readonly Service[],
  now: Date,
  log: Log,
): Promise<Map<string, Date>> {
  const intervalMs = Math.max(0, ...services.map((service) => service.intervalMs ?? 0))
  if (intervalMs === 0) return new Map()
  const seen = await readPast(ledger, new Date(now.getTime() - intervalMs), now, log)
  return new Map(seen.filter(({ by }) => by === "health").map(({ service, at }) => [service, at]))
}

/** The version with which each service was last seen to be as it should be, 30 days back, without the one that was to come. */
export async function readLastGood(
  ledger: History,
  services: readonly Service[],
  version: string | undefined,
  now: Date,
  log: Log,
): Promise<ReturnType<typeof lastGoodVersions>> {
  const seen = await readPast(ledger, new Date(now.getTime() - versionDays * dayMs), now, log)
  const names = services.map(({ name }) => name)
  return lastGoodVersions(seen, names, version)
}

async function readPast(ledger: History, from: Date, to: Date, log: Log): Promise<Observation[]> {
  try {
    return await readObservations(ledger, from, to)
  } catch (error) {
    log.warn(`cannot see earlier looks: ${errorText(error)}`)
    return []
  }
}
