import type { Finding } from "../core/finding.ts"
import type { Observation } from "../core/observation.ts"
import { judgeBurn } from "./burn.ts"
import type { WatchedService } from "./report.ts"

/** The longest window of an alarm, in milliseconds: so far back observations are needed. */
export const burnWindowMs = 72 * 3600_000

/** How fast the error budget of each service with an objective burns; nothing of those that the interval cannot measure. */
export function judgeBudgets(
  services: readonly WatchedService[],
  observations: readonly Observation[],
  now: Date,
): Finding[] {
  return services.flatMap(({ name, objective, intervalMs }) => {
    const own = observations.filter(({ service, by }) => service === name && by === "health")
    return (objective && judgeBurn(own, { service: name, objective, intervalMs, now })) ?? []
  })
}
