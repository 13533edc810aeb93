import { formatCount, formatCounted } from "../core/size.ts"

export type CapInput = {
  /** Rows that the run would take of the rule's table. */
  rows: number
  tableRows: number
  /** Rows of other tables that would go with them, and of how many. */
  cascaded: readonly { table: string; rows: number; tableRows: number }[]
  maxRows: number
  /** In percent. */
  maxShare: number
}

/** Why a run would take too much; empty when it stays below both caps. Rows that go by cascade count for both. Pure. */
export function capProblems({ rows, tableRows, cascaded, maxRows, maxShare }: CapInput): string[] {
  const problems: string[] = []
  const all = cascaded.reduce((sum, one) => sum + one.rows, rows)
  if (all > maxRows) {
    const with_ = all > rows ? ` (${formatCount(all - rows)} of them in other tables, by cascade)` : ""
    problems.push(`it would take ${formatCounted(all, "row")}${with_}, and maxRows is ${formatCount(maxRows)}`)
  }
  if (shareOf(rows, tableRows) > maxShare)
    problems.push(`it would take ${renderShare(shareOf(rows, tableRows))} of the table, and maxShare is ${maxShare} %`)
  for (const one of cascaded) {
    const share = shareOf(one.rows, one.tableRows)
    if (share > maxShare)
      problems.push(`by cascade it would take ${renderShare(share)} of ${one.table}, and maxShare is ${maxShare} %`)
  }
  return problems
}

/** Percent of a table. Of one that seems empty any row is all of it. */
export function shareOf(rows: number, tableRows: number): number {
  if (rows === 0) return 0
  return tableRows <= 0 ? 100 : Math.min(100, (100 * rows) / tableRows)
}

/** `12.5 %` */
export function renderShare(share: number): string {
  return `${share > 0 && share < 0.1 ? "< 0.1" : Number(share.toFixed(1))} %`
}
