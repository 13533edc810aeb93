import { startTimer } from "../system/clock.ts"
import { type Look, lookOnce } from "./look.ts"
import type { Watch } from "./watch.ts"

/**
 * Looks again at what failed, `afterMs` after now each. One good answer and it is good, with the failure noted; bad each time and it
 * is confirmed. When the time of the round ends first it stays a failure that is not confirmed.
 */
export async function confirmFailure(look: Look, watch: Watch, afterMs: readonly number[]): Promise<Look> {
  const elapsedMs = startTimer()
  let latest = look
  let bad = 0
  for (const dueMs of afterMs) {
    if (!(await watch.pause(dueMs - elapsedMs()))) return latest
    const again = await lookOnce(look.service, watch)
    latest = { ...latest, tries: latest.tries + 1 }
    if (again.outcome === "ok" || again.outcome === "warn")
      return { ...latest, result: again, firstFailure: look.result }
    if (again.outcome === "fail") {
      latest = { ...latest, result: again }
      bad++
    }
  }
  return { ...latest, isConfirmed: bad > 0 && bad === afterMs.length }
}
