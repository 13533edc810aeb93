import { Cron } from "croner"

const lookMs = 8 * 24 * 3600 * 1000

/**
 * The usual time between two runs that a workflow's crons ask for within a week (the median), in milliseconds: how often a thing is
 * looked at when the schedule is kept. Nights and weekends without a run are no part of it, and are seen as what they are: time in
 * which nobody looked. `undefined` when there is no cron, or only one run a week or fewer.
 */
export function usualGapMs(crons: readonly string[], now: Date): number | undefined {
  const end = now.getTime() + lookMs
  const times = crons.flatMap((cron) => {
    const schedule = new Cron(cron, { mode: "5-part", timezone: "UTC", paused: true })
    const found: number[] = []
    for (let next = schedule.nextRun(now); next && next.getTime() < end; next = schedule.nextRun(next))
      found.push(next.getTime())
    return found
  })
  const sorted = [...new Set(times)].sort((a, b) => a - b)
  if (sorted.length < 3) return undefined
  const gaps = sorted.slice(1).map((time, index) => time - (sorted[index] ?? time))
  return gaps.sort((a, b) => a - b)[Math.floor(gaps.length / 2)]
}
