import type { ServiceConfig } from "../config/service-schema.ts"
import type { Span } from "./warm-spans.ts"

/** Hours of some days of the week on the clock of a time zone. They may reach over midnight: a window belongs to the day on which it begins. */
export type WarmHours = {
  /** Begin, in minutes after midnight, and length, up to a whole day. */
  beginMinute: number
  lengthMinutes: number
  /** 1 is Monday, 7 is Sunday. */
  days: readonly number[]
  timezone: string
}

const dayMs = 86_400_000
const minuteMs = 60_000
const quarterMs = 15 * minuteMs
const weekdays = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const

/** Reads hours such as `22:00-06:00`. The same time twice is the whole day. */
export function readHours(
  { hours, days, timezone }: Pick<NonNullable<ServiceConfig["keepWarm"]>, "hours" | "days" | "timezone">,
  appTimezone: string,
): WarmHours {
  const [begin = 0, end = 0] = hours.split("-").map((time) => {
    const [hour, minute] = time.split(":")
    return Number(hour) * 60 + Number(minute)
  })
  return {
    beginMinute: begin,
    lengthMinutes: (end - begin + 1440) % 1440 || 1440,
    days: weekdays.flatMap((day, index) => (days.includes(day) ? index + 1 : [])),
    timezone: timezone ?? appTimezone,
  }
}

/** In words: `07:00-22:00 of mon tue wed thu fri, Europe/London`. */
export function describeHours({ beginMinute, lengthMinutes, days, timezone }: WarmHours): string {
  const end = beginMinute + lengthMinutes
  const time = `${clockTime(beginMinute)}-${end === 1440 ? "24:00" : clockTime(end % 1440)}`
  const names = days.length === 7 ? "every day" : days.map((day) => weekdays[day - 1]).join(" ")
  return `${time} of ${names}, ${timezone}`
}

function clockTime(minutes: number): string {
  return `${String(Math.floor(minutes / 60)).padStart(2, "0")}:${String(minutes % 60).padStart(2, "0")}`
}

/**
 * The windows that overlap a stretch of time, whole, in order, one a day. They follow the clock on the wall: a day on which it is
 * put back has 25 hours, and a window that begins in the hour that is left out begins an hour later.
 */
export function warmWindows({ beginMinute, lengthMinutes, days, timezone }: WarmHours, { from, to }: Span): Span[] {
  const zone = zoneClock(timezone)
  const windows: Span[] = []
  const last = to + zone.offsetMs(to)
  for (let midnight = floorDay(from + zone.offsetMs(from)) - dayMs; midnight <= last; midnight += dayMs) {
    if (!days.includes(new Date(midnight).getUTCDay() || 7)) continue
    const begin = midnight + beginMinute * minuteMs
    const window = { from: zone.instantMs(begin), to: zone.instantMs(begin + lengthMinutes * minuteMs) }
    if (window.to > from && window.from < to) windows.push(window)
  }
  return windows
}

function floorDay(ms: number): number {
  return Math.floor(ms / dayMs) * dayMs
}

type ZoneClock = {
  /** How far the clock on the wall is ahead of UTC. */
  offsetMs(instant: number): number
  /** When the clock on the wall shows a time, which is written as if it were UTC. */
  instantMs(wall: number): number
}

const zones = new Map<string, ZoneClock>()

function zoneClock(timezone: string): ZoneClock {
  const known = zones.get(timezone) ?? makeZoneClock(timezone)
  zones.set(timezone, known)
  return known
}

/** Offsets are remembered: asking takes far longer than all else here. Clocks change at quarters of an hour only. */
function makeZoneClock(timezone: string): ZoneClock {
  const format = new Intl.DateTimeFormat("en-US", {
    ...{ timeZone: timezone, hourCycle: "h23" },
    ...{ year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric" },
  })
  const offsets = new Map<number, number>()
  const ask = (instant: number): number => {
    const parts = Object.fromEntries(format.formatToParts(instant).map(({ type, value }) => [type, Number(value)]))
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts
    return Date.UTC(year, month - 1, day, hour, minute, second) - instant
  }
  const offsetMs = (instant: number): number => {
    const quarter = Math.floor(instant / quarterMs) * quarterMs
    const known = offsets.get(quarter) ?? ask(quarter)
    offsets.set(quarter, known)
    return known
  }
  return {
    offsetMs,
    instantMs(wall) {
      const guess = wall - offsetMs(wall)
      const better = wall - offsetMs(guess)
      // In the hour that is left out no guess shows the wanted time: the later one is past it.
      return better + offsetMs(better) === wall ? better : Math.max(guess, better)
    },
  }
}
