/** The nearest-rank percentiles of values, which need no order; `undefined` when there are none. */
export function percentiles(values: readonly number[]): { p50: number; p95: number; p99: number } | undefined {
  if (values.length === 0) return undefined
  const sorted = Float64Array.from(values).sort()
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? 0
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) }
}
