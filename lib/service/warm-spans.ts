/** A stretch of time in milliseconds since 1970, `to` not included. */
export type Span = { from: number; to: number }

/** The same time without overlaps, in order; stretches that touch are one. */
export function union(spans: readonly Span[]): Span[] {
  const merged: Span[] = []
  for (const { from, to } of spans.toSorted((a, b) => a.from - b.from)) {
    if (to <= from) continue
    const last = merged.at(-1)
    if (last && from <= last.to) last.to = Math.max(last.to, to)
    else merged.push({ from, to })
  }
  return merged
}

/** What of `spans` lies within `limit`. */
export function clip(spans: readonly Span[], limit: Span): Span[] {
  return spans
    .map(({ from, to }) => ({ from: Math.max(from, limit.from), to: Math.min(to, limit.to) }))
    .filter(({ from, to }) => to > from)
}

/** The time that is in both. */
export function intersect(a: readonly Span[], b: readonly Span[]): Span[] {
  return union(a.flatMap((span) => clip(b, span)))
}

/** Length of all together, counting each moment once. */
export function lengthMs(spans: readonly Span[]): number {
  return union(spans).reduce((sum, { from, to }) => sum + to - from, 0)
}
