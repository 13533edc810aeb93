import type { Client } from "pg"
import { formatDuration } from "../core/duration.ts"
import type { Log } from "../core/log.ts"
import { sleep, startTimer } from "../system/clock.ts"
import { judgePressure, type Pressure, type PressureLimits, pressureLimits, readPressure } from "./pressure.ts"

export type Pace = {
  limits: PressureLimits
  /** How long to rest after work, as a share of its time: others get the disk and the processor meanwhile. */
  restShare: number
  /** Bytes of write-ahead log a second that the whole server may write while this work goes on. */
  walBytesPerSecond: number
  /** The first wait for a server under pressure; each next one is twice as long, up to `longestWaitMs`. */
  firstWaitMs: number
  longestWaitMs: number
  /** All waits for it together: when they are used up the work ends for today. */
  totalWaitMs: number
}

export const usualPace: Pace = {
  limits: pressureLimits,
  restShare: 0.05,
  walBytesPerSecond: 256 * 1000 * 1000,
  firstWaitMs: 500,
  longestWaitMs: 15_000,
  totalWaitMs: 15 * 60_000,
}

export type BackPressure = {
  /**
   * Rests after a piece of work of `tookMs`, which sessions waited for or not, and waits as long as the server is under pressure.
   * Returns why the work should end when that takes too long, else `undefined`. Outside of a transaction.
   */
  settle(work: { tookMs: number; waiting: number }): Promise<string | undefined>
  /** All that was waited because of pressure. */
  waitedMs(): number
  /** What could not be seen. */
  notes(): string[]
}

export type BackPressureOptions = { pace: Pace; log: Log; signal: AbortSignal }

/** Paces work that writes much, by what the server says between two pieces of it. */
export async function watchPressure(client: Client, options: BackPressureOptions): Promise<BackPressure> {
  const { pace, log, signal } = options
  const notes = new Set<string>()
  let waitedMs = 0
  let last = await read()
  let sinceLast = startTimer()

  async function read(): Promise<Pressure> {
    const pressure = await readPressure(client)
    if (pressure.hiddenReplicas > 0) notes.add("replica lag not visible to this role: grant pg_monitor to it")
    return pressure
  }

  async function wait(ms: number): Promise<void> {
    const elapsed = startTimer()
    await sleep(ms, signal)
    waitedMs += elapsed()
  }

  /** The write-ahead log of all is held to its rate over the time from one look to the next. */
  async function rest(pressure: Pressure, tookMs: number, waiting: number): Promise<void> {
    const excessMs = ((pressure.walBytes - last.walBytes) / pace.walBytesPerSecond) * 1000 - sinceLast()
    const restMs = tookMs * (waiting > 0 ? Math.max(1, pace.restShare) : pace.restShare)
    last = pressure
    sinceLast = startTimer()
    if (restMs > 0) await sleep(Math.min(restMs, pace.longestWaitMs), signal)
    if (excessMs > restMs) await wait(Math.min(excessMs - restMs, pace.longestWaitMs))
  }

  return {
    waitedMs: () => waitedMs,
    notes: () => [...notes],
    async settle({ tookMs, waiting }) {
      let pressure = await read()
      await rest(pressure, tookMs, waiting)
      for (let waitMs = pace.firstWaitMs; ; waitMs = Math.min(waitMs * 2, pace.longestWaitMs)) {
        const reasons = judgePressure(pressure, pace.limits)
        if (reasons.length === 0) return undefined
        const leftMs = pace.totalWaitMs - waitedMs
        const why = reasons.join("; ")
        if (leftMs <= 0) return `${why}; waited ${formatDuration(waitedMs)} in all`
        log.info(`pausing for ${formatDuration(Math.min(waitMs, leftMs))}: ${why}`)
        await wait(Math.min(waitMs, leftMs))
        pressure = await read()
      }
    },
  }
}
