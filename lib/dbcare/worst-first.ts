import { formatCounted } from "../core/size.ts"
import type { CareItem, CheckResult, Threshold } from "./check.ts"

/** An item and how much it matters among those of its check, such as the bytes that it wastes. */
export type Weighed = CareItem & { weight: number }

type Done = Extract<CheckResult, { status: "done" }>

const mostItems = 50

/** The result of a check: failures first, then by weight, then by name; beyond 50 only their number is told. */
export function worstFirst(
  looked: number,
  found: readonly Weighed[],
  { notes = [], ...rest }: Partial<Pick<Done, "notes" | "numbers">> = {},
): Done {
  const sorted = found.toSorted(
    (a, b) =>
      Number(b.outcome === "fail") - Number(a.outcome === "fail") || b.weight - a.weight || (a.item < b.item ? -1 : 1),
  )
  const more = sorted.length - mostItems
  const all = more > 0 ? [...notes, `the worst ${mostItems} are listed, there are ${more} more`] : notes
  const items = sorted.slice(0, mostItems).map(({ weight: _, ...item }) => item)
  return { status: "done", looked, items, ...rest, ...(all.length > 0 && { notes: [...all] }) }
}

/** What a number means: `undefined` below both bounds. */
export function outcomeAt(value: number, { warn, fail }: Threshold): CareItem["outcome"] | undefined {
  if (fail !== undefined && value >= fail) return "fail"
  return warn !== undefined && value >= warn ? "warn" : undefined
}

/** A note about things that could not be looked at, or nothing where there are none: `2 tables: no statistics`. */
export function noteOf(count: number, noun: string, why: string): string[] {
  return count > 0 ? [`${formatCounted(count, noun)} ${why}`] : []
}
