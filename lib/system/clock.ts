import { setTimeout } from "node:timers/promises"

/** Starts measuring; each call of the returned function gives the milliseconds since then. Never goes backwards. */
export function startTimer(): () => number {
  const start = performance.now()
  return () => performance.now() - start
}

/** Waits `ms` milliseconds. Rejects with the signal's reason as soon as it fires. */
export async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted()
  await setTimeout(ms, undefined, { signal }).catch((error: unknown) => {
    signal?.throwIfAborted()
    throw error
  })
}

/** Calls `fn` every `ms` milliseconds until the returned function is called. Keeps no process alive. */
export function every(ms: number, fn: () => void): () => void {
  const timer = setInterval(fn, ms)
  timer.unref()
  return () => clearInterval(timer)
}
