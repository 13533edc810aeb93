import type { CareSample } from "./check.ts"

const dayMs = 86_400_000

/** The fewest days, and the most, from which a trend is read. */
export const trendDays = { least: 7, most: 28 } as const

/** Normal quantile of a two-sided 80 % interval. */
const z80 = 1.2816

export type Trend =
  | { known: false; days: number }
  | {
      known: true
      /** How many days it was read from. */
      days: number
      /** Change a day: the median of the slopes between all pairs of days, and the bounds of its 80 % interval. */
      perDay: number
      low: number
      high: number
    }

/**
 * How a number moves, after Theil and Sen, who do not mind outliers; the interval after Kendall's variance of S (Gilbert 1987, 16.5). The
 * last sample of each UTC day counts, of the last 28 days; fewer than 7 days say nothing.
 */
export function trendOf(samples: readonly CareSample[], name: string, now: Date): Trend {
  const byDay = new Map<number, { day: number; value: number }>()
  for (const { at, numbers } of samples) {
    const value = numbers[name]
    const day = Math.floor(at.getTime() / dayMs)
    if (value !== undefined && Number.isFinite(value) && now.getTime() - at.getTime() <= trendDays.most * dayMs)
      byDay.set(day, { day: at.getTime() / dayMs, value })
  }
  const points = [...byDay.values()].sort((a, b) => a.day - b.day)
  if (points.length < trendDays.least) return { known: false, days: points.length }
  const slopes = points
    .flatMap((a, index) => points.slice(index + 1).map((b) => (b.value - a.value) / (b.day - a.day)))
    .sort((a, b) => a - b)
  const n = points.length
  const spread = z80 * Math.sqrt((n * (n - 1) * (2 * n + 5)) / 18)
  return {
    known: true,
    days: n,
    perDay: rank(slopes, (slopes.length - 1) / 2),
    low: rank(slopes, (slopes.length - spread) / 2 - 1),
    high: rank(slopes, (slopes.length + spread) / 2),
  }
}

export type DaysLeft =
  | { known: false; days: number }
  /** `soonest` and `latest` bound it by the 80 % interval; absent where the number does not rise at that pace. */
  | { known: true; days: number; expected?: number; soonest?: number; latest?: number }

/** How many days are left until `value` reaches `limit` at the pace of a trend; 0 where it has. */
export function daysLeft(value: number, limit: number, trend: Trend): DaysLeft {
  if (!trend.known) return { known: false, days: trend.days }
  const at = (perDay: number) => (value >= limit ? 0 : perDay > 0 ? (limit - value) / perDay : undefined)
  const [expected, soonest, latest] = [at(trend.perDay), at(trend.high), at(trend.low)]
  return {
    known: true,
    days: trend.days,
    ...(expected !== undefined && { expected }),
    ...(soonest !== undefined && { soonest }),
    ...(latest !== undefined && { latest }),
  }
}

/** The value at a place between two ranks, counted from 0; the ends where it lies outside. */
function rank(sorted: readonly number[], place: number): number {
  const clamped = Math.min(Math.max(place, 0), sorted.length - 1)
  const below = sorted[Math.floor(clamped)] ?? 0
  const above = sorted[Math.ceil(clamped)] ?? below
  return below + (above - below) * (clamped - Math.floor(clamped))
}
