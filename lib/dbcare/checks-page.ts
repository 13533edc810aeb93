import { formatDuration } from "../core/duration.ts"
import { escapeCell } from "../core/markdown.ts"
import type { CareItem, Remedy } from "./check.ts"
import type { JudgedCheck } from "./judge-checks.ts"

const itemsShown = 20

/** All checks of one database as Markdown: a table of what was asked, then each thing that was found with its evidence and remedy. */
export function renderChecksPage(database: string, checks: readonly JudgedCheck[]): string {
  const rows = checks.map(({ report, sorted, since, finding }) => {
    const { check, result, durationMs } = report
    const seen = result.status === "done" ? String(result.looked) : `${result.status}: ${result.reason}`
    const found = result.status === "done" ? String(sorted.counted.length) : ""
    const change = since ? `${since.fresh.length} new, ${since.still.length} still, ${since.fixed.length} fixed` : ""
    const cells = [
      check.name,
      finding.outcome,
      seen,
      found,
      change,
      sorted.ignored.length || "",
      formatDuration(durationMs),
    ]
    return `| ${cells.map((cell) => escapeCell(String(cell))).join(" | ")} |`
  })
  return [
    `### Database checks of ${escapeCell(database)}`,
    "",
    "| check | outcome | looked at | found | since last week | set aside | time |",
    "| --- | --- | --- | --- | --- | --- | --- |",
    ...rows,
    "",
    ...checks.flatMap(renderFound),
  ].join("\n")
}

function renderFound({ report, sorted, since }: JudgedCheck): string[] {
  const { check, result } = report
  const notes = result.status === "done" ? (result.notes ?? []) : []
  if (sorted.counted.length + sorted.ignored.length + notes.length === 0) return []
  const rest = sorted.counted.length - itemsShown
  return [
    `#### ${check.name}: ${escapeCell(check.about)}`,
    "",
    ...sorted.counted
      .slice(0, itemsShown)
      .flatMap((item) => renderItem(item, since?.fresh.includes(item.item) === true)),
    ...(rest > 0 ? [`- and ${rest} more`] : []),
    ...sorted.ignored.map(
      ({ item, entry }) =>
        `- set aside until ${entry.until}: ${escapeCell(item.item)} (${escapeCell(entry.reason)}): ${escapeCell(item.detail)}`,
    ),
    ...notes.map((note) => `- note: ${escapeCell(note)}`),
    "",
  ]
}

function renderItem({ item, outcome, detail, evidence, remedy }: CareItem, isNew: boolean): string[] {
  const facts = Object.entries(evidence).map(([name, value]) => `${name} ${value}`)
  return [
    `- **${outcome}** ${escapeCell(item)}${isNew ? " (new)" : ""}: ${escapeCell(detail)}`,
    ...(facts.length > 0 ? [`  - evidence: ${escapeCell(facts.join(", "))}`] : []),
    ...(remedy ? renderRemedy(remedy) : []),
  ]
}

function renderRemedy({ advice, run = [], undo = [] }: Remedy): string[] {
  return [
    `  - remedy: ${escapeCell(advice)}`,
    ...run.map((sql) => `  - run: ${code(sql)}`),
    ...undo.map((sql) => `  - undo: ${code(sql)}`),
  ]
}

/** A statement as code, whatever backticks are in it; line breaks would end the list. */
function code(sql: string): string {
  const longest = Math.max(0, ...Array.from(sql.matchAll(/`+/g), ([ticks]) => ticks.length))
  const fence = "`".repeat(longest + 1)
  const text = sql.replaceAll(/\s+/g, " ")
  return longest > 0 ? `${fence} ${text} ${fence}` : `${fence}${text}${fence}`
}
