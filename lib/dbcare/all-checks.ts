import { activityChecks } from "./activity-checks.ts"
import type { CareCheck } from "./check.ts"
import { limitsCheck } from "./limits-check.ts"
import { structureChecks } from "./structure-checks.ts"

/** Every question that the daily job asks, in the order in which it is told. */
export const careChecks: readonly CareCheck[] = [limitsCheck, ...activityChecks, ...structureChecks]

/** The table of docs/database-checks.md. */
export function renderChecksReference(checks: readonly CareCheck[]): string {
  const rows = checks.map(({ name, about, needs, unit, threshold, severity }) => {
    const bounds = [threshold.warn, threshold.fail].map((bound) => bound ?? "").join(" / ")
    return `| [\`${name}\`](runbooks/database-${name}.md) | ${about} | ${unit ? `${bounds} ${unit}` : ""} | ${severity} | ${needs} |`
  })
  return [
    "| check | what it looks for | warns / fails at | severity | needs |",
    "| --- | --- | --- | --- | --- |",
    ...rows,
    "",
  ].join("\n")
}
