const z95 = 1.959963984540054

/**
 * The 95 % score interval of a share of `good` in `total` looks, between 0 and 1 (E. B. Wilson, 1927). Both ends are known to be useful
 * for shares near 1 and few looks, where the usual interval is not. All is possible when there was no look.
 */
export function wilsonBounds(good: number, total: number): { low: number; high: number } {
  if (total <= 0) return { low: 0, high: 1 }
  const share = Math.min(1, Math.max(0, good / total))
  const square = z95 ** 2 / total
  const center = (share + square / 2) / (1 + square)
  const half = (z95 / (1 + square)) * Math.sqrt((share * (1 - share)) / total + square / (4 * total))
  return { low: Math.max(0, center - half), high: Math.min(1, center + half) }
}
