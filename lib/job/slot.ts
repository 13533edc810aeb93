import { Cron } from "croner"
import { ConfigError } from "../core/config-error.ts"

/**
 * The latest time at or before `now` at which a five-field cron in UTC was due. GitHub starts scheduled runs late, so
 * this is what a run that just began is for. Throws `ConfigError` for what is no cron and for one that was never due.
 */
export function latestSlot(cron: string, now: Date): Date {
  // previousRuns looks at whole seconds and excludes the one it is given: the next second includes a slot that is now.
  const [slot] = parseCron(cron).previousRuns(1, new Date(now.getTime() + 1000))
  if (!slot) throw new ConfigError(`the cron "${cron}" was never due before ${now.toISOString()}`)
  return slot
}

function parseCron(cron: string): Cron {
  try {
    return new Cron(cron, { mode: "5-part", timezone: "UTC", paused: true })
  } catch (cause) {
    throw new ConfigError(`"${cron}" is no cron of five fields (${cause instanceof Error ? cause.message : cause})`)
  }
}

/** A time as people give it on the command line: ISO 8601, in UTC where it has no offset; `undefined` when it is none. */
export function parseInstant(text: string): Date | undefined {
  const match = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)?)?$/.exec(text)
  if (!match) return undefined
  const instant = new Date(match[1] || text.length === 10 ? text : `${text}Z`)
  return Number.isNaN(instant.getTime()) ? undefined : instant
}
