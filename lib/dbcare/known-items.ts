import type { IgnoredItem } from "../config/care-schema.ts"
import type { CareItem } from "./check.ts"

export type SortedItems = {
  /** What counts. */
  counted: CareItem[]
  /** What may stay for now, with the entry that says so. */
  ignored: { item: CareItem; entry: IgnoredItem }[]
  /** Entries that are over, or that name what is no longer found. */
  stale: { entry: IgnoredItem; why: "over" | "not found" }[]
}

/** Sets aside what the team knows of. An entry holds up to the end of its day before `until`, in UTC. */
export function sortItems(
  check: string,
  items: readonly CareItem[],
  entries: readonly IgnoredItem[],
  now: Date,
): SortedItems {
  const own = entries.filter((entry) => entry.check === check)
  const holds = (entry: IgnoredItem) => now.toISOString().slice(0, 10) < entry.until
  const entryOf = (item: CareItem) => own.find((entry) => entry.item === item.item && holds(entry))
  return {
    counted: items.filter((item) => !entryOf(item)),
    ignored: items.flatMap((item) => {
      const entry = entryOf(item)
      return entry ? { item, entry } : []
    }),
    stale: own.flatMap((entry) => {
      if (!holds(entry)) return { entry, why: "over" as const }
      return items.some(({ item }) => item === entry.item) ? [] : { entry, why: "not found" as const }
    }),
  }
}

/** The items of a check by what has become of them since an earlier look. */
export type Since = { fresh: string[]; still: string[]; fixed: string[] }

/** Compares what is found now with what was found then; `undefined` where the check did not look then. */
export function compareItems(now: readonly string[], then: readonly string[] | undefined): Since | undefined {
  if (!then) return undefined
  return {
    fresh: now.filter((item) => !then.includes(item)),
    still: now.filter((item) => then.includes(item)),
    fixed: then.filter((item) => !now.includes(item)),
  }
}
