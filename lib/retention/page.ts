import { escapeCell } from "../core/markdown.ts"
import { formatCount, formatCounted } from "../core/size.ts"
import { renderTableName } from "../postgres/name.ts"
import { renderShare } from "./cap.ts"
import type { CleanupPlan } from "./contract.ts"
import type { Ended } from "./findings.ts"

/** A rule with its plan, and what became of it where it was applied. */
export type PlannedRule = { plan: CleanupPlan; ended?: Ended }

/** The plans of a database as Markdown, then what really changed. Keys of rows are in it where a plan has them. Pure. */
export function renderCleanupPage(database: string, rules: readonly PlannedRule[]): string {
  if (rules.length === 0) return ""
  const parts = [
    `### Cleanup of ${escapeCell(database)}: the plan`,
    table(
      ["rule", "action", "table", "rows", "share", "oldest", "newest", "on hold", "referred to"],
      rules.map(({ plan }) => planRow(plan)),
    ),
    ...rules.map(({ plan }) => remarks(plan)).filter((text) => text !== ""),
  ]
  const applied = rules.flatMap(({ plan, ended }) => (ended ? [endedRow(plan, ended)] : []))
  if (applied.length > 0) {
    const head = ["rule", "done", "batches", "still matching", "on hold", "how it ended"]
    parts.push(`### Cleanup of ${escapeCell(database)}: what changed`, table(head, applied))
  }
  parts.push(...rules.map(({ plan }) => statement(plan)).filter((text) => text !== ""))
  return parts.join("\n\n")
}

function planRow(plan: CleanupPlan): string[] {
  const { rule, action, selection, count, share, oldest = "", newest = "", heldBack, referredTo } = plan
  const numbers = [
    formatCount(count),
    renderShare(share),
    oldest,
    newest,
    formatCount(heldBack),
    formatCount(referredTo),
  ]
  return [rule, action, renderTableName(selection.table), ...numbers]
}

function endedRow(plan: CleanupPlan, { removed, batches, left, heldBack, stopped, failure }: Ended): string[] {
  const numbers = [removed, batches, left, heldBack].map((number) => formatCount(number))
  return [plan.rule, ...numbers, failure ?? stopped ?? "done"]
}

function remarks({ rule, refusals, cascades, partitions = [], sampleKeys, notes, cutoff }: CleanupPlan): string {
  const lines = [
    ...refusals.map((refusal) => `**refused**: ${escapeCell(refusal)}`),
    ...(cutoff ? [`older than ${cutoff.toISOString()}`] : []),
    ...cascades.map(({ count, effect, through, ...table }) =>
      escapeCell(`${formatCounted(count, "row")} of ${renderTableName(table)} ${effect} through ${through}`),
    ),
    ...partitions.map((one) => escapeCell(`${renderTableName(one)} ${one.bounds}: ${formatCounted(one.rows, "row")}`)),
    ...notes.map(escapeCell),
    ...(sampleKeys.length > 0 ? [`such as the keys ${sampleKeys.map((key) => escapeCell(key)).join("; ")}`] : []),
  ]
  if (lines.length === 0) return ""
  return [`**${escapeCell(rule)}**`, "", ...lines.map((line) => `- ${line}`)].join("\n")
}

function statement({ rule, explain }: CleanupPlan): string {
  if (explain.lines.length === 0) return ""
  const text = [explain.statement, "", ...explain.lines].join("\n")
  const shown = text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replace(/\n\s*\n/g, "\n")
  return `<details><summary>${escapeCell(rule)}: how a batch finds its rows</summary>\n\n<pre>${shown}</pre>\n\n</details>`
}

function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.join(" | ")} |`
  return [line(head), line(head.map(() => "---")), ...rows.map((cells) => line(cells.map(escapeCell)))].join("\n")
}
