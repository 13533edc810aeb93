import { formatDuration } from "../core/duration.ts"
import { escapeCell } from "../core/markdown.ts"
import { levelNames, type Receipt } from "./receipt.ts"

/** A receipt as a table for the step summary. */
export function renderReceiptPage(receipt: Receipt): string {
  const { levels, timingsMs, objectives } = receipt
  const rows = levelNames.map((name) => {
    const { outcome, detail, differences, exceptions } = levels[name]
    return `| ${name} | ${outcome} | ${[detail, ...differences, ...exceptions].map(escapeCell).join("<br>")} |`
  })
  const phases = (["download", "decrypt", "restore", "verify"] as const).map(
    (phase) => `${phase} ${formatDuration(timingsMs[phase])}`,
  )
  return [
    `### Restore test of ${escapeCell(receipt.database)}, set ${receipt.set}: ${receipt.verdict}`,
    "",
    "| level | outcome | what was seen |",
    "| --- | --- | --- |",
    ...rows,
    "",
    `Time: ${phases.join(", ")}. A real recovery would have taken ${formatDuration(timingsMs.recovery)} of the ${objectives.rtoMinutes} min allowed (RTO).`,
    `The set was ${objectives.ageHours.toFixed(1)} h old; at most ${objectives.rpoHours} h are allowed (RPO).`,
    "",
  ].join("\n")
}
