import { formatDuration } from "../core/duration.ts"
import { escapeCell } from "../core/markdown.ts"
import type { MaintenanceAction } from "./actions.ts"
import type { Maintenance } from "./maintain.ts"

/** The plan of a database as tables for the step summary: with what came of it, or, of a dry run, without. */
export function renderMaintenancePage(database: string, maintenance: Maintenance, dryRun: boolean): string {
  const { plan } = maintenance
  const title = `### Maintenance of ${escapeCell(database)}${dryRun ? ": the plan, nothing was changed" : ""}`
  const done = plan.actions.map((action) =>
    row([action.action, action.target, action.reason, action.statement, endOf(maintenance, action, dryRun)]),
  )
  const notDone = plan.notDone.map(({ action, target, reason }) => row([action, target, reason]))
  return [
    title,
    "",
    ...(done.length > 0
      ? [row(["action", "what", "why", "statement", "outcome"]), row(Array(5).fill("---")), ...done]
      : ["Nothing is due that this role may do."]),
    "",
    ...(notDone.length > 0
      ? ["Due, and not to be done:", "", row(["action", "what", "why not"]), row(Array(3).fill("---")), ...notDone, ""]
      : []),
    ...plan.notes.flatMap((note) => [escapeCell(note), ""]),
  ].join("\n")
}

function endOf({ outcomes, left }: Maintenance, action: MaintenanceAction, dryRun: boolean): string {
  if (dryRun) return "planned"
  const outcome = outcomes.find((one) => one.action === action)
  if (outcome) return `${outcome.end}: ${outcome.detail} (${formatDuration(outcome.durationMs)})`
  return left.includes(action) ? "not begun" : "unknown"
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => (cell === "---" ? cell : escapeCell(cell))).join(" | ")} |`
}
