/**
 * Counts of values by size, in buckets that each reach 9 % further than the one before: a value is found again within 4.5 %,
 * whatever its size. Bucket 0 begins at 1; values below 1 are in bucket -1.
 */
export type Histogram = Map<number, number>

const ratio = 1.09
const below = -1

/** Notes values, in milliseconds. */
export function histogramOf(valuesMs: Iterable<number>): Histogram {
  const histogram: Histogram = new Map()
  for (const valueMs of valuesMs) addCount(histogram, bucketOf(valueMs), 1)
  return histogram
}

/** All that several histograms counted. */
export function mergeHistograms(histograms: Iterable<Histogram>): Histogram {
  const merged: Histogram = new Map()
  for (const histogram of histograms) for (const [bucket, count] of histogram) addCount(merged, bucket, count)
  return merged
}

/** The nearest-rank percentile (`share` of 0.95 is p95) in milliseconds, within 5 %; `undefined` when nothing was counted. */
export function percentileOf(histogram: Histogram, share: number): number | undefined {
  let total = 0
  for (const count of histogram.values()) total += count
  let rank = Math.max(1, Math.ceil(total * share))
  for (const [bucket, count] of [...histogram].sort(([a], [b]) => a - b)) {
    rank -= count
    if (rank <= 0) return bucket === below ? 0 : ratio ** (bucket + 0.5)
  }
  return undefined
}

function bucketOf(valueMs: number): number {
  return valueMs < 1 ? below : Math.floor(Math.log(valueMs) / Math.log(ratio))
}

function addCount(histogram: Histogram, bucket: number, count: number): void {
  histogram.set(bucket, (histogram.get(bucket) ?? 0) + count)
}
