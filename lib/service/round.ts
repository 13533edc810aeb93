import type { Log } from "../core/log.ts"
import { askProviders, withCauses } from "./blame.ts"
import { excuseRunnerFaults } from "./canaries.ts"
import { confirmFailure } from "./confirm.ts"
import { isFailure, type Look, lookWithRetries } from "./look.ts"
import { inMaintenance } from "./maintenance.ts"
import type { ProviderTrouble } from "./provider-status.ts"
import type { Patience } from "./retry.ts"
import type { Service } from "./service.ts"
import { startWatch, type Watch } from "./watch.ts"

/** How a round is paced; all times in milliseconds. */
export type Pace = Patience & {
  /** How many services are looked at at once. */
  limit: number
  /** For the whole round. */
  deadlineMs: number
  /** When what failed is probed again, counted from its failure. */
  confirmAfterMs: readonly number[]
  canaryTimeoutMs: number
  providerTimeoutMs: number
}

export const usualPace: Pace = {
  limit: 20,
  deadlineMs: 240_000,
  retryWaitsMs: [500, 2000],
  maxRetryAfterMs: 10_000,
  confirmAfterMs: [5000, 12_000, 25_000],
  canaryTimeoutMs: 5000,
  providerTimeoutMs: 10_000,
}

export type RoundOrder = {
  now: Date
  signal: AbortSignal
  log: Log
  canaries: readonly string[]
  /** When each service was last looked at, by name: one with an interval is not looked at before it is over. */
  lastLooks?: ReadonlyMap<string, Date>
  /** What waits are varied by: the run's id. */
  seed: string
  pace?: Partial<Pace>
}

/** What one round saw. Of `notDue` nothing was seen: their interval is not over. */
export type Round = {
  looks: Look[]
  notDue: Service[]
  providers: ProviderTrouble[]
  /** What a person should know of the round itself. */
  notes: string[]
}

/**
 * Looks at all services at once, as far as the limit goes: tries again where that can help, asks canaries, probes again what still
 * fails, and finds what is at fault. Looks come in the order of `services`. Rejects with the signal's reason when the run ends, and with
 * `ConfigError` for a maintenance window that is none.
 */
export async function lookAround(services: readonly Service[], order: RoundOrder): Promise<Round> {
  const pace = { ...usualPace, ...order.pace }
  const watch = startWatch({ ...order, ...pace })
  const planned = new Map(services.map((s) => [s.name, inMaintenance(s.maintenance, order.now, s.timezone)]))
  const look = async (service: Service): Promise<Look> => {
    const seen = await lookWithRetries(service, watch, pace, order.seed)
    return { ...seen, maintenance: planned.get(service.name) }
  }
  const waiting = new Set(services.filter((service) => !isDue(service, order)))
  const seen = await Promise.all(services.filter((service) => !waiting.has(service)).map(look))
  const parents = [...waiting].filter((service) => isBelowFailure(service, services, seen))
  seen.push(...(await Promise.all(parents.map(look))))
  for (const parent of parents) waiting.delete(parent)

  const canaries = { urls: order.canaries, timeoutMs: pace.canaryTimeoutMs }
  const early = await excuseRunnerFaults(seen, canaries, watch)
  const confirmed = await Promise.all(early.looks.map((one) => confirmWhereNeeded(one, watch, pace)))
  const late = await excuseRunnerFaults(confirmed, canaries, watch)
  const { troubles: providers, notes } = await askProviders(late.looks, pace.providerTimeoutMs, watch)
  const byService = new Map(late.looks.map((one) => [one.service, one]))
  return {
    looks: withCauses(
      services.flatMap((service) => byService.get(service) ?? []),
      providers,
    ),
    notDue: [...waiting],
    providers,
    notes: [...early.notes, ...late.notes, ...notes],
  }
}

/** Schedules are late by different amounts: a look that comes a tenth of the interval too early is not left out. */
function isDue({ name, intervalMs }: Service, { lastLooks, now }: RoundOrder): boolean {
  const last = lastLooks?.get(name)
  return intervalMs === undefined || last === undefined || now.getTime() - last.getTime() >= 0.9 * intervalMs
}

/** Whether a service that failed depends on this one, directly or through others. */
function isBelowFailure(service: Service, services: readonly Service[], looks: readonly Look[]): boolean {
  const below = new Set(looks.filter(isFailure).map((look) => look.service.name))
  for (const name of below) {
    for (const parent of services.find((one) => one.name === name)?.dependsOn ?? []) below.add(parent)
  }
  return below.has(service.name)
}

async function confirmWhereNeeded(look: Look, watch: Watch, pace: Pace): Promise<Look> {
  // In maintenance nobody is told, and the wait would be billed.
  return isFailure(look) && !look.maintenance ? confirmFailure(look, watch, pace.confirmAfterMs) : look
}
