/** What a batch came to: how many rows it took, how long its transaction was, and whether others waited for it. */
export type BatchTime = { rows: number; tookMs: number; waiting: number }

/** A transaction of a batch should take 200 to 500 ms: short enough for who waits behind it, long enough to be worth its commit. */
export const batchTimeMs = { least: 200, aim: 350, most: 500 } as const

export const batchRows = { least: 1, first: 500, most: 200_000 } as const

/**
 * How many rows the next batch takes. Grows to at most twice as many, shrinks at once to what the time of the last one asks for, and to
 * half of that when sessions waited. A batch that was less than half full never lets it grow: its time says little of a
 * full one.
 */
export function nextBatchRows(size: number, { rows, tookMs, waiting }: BatchTime): number {
  if (waiting > 0) return withinBounds(Math.min(size, fitting(rows, tookMs)) / 2)
  if (tookMs > batchTimeMs.most) return withinBounds(Math.min(size - 1, fitting(rows, tookMs)))
  if (tookMs >= batchTimeMs.least || rows < size / 2) return withinBounds(size)
  return withinBounds(Math.min(size * 2, fitting(rows, tookMs)))
}

/** How many rows would take the time that is aimed at. */
function fitting(rows: number, tookMs: number): number {
  return (Math.max(1, rows) * batchTimeMs.aim) / Math.max(1, tookMs)
}

function withinBounds(rows: number): number {
  return Math.max(batchRows.least, Math.min(batchRows.most, Math.floor(rows)))
}
