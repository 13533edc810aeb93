import { escapeCell } from "../core/markdown.ts"
import { formatCount } from "../core/size.ts"
import type { Applied } from "./apply.ts"
import { type DecayPlan, histogramBars } from "./plan.ts"
import type { PreparedRule } from "./prepared.ts"

export type Section = {
  database: string
  rule: Pick<PreparedRule, "config" | "table">
  plan: DecayPlan
  /** What really changed; absent for a dry run. */
  applied: Applied | undefined
  /** Whether the sample has the keys of its rows: for the eyes of who runs it by hand. */
  showsKeys: boolean
  /** What people read first: when, how many steps, and what is special. */
  lines: readonly string[]
}

const barWidth = 20

/** One rule of a run as Markdown: counts, some rows before and after, and how the values lie. Pure. */
export function renderSection({ database, rule, plan, applied, showsKeys, lines }: Section): string {
  const title = `### ${escapeCell(rule.config.name)} (${escapeCell(database)}, ${escapeCell(`${rule.table.schema}.${rule.table.name}.${rule.config.column}`)})`
  const parts = [title, lines.map((line) => `- ${escapeCell(line)}`).join("\n"), countsTable(rule, plan, applied)]
  if (plan.sample.length > 0) parts.push(sampleTable(rule, plan, showsKeys))
  if (plan.histogram) parts.push(histogramText(plan.histogram))
  return parts.filter((part) => part !== "").join("\n\n")
}

function countsTable({ config }: Section["rule"], plan: DecayPlan, applied: Applied | undefined): string {
  const rows: [string, number][] = [
    ["considered", plan.considered],
    ["left alone, without a usable value, base, time or half-life", plan.leftAlone],
    [applied ? "planned to change" : "would change", plan.changed],
  ]
  if (applied) rows.push(["changed", applied.changed])
  for (const [index, { below, crossing, under }] of plan.thresholds.entries()) {
    const action = config.thresholds[index]?.action ?? "notify"
    rows.push([
      `${applied ? "fell" : "would fall"} to ${below} or less (${action})`,
      applied?.crossed[index] ?? crossing,
    ])
    rows.push([`at ${below} or less afterwards`, under])
  }
  if (applied && config.thresholds.some(({ action }) => action === "mark")) rows.push(["marked", applied.marked])
  return table(
    ["rows", "count"],
    rows.map(([what, count]) => [what, formatCount(count)]),
  )
}

function sampleTable({ table: { primaryKey } }: Section["rule"], { sample }: DecayPlan, withKeys: boolean): string {
  const header = [...(withKeys ? [primaryKey.join(", ")] : []), "before", "after"]
  return table(
    header,
    sample.map(({ key, before, after }) => [...(withKeys ? [key.join(", ")] : []), before, after]),
  )
}

function table(header: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.map(escapeCell).join(" | ")} |`
  return [line(header), `|${" --- |".repeat(header.length)}`, ...rows.map(line)].join("\n")
}

function histogramText({ from, to, before, after }: NonNullable<DecayPlan["histogram"]>): string {
  const most = Math.max(1, ...before, ...after)
  const width = (to - from) / histogramBars
  const labels = before.map((_, index) => `${short(from + index * width)} to ${short(from + (index + 1) * width)}`)
  const labelWidth = Math.max(...labels.map(({ length }) => length))
  const countWidth = formatCount(most).length
  const bar = (count: number) =>
    `${formatCount(count).padStart(countWidth)} ${"#".repeat(count === 0 ? 0 : Math.max(1, Math.round((count / most) * barWidth))).padEnd(barWidth)}`
  const lines = labels.map((label, index) =>
    `${label.padEnd(labelWidth)}  ${bar(before[index] ?? 0)}  ${bar(after[index] ?? 0)}`.trimEnd(),
  )
  const head = `${"value".padEnd(labelWidth)}  ${"before".padEnd(countWidth + 1 + barWidth)}  after`
  return ["```text", head, ...lines, "```"].join("\n")
}

function short(value: number): string {
  return String(Number(value.toPrecision(4)))
}
