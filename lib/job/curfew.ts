import { startTimer } from "../system/clock.ts"

/** How much time is left once a run was told to end. */
export type Curfew = { signal: AbortSignal; remainingMs(): number }

/** `remainingMs` is `Infinity` until the signal fires, and counts down from `totalMs` from then on. */
export function createCurfew(signal: AbortSignal, totalMs: number): Curfew {
  let elapsedMs: (() => number) | undefined
  const begin = () => {
    elapsedMs ??= startTimer()
  }
  signal.addEventListener("abort", begin, { once: true })
  if (signal.aborted) begin()
  return { signal, remainingMs: () => (elapsedMs ? totalMs - elapsedMs() : Number.POSITIVE_INFINITY) }
}

export type Bounds = {
  what: string
  /** The most it may take on an ordinary day; `Infinity` for no limit. */
  timeoutMs: number
  curfew: Curfew
  /** How much of the curfew's time is kept for what comes after. */
  reserveMs: number
}

/**
 * The result of `work`, or a rejection when it takes longer than its bounds allow. What is late is told so by the signal
 * that it was given, and is no longer waited for.
 */
export async function bounded<T>(
  work: (signal: AbortSignal) => Promise<T>,
  { what, timeoutMs, curfew, reserveMs }: Bounds,
): Promise<T> {
  const elapsedMs = startTimer()
  const late = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const limit = Promise.withResolvers<never>()
  const arm = () => {
    clearTimeout(timer)
    const leftMs = Math.min(timeoutMs - elapsedMs(), curfew.remainingMs() - reserveMs)
    if (leftMs === Number.POSITIVE_INFINITY) return
    timer = setTimeout(
      () => {
        const error = new Error(`${what} took too long and was given up after ${Math.round(elapsedMs())} ms`)
        limit.reject(error)
        late.abort(error)
      },
      Math.max(leftMs, 1),
    )
  }
  curfew.signal.addEventListener("abort", arm, { once: true })
  arm()
  try {
    return await Promise.race([work(late.signal), limit.promise])
  } finally {
    clearTimeout(timer)
    curfew.signal.removeEventListener("abort", arm)
  }
}
