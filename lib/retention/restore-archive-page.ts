import type { Finding } from "../core/finding.ts"
import { escapeCell } from "../core/markdown.ts"
import { formatBytes, formatCount, formatCounted } from "../core/size.ts"
import { renderTableName, type TableName } from "../postgres/name.ts"
import { type RestoredArchive, rowsOf } from "./restore-archive.ts"

type About = { database: string; rule: string; into: TableName; dryRun: boolean }

/** What came of bringing an archive back, for people. */
export function judgeRestoredArchive(restored: RestoredArchive, { database, rule, into, dryRun }: About): Finding {
  const { problems, warnings, rows, partsLoaded, partsKnown, parts } = restored
  const table = renderTableName(into)
  const known = partsKnown === 0 ? "" : `, ${formatCounted(partsKnown, "part")} had been loaded before`
  const done = dryRun
    ? `${formatCounted(parts.length, "part")} of ${rule} with ${formatCounted(rows, "row")} would be loaded into ${table}`
    : `${formatCounted(rows, "row")} of ${rule} in ${formatCounted(partsLoaded, "part")} loaded into ${table}${known}`
  return {
    subject: `database/${database}/restore-archive`,
    outcome: problems.length > 0 ? "fail" : warnings.length > 0 ? "warn" : "ok",
    detail: [done, ...problems, ...warnings].join("; "),
    facts: { rows, parts: parts.length, loaded: partsLoaded, problems: problems.length },
    runbook: "restore-archive",
  }
}

const mostLines = 200

/** The parts as a table. */
export function renderRestoredArchive({ parts, putBack }: RestoredArchive): string {
  if (parts.length === 0) return ""
  const lines = parts.slice(0, mostLines).map((part) => {
    const { manifest, folder, isConfirmed } = part
    const { ages, object } = manifest
    const span = ages ? `${ages.first} to ${ages.last}` : ""
    const cells = [
      folder.split("/").at(-1) ?? "",
      String(manifest.part),
      formatCount(rowsOf(part)),
      formatBytes(object.sealedBytes),
      span,
    ]
    return `| ${[...cells.map(escapeCell), isConfirmed ? "deleted" : "unconfirmed"].join(" | ")} |`
  })
  const more = parts.length > mostLines ? [`and ${formatCount(parts.length - mostLines)} more`, ""] : []
  return [
    "| run | part | rows | sealed | ages | rows of the table |",
    "| --- | ---: | ---: | ---: | --- | --- |",
    ...lines,
    "",
    ...more,
    "To put the rows back:",
    "",
    "```sql",
    putBack,
    "```",
    "",
  ].join("\n")
}
