import { formatBytes, formatCount } from "../core/size.ts"
import type { Manifest } from "./manifest.ts"

/** What a new set has less of than the one before it. Pure. */
export function compareWithPrevious(previous: Manifest, current: Manifest, shrinkPercent: number): string[] {
  const complaints: string[] = []
  const [before, now] = [previous.totals, current.totals]
  if (now.tables < before.tables) complaints.push(`${before.tables} tables became ${now.tables}`)
  const isShrunk = (old: number, fresh: number) => fresh < old * (1 - shrinkPercent / 100)
  if (bothCounted(previous, current) && isShrunk(before.rows, now.rows)) {
    complaints.push(`${formatCount(before.rows)} rows became ${formatCount(now.rows)}`)
  }
  const [oldBytes, newBytes] = [previous.objects.dump.plainBytes, current.objects.dump.plainBytes]
  if (isShrunk(oldBytes, newBytes)) complaints.push(`${formatBytes(oldBytes)} of dump became ${formatBytes(newBytes)}`)
  return complaints
}

/** A set that the clock puts before the newest one is never the newest: nobody would test it, or restore it first. Pure. */
export function olderThanNewest(current: Manifest, newest: Manifest | undefined): string[] {
  if (!newest || current.set > newest.set) return []
  return [
    `the new set ${current.set} is older by its name than ${newest.set}, the newest there is: look at the clock, and at --now`,
  ]
}

/** Rows of a set whose proof ran out of time are not all its rows. */
function bothCounted(previous: Manifest, current: Manifest): boolean {
  return [previous, current].every(({ proof, totals }) => proof.tablesCounted === totals.tables)
}
