import type { Observation } from "../../lib/core/observation.ts"
import type { WarmHours } from "../../lib/service/warm-hours.ts"
import type { WarmSettings } from "../../lib/service/warmth.ts"

export const minuteMs = 60_000
export const hourMs = 60 * minuteMs
export const dayMs = 24 * hourMs

export const always: WarmHours = { beginMinute: 0, lengthMinutes: 1440, days: [1, 2, 3, 4, 5, 6, 7], timezone: "UTC" }

/** A web service `api` that is wanted every 10 minutes around the clock. */
export function settings(changes: Partial<WarmSettings> = {}): WarmSettings {
  return {
    ...{ name: "api", kind: "web", everyMs: 10 * minuteMs, hours: always, idleMs: 15 * minuteMs },
    ...{ coldMs: 3000, wakeMs: 60_000, atLeast: 0.5, enoughDays: 30 },
    ...changes,
  }
}

/** A ping that counted. */
export function pinged(at: string | number, changes: Partial<Observation> = {}): Observation {
  return { at: new Date(at), service: "api", by: "keep-warm", outcome: "ok", ...changes }
}
