import type { Log } from "../core/log.ts"
import { sleep, startTimer } from "../system/clock.ts"
import { createLimit } from "./limit.ts"

/** What all looks of a round share: the time that is left, the places that are free, and who may end it. */
export type Watch = {
  log: Log
  /** The time by the clock of the run. */
  time(): Date
  /** Runs work when one of the places is free. */
  limited<T>(work: () => Promise<T>): Promise<T>
  /** Fires when the run or the time of the round ends. */
  signal: AbortSignal
  /** Fires when the run ends: for short questions that must be asked also when the time of the round is over. */
  runSignal: AbortSignal
  /** The time of the round is over. Throws the reason of the run's own signal when that fired. */
  isOver(): boolean
  /** What work comes to; `undefined` when the time of the round ended first. Rejects when the run ends. */
  within<T>(work: () => Promise<T>): Promise<T | undefined>
  /** Waits; false when the time of the round ended meanwhile. Rejects when the run ends. */
  pause(ms: number): Promise<boolean>
}

export type WatchOrder = { now: Date; signal: AbortSignal; log: Log; limit: number; deadlineMs: number }

export function startWatch({ now, signal: runSignal, log, limit, deadlineMs }: WatchOrder): Watch {
  const elapsedMs = startTimer()
  const { signal } = ending(AbortSignal.any([runSignal, AbortSignal.timeout(deadlineMs)]))
  const isOver = () => {
    runSignal.throwIfAborted()
    return signal.aborted
  }
  const within = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
    if (isOver()) return undefined
    try {
      return await work()
    } catch (error) {
      if (isOver()) return undefined
      throw error
    }
  }
  return {
    ...{ log, signal, runSignal, isOver, within },
    limited: createLimit(limit),
    time: () => new Date(now.getTime() + Math.round(elapsedMs())),
    pause: async (ms) => (await within(() => sleep(Math.max(0, ms), signal).then(() => true))) ?? false,
  }
}

/** Fires with `signal`. Each look listens for a while, and a signal made of several counts its listeners each time. */
function ending(signal: AbortSignal): AbortController {
  const controller = new AbortController()
  const abort = () => controller.abort(signal.reason)
  if (signal.aborted) abort()
  else signal.addEventListener("abort", abort, { once: true })
  return controller
}
