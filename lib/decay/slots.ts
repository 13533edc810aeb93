import type { Duration } from "../config/fields.ts"

const dayMs = 86_400_000

/** Where steps begin: at every nth local midnight of a time zone, or at whole multiples of a length of time since 1970 in UTC. */
export type Grid =
  | { kind: "days"; days: number; timezone: string }
  | { kind: "fixed"; stepMs: number; timezone: string }

/** Steps of whole days follow the days of `timezone`, be they 23, 24 or 25 hours long; all others lie in UTC. */
export function gridOf(every: Duration, timezone: string): Grid {
  return every.ms % dayMs === 0
    ? { kind: "days", days: every.ms / dayMs, timezone }
    : { kind: "fixed", stepMs: every.ms, timezone }
}

/** Nominal length of a step in milliseconds: a day counts as 24 hours, however long it was. */
export function stepMsOf(grid: Grid): number {
  return grid.kind === "days" ? grid.days * dayMs : grid.stepMs
}

/** Number of the step that `time` lies in: how many steps began at or before it since 1970. */
export function stepAt(grid: Grid, time: Date): number {
  return grid.kind === "days"
    ? Math.floor(localDay(time.getTime(), grid.timezone) / grid.days)
    : Math.floor(time.getTime() / grid.stepMs)
}

/** When a step began. The first moment of a day, where the clock jumps over its midnight. */
export function stepBegin(grid: Grid, step: number): Date {
  return new Date(grid.kind === "days" ? dayBegin(step * grid.days, grid.timezone) : step * grid.stepMs)
}

/** Days since 1970-01-01 in the calendar of a time zone. */
function localDay(timeMs: number, timezone: string): number {
  const format = new Intl.DateTimeFormat("en-US", {
    ...{ timeZone: timezone, calendar: "gregory", numberingSystem: "latn" },
    ...{ year: "numeric", month: "numeric", day: "numeric", era: "short" },
  })
  const parts = Object.fromEntries(format.formatToParts(timeMs).map(({ type, value }) => [type, value]))
  const year = parts.era === "BC" ? 1 - Number(parts.year) : Number(parts.year)
  const date = new Date(0)
  date.setUTCFullYear(year, Number(parts.month) - 1, Number(parts.day))
  return Math.floor(date.getTime() / dayMs)
}

/** No zone is further than 15 hours from UTC, and within these bounds the local day only grows. */
function dayBegin(day: number, timezone: string): number {
  let before = day * dayMs - 16 * 3_600_000
  let from = day * dayMs + 16 * 3_600_000
  while (from - before > 1) {
    const middle = Math.floor((before + from) / 2)
    if (localDay(middle, timezone) >= day) from = middle
    else before = middle
  }
  return from
}
