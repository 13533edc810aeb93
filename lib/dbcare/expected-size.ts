import { z } from "zod"

/** A column as the planner's statistics have it. */
export type ColumnWidth = {
  /** Mean bytes of a value that is not null; `null` where there are no statistics. */
  width: number | null
  nullShare: number | null
  /** `c`, `s`, `i` or `d`: 1, 2, 4 or 8 bytes. */
  align: string
  /** Bytes of a type of fixed length; -1 for one of variable length. */
  length: number
}

export const columnWidth = z.object({
  width: z.number().nullable(),
  nullShare: z.number().nullable(),
  align: z.string(),
  length: z.number(),
})

type Filled = { rows: number; columns: readonly ColumnWidth[]; blockBytes: number; fillPercent: number }

const pageHeader = 24
const linePointer = 4
const alignments: Record<string, number> = { c: 1, s: 2, i: 4, d: 8 }

/**
 * Pages that a table of so many rows needs when it was just rewritten; `undefined` where a column has no statistics. The layout is
 * that of the manual, "Database Page Layout".
 */
export function expectedHeapPages({ rows, columns, blockBytes, fillPercent }: Filled): number | undefined {
  const data = dataBytes(columns)
  if (data === undefined) return undefined
  const bitmap = columns.some(({ nullShare }) => (nullShare ?? 0) > 0) ? Math.ceil(columns.length / 8) : 0
  const tuple = align(23 + bitmap, 8) + align(data, 8) + linePointer
  const perPage = Math.max(1, Math.floor(((blockBytes - pageHeader) * fillPercent) / 100 / tuple))
  return Math.ceil(rows / perPage)
}

/**
 * Pages that a B-tree of so many entries needs when it was just built, without deduplication: an index that shares equal keys is
 * smaller, so that this calls too few indexes bloated and not too many. `undefined` where a column has no statistics.
 */
export function expectedBtreePages({ rows, columns, blockBytes, fillPercent }: Filled): number | undefined {
  const data = dataBytes(columns)
  if (data === undefined) return undefined
  const header = columns.some(({ nullShare }) => (nullShare ?? 0) > 0) ? 16 : 8
  const tuple = header + align(data, 8) + linePointer
  const usable = blockBytes - pageHeader - 16
  const perLeaf = Math.max(2, Math.floor((usable * fillPercent) / 100 / tuple))
  const leaves = Math.ceil(rows / perLeaf)
  return leaves + Math.ceil(leaves / Math.max(2, Math.floor(usable / tuple))) + 1
}

/** Mean bytes of a row's values with the gaps between them. Short values of variable length stand without a gap. */
function dataBytes(columns: readonly ColumnWidth[]): number | undefined {
  let end = 0
  for (const { width, nullShare, align: kind, length } of columns) {
    if (width === null) return undefined
    const share = 1 - (nullShare ?? 0)
    if (share === 0) continue
    const step = length > 0 || width > 126 ? (alignments[kind] ?? 8) : 1
    end = align(end, step) + share * width
  }
  return end
}

function align(value: number, step: number): number {
  return Math.ceil(value / step) * step
}
