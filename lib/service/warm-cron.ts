import { formatDuration } from "../core/duration.ts"
import { type WarmHours, warmWindows } from "./warm-hours.ts"

/** Minutes that divide the hour, and hours that divide the day: only these come evenly on a cron. */
const evenMinutes = [30, 20, 15, 12, 10, 6, 5, 4, 3, 2, 1]
const evenHours = [24, 12, 8, 6, 4, 3, 2, 1]
const hourMs = 3_600_000
const minuteMs = 60_000

/** The first two fields of a cron that comes evenly and at least as often as wanted, once a minute at most. */
export function evenCron(everyMs: number): { minute: string; hour: string; text: string } {
  const hours = evenHours.find((step) => step * hourMs <= everyMs)
  if (hours !== undefined) {
    return {
      minute: "0",
      hour: hours === 24 ? "0" : hours === 1 ? "*" : `*/${hours}`,
      text: formatDuration(hours * hourMs),
    }
  }
  const minutes = evenMinutes.find((step) => step * minuteMs <= everyMs) ?? 1
  return { minute: minutes === 1 ? "*" : `*/${minutes}`, hour: "*", text: formatDuration(minutes * minuteMs) }
}

/** The shortest time that comes evenly on a cron and is not shorter than `leastMs`; a day at most. */
export function evenStepMs(leastMs: number): number {
  const steps = [...evenMinutes.map((step) => step * minuteMs), ...evenHours.map((step) => step * hourMs)]
  return Math.min(24 * hourMs, ...steps.filter((stepMs) => stepMs >= leastMs))
}

/**
 * Crons in UTC that come in all active hours, summer and winter: one, or several where hours over midnight make days of the week differ.
 * Crons know no time zone here, so that they may also come an hour beside them.
 */
export function utcCrons(hours: WarmHours, everyMs: number, now: Date): string[] {
  const { minute, hour } = evenCron(everyMs)
  const step = hour === "*" ? 1 : hour === "0" ? 24 : Number(hour.slice(2))
  const byDay = activeHours(hours, now)
  const all = [...byDay.values()].flatMap((active) => [...active])
  // Of steps of hours each day would begin anew: one cron for all.
  const keyOf = (day: number) => (step > 1 ? "" : ascending(byDay.get(day) ?? []).join())
  return [...Map.groupBy(ascending(byDay.keys()), keyOf).values()].map((days) => {
    const active = new Set(step > 1 ? all : byDay.get(days[0] ?? 0))
    const wanted = step === 1 && active.size === 24 ? "*" : everyNth(inClockOrder(active), step)
    return `${minute} ${wanted} * * ${days.length === 7 ? "*" : ranges(days)}`
  })
}

/** By day of the week, from 0 for Sunday, the hours in UTC that are active at any time of the year. */
function activeHours(hours: WarmHours, now: Date): Map<number, Set<number>> {
  const byDay = new Map<number, Set<number>>()
  const year = { from: now.getTime(), to: now.getTime() + 366 * 24 * hourMs }
  for (const { from, to } of warmWindows(hours, year)) {
    for (let at = Math.floor(from / hourMs) * hourMs; at < to; at += hourMs) {
      const date = new Date(at)
      byDay.set(date.getUTCDay(), (byDay.get(date.getUTCDay()) ?? new Set()).add(date.getUTCHours()))
    }
  }
  return byDay
}

function ascending(numbers: Iterable<number>): number[] {
  return [...numbers].sort((a, b) => a - b)
}

/** Hours from the first after the longest pause on, so that hours over midnight begin in the evening. */
function inClockOrder(hours: ReadonlySet<number>): number[] {
  const begin = [...hours].find((hour) => !hours.has((hour + 23) % 24)) ?? 0
  return Array.from({ length: 24 }, (_, index) => (begin + index) % 24).filter((hour) => hours.has(hour))
}

function everyNth(hours: readonly number[], step: number): string {
  return ranges(hours.filter((_, index) => index % step === 0).sort((a, b) => a - b))
}

/** `1,2,3,7` as `1-3,7`. */
function ranges(numbers: readonly number[]): string {
  const parts: [number, number][] = []
  for (const number of numbers) {
    const last = parts.at(-1)
    if (last && last[1] === number - 1) last[1] = number
    else parts.push([number, number])
  }
  return parts.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(",")
}
