import { formatDuration } from "../core/duration.ts"
import type { Log } from "../core/log.ts"
import { formatCount } from "../core/size.ts"
import { startTimer } from "../system/clock.ts"

const everyMs = 10_000

/** Returns a function that is told how many rows are done, and says so every 10 s with their rate and the time that the rest will take. */
export function startProgress(log: Log, label: string, total: number): (done: number) => void {
  const elapsed = startTimer()
  let nextMs = everyMs
  return (done) => {
    const tookMs = elapsed()
    if (tookMs < nextMs) return
    nextMs = tookMs + everyMs
    log.info(`${label}: ${describeProgress(done, total, tookMs)}`)
  }
}

/** `1,200,000 of 5,000,000 rows, 34,000 rows/s, 1 min 50 s left`. */
export function describeProgress(done: number, total: number, tookMs: number): string {
  const rate = (done / Math.max(1, tookMs)) * 1000
  const left = rate > 0 && total > done ? `, ${formatDuration(((total - done) / rate) * 1000)} left` : ""
  return `${formatCount(done)} of ${formatCount(total)} rows, ${formatCount(Math.round(rate))} rows/s${left}`
}
