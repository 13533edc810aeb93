import { startTimer } from "../system/clock.ts"
import { type Look, lookOnce } from "./look.ts"
import type { Watch } from "./watch.ts"

/** Waking up is waited for up to this; what may take longer is confirmed by the next runs. */
const longestWakingMs = 120_000

/**
 * Looks again at what failed, `afterMs` after now each, and at what sleeps once more when it must have woken up: hosts answer in its place
 * until then. One good answer and it is good, with the failure noted; bad each time and it is confirmed. When the time of the round
 * ends first it stays a failure that is not confirmed.
 */
export async function confirmFailure(look: Look, watch: Watch, afterMs: readonly number[]): Promise<Look> {
  const elapsedMs = startTimer()
  let latest = look
  let bad = 0
  const wakingMs = timeToWake(look, watch)
  const dueTimesMs = afterMs.length > 0 && wakingMs > (afterMs.at(-1) ?? 0) ? [...afterMs, wakingMs] : afterMs
  for (const dueMs of dueTimesMs) {
    if (dueMs > longestWakingMs || !(await watch.pause(dueMs - elapsedMs()))) return latest
    const { result: again } = await lookOnce(look.service, watch, look.at)
    latest = { ...latest, tries: latest.tries + 1 }
    if (again.outcome === "ok" || again.outcome === "warn")
      return { ...latest, result: again, firstFailure: look.result }
    if (again.outcome === "fail") {
      latest = { ...latest, result: again }
      bad++
    }
  }
  return { ...latest, isConfirmed: bad > 0 && bad === dueTimesMs.length }
}

/** How long it may still be waking up, since it was first asked. */
function timeToWake({ at, service }: Look, watch: Watch): number {
  return (service.coldStartMs ?? 0) - (watch.time().getTime() - at.getTime())
}
