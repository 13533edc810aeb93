import type { Slot } from "./slots.ts"

const hourMs = 3_600_000

/** The share of the time in which it was up, as the seen intervals tell, and how many independent looks that is worth. */
export type Estimate = { share: number; looks: number }

/**
 * Every hour that was seen counts the same, however often it was looked at: on a schedule that is kept on some days and not on others,
 * the days with many looks would otherwise speak for all. Unequal weights are worth fewer looks (Kish, Survey Sampling, section 11.7),
 * and so are neighbours that resemble each other: with a correlation r between them n looks are worth n (1 - r) / (1 + r) (Wilks,
 * Statistical Methods in the Atmospheric Sciences, section 5.2.4). `undefined` when nothing was seen.
 */
export function estimateShare(slots: readonly Slot[], intervalMs: number): Estimate | undefined {
  const perHour = Math.max(1, Math.round(hourMs / intervalMs))
  const seenIn = new Map<number, number>()
  for (const [at, slot] of slots.entries()) {
    const hour = Math.floor(at / perHour)
    if (slot.kind === "seen") seenIn.set(hour, (seenIn.get(hour) ?? 0) + 1)
  }
  const looks = slots.flatMap((slot, at) =>
    slot.kind === "seen" ? [{ up: slot.up, weight: 1 / (seenIn.get(Math.floor(at / perHour)) ?? 1) }] : [],
  )
  if (looks.length === 0) return undefined
  const total = sum(looks.map(({ weight }) => weight))
  const squares = sum(looks.map(({ weight }) => weight ** 2))
  const share = Math.min(1, sum(looks.map(({ up, weight }) => up * weight)) / total)
  const r = correlation(looks.map(({ up }) => up))
  return { share, looks: Math.max(1, ((total ** 2 / squares) * (1 - r)) / (1 + r)) }
}

/** Between each value and the next, from 0 to 0.99; 0 where all are the same. */
function correlation(values: readonly number[]): number {
  const mean = sum(values) / values.length
  const variance = sum(values.map((value) => (value - mean) ** 2)) / values.length
  if (variance === 0 || values.length < 2) return 0
  const products = values.slice(1).map((value, index) => (value - mean) * ((values[index] ?? mean) - mean))
  return Math.min(0.99, Math.max(0, sum(products) / products.length / variance))
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
