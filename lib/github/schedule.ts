import { Cron } from "croner"

const lookMs = 8 * 24 * 3600 * 1000

/**
 * The longest time between two runs that a workflow's crons ask for within a week, in milliseconds: how often a thing is looked at when
 * the schedule is kept. `undefined` when there is no cron, or only one run a week or fewer.
 */
export function longestGapMs(crons: readonly string[], now: Date): number | undefined {
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
  return Math.max(...sorted.slice(1).map((time, index) => time - (sorted[index] ?? time)))
}
