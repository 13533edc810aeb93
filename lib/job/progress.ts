import { formatDuration } from "../core/duration.ts"
import type { Progress } from "../core/log.ts"
import { formatBytes } from "../core/size.ts"
import { startTimer } from "../system/clock.ts"

export type ProgressNumbers = { doneBytes: number; totalBytes?: number; bytesPerSecond: number; etaSeconds?: number }

export type ProgressOptions = {
  label: string
  totalBytes: number | undefined
  everyMs: number
  /** Called with the state of the work as a line and as numbers. */
  show(text: string, numbers: ProgressNumbers): void
  /** Called once at the end. */
  clear(): void
}

/** Shows the state of a long piece of work every `everyMs`, also while nothing moves. Keeps no process alive. */
export function createProgress({ label, totalBytes, everyMs, show, clear }: ProgressOptions): Progress {
  const elapsedMs = startTimer()
  let doneBytes = 0
  let isDone = false
  const timer = setInterval(() => {
    const numbers = progressNumbers(doneBytes, totalBytes, elapsedMs())
    show(progressText(label, numbers), numbers)
  }, everyMs)
  timer.unref()
  return {
    at(bytes) {
      doneBytes = bytes
    },
    done() {
      if (isDone) return
      isDone = true
      clearInterval(timer)
      clear()
    },
  }
}

/** Rate since the beginning, and the time that is left at that rate when the total is known and not yet passed. */
export function progressNumbers(doneBytes: number, totalBytes: number | undefined, elapsedMs: number): ProgressNumbers {
  const bytesPerSecond = elapsedMs > 0 ? Math.round((doneBytes / elapsedMs) * 1000) : 0
  if (totalBytes === undefined) return { doneBytes, bytesPerSecond }
  const leftBytes = totalBytes - doneBytes
  if (bytesPerSecond === 0 || leftBytes < 0) return { doneBytes, totalBytes, bytesPerSecond }
  return { doneBytes, totalBytes, bytesPerSecond, etaSeconds: Math.round(leftBytes / bytesPerSecond) }
}

/** `dump of main: 1.2 GB of 4.0 GB (30 %), 98.2 MB/s, 28 s left` */
export function progressText(
  label: string,
  { doneBytes, totalBytes, bytesPerSecond, etaSeconds }: ProgressNumbers,
): string {
  const share = totalBytes
    ? ` of ${formatBytes(totalBytes)} (${Math.min(100, Math.floor((doneBytes / totalBytes) * 100))} %)`
    : ""
  const left = etaSeconds === undefined ? "" : `, ${formatDuration(etaSeconds * 1000)} left`
  return `${label}: ${formatBytes(doneBytes)}${share}, ${formatBytes(bytesPerSecond)}/s${left}`
}
