import type { Finding } from "../core/finding.ts"
import type { Observation } from "../core/observation.ts"
import { type Availability, availabilityOf } from "./availability.ts"
import { judgeBurn } from "./burn.ts"
import { judgeObjective, type Objective, type ObjectiveReport } from "./objective.ts"

const dayMs = 24 * 3600 * 1000

/** The windows that are shown, in days. */
export const windowDays = [1, 7, 30, 90] as const

export type WatchedService = { name: string; objective?: Objective | undefined; intervalMs: number }

export type ServiceReport = {
  service: string
  intervalMs: number
  /** By days of the window. */
  windows: Record<number, Availability>
  objective?: Objective & ObjectiveReport
  burn?: Finding
}

/** How each service was over the windows and how its promise stands, from raw observations of health up to `now`. */
export function reportServices(
  services: readonly WatchedService[],
  observations: readonly Observation[],
  now: Date,
): ServiceReport[] {
  const to = new Date(now.getTime() + 1)
  return services.map(({ name, objective, intervalMs }) => {
    const own = observations.filter(({ service, by }) => service === name && by === "health")
    const over = (days: number) => availabilityOf(own, { from: new Date(to.getTime() - days * dayMs), to, intervalMs })
    const burn = objective && judgeBurn(own, { service: name, objective, intervalMs, now })
    return {
      ...{ service: name, intervalMs },
      windows: Object.fromEntries(windowDays.map((days) => [days, over(days)])),
      ...(objective && { objective: { ...objective, ...judgeObjective(objective, intervalMs, over(objective.days)) } }),
      ...(burn && { burn }),
    }
  })
}
