import { Cron } from "croner"
import type { ServiceConfig } from "../config/service-schema.ts"
import { ConfigError } from "../core/config-error.ts"

type Window = ServiceConfig["maintenance"][number]

/** The window that a time is in. */
export type MaintenanceNow = { reason: string; endsAt: Date }

/**
 * The maintenance that `at` is in, the one that ends last when there are several; `undefined` when there is none. A window begins at
 * its first moment and is over at its last. `timezone` is that of crons which name none. A recurring window is as long as it says in
 * real hours, also on the days on which clocks change; one whose hour the clocks skip begins when they did. Throws a `ConfigError` for
 * what is no cron.
 */
export function inMaintenance(windows: readonly Window[], at: Date, timezone = "UTC"): MaintenanceNow | undefined {
  const now = windows.flatMap((window) => {
    const endsAt = endOf(window, at, timezone)
    return endsAt ? [{ reason: window.reason, endsAt }] : []
  })
  return now.toSorted((a, b) => b.endsAt.getTime() - a.endsAt.getTime())[0]
}

function endOf({ from, to, cron, duration, ...window }: Window, at: Date, timezone: string): Date | undefined {
  if (from && to && from <= at && at < to) return to
  if (cron === undefined || !duration) return undefined
  const begin = latestBegin(cron, window.timezone ?? timezone, at)
  const end = begin && new Date(begin.getTime() + duration.ms)
  return end && at < end ? end : undefined
}

function latestBegin(cron: string, timezone: string, at: Date): Date | undefined {
  try {
    const schedule = new Cron(cron, { mode: "5-part", timezone, paused: true })
    // previousRuns excludes the second that it is given: the next one includes a window that begins now.
    return schedule.previousRuns(1, new Date(at.getTime() + 1000)).find((begin) => begin <= at)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new ConfigError(`the maintenance window "${cron}" is no cron of five fields (${why})`)
  }
}
