import { formatDuration } from "../core/duration.ts"
import type { Run } from "./run.ts"

/** The last lines of a run for the person who started it: what came of it, what is bad, and whom it could not be told. */
export function renderClosing(run: Run): string {
  return `${[...(run.exitCode === 2 ? misconfigured(run) : result(run)), ...untold(run)].join("\n")}\n`
}

function result(run: Run): string[] {
  const tookMs = new Date(run.endedAt).getTime() - new Date(run.startedAt).getTime()
  const word = run.outcome === "fail" ? "failed" : run.outcome
  const bad = run.findings.filter((finding) => finding.outcome !== "ok" && finding.detail !== run.summary)
  return [
    `${run.job} ${word} in ${formatDuration(tookMs)}${run.dryRun ? " (dry run)" : ""}: ${oneLine(run.summary)}`,
    ...bad.map(({ outcome, subject, detail }) => `  ${outcome.padEnd(7)} ${subject}: ${oneLine(detail)}`),
  ]
}

function misconfigured({ job, findings }: Run): string[] {
  const count = findings.length === 1 ? "1 thing" : `${findings.length} things`
  return [`${job} cannot run: ${count} to correct`, ...findings.map(({ detail }) => `  ${oneLine(detail)}`)]
}

function untold({ told }: Run): string[] {
  return Object.entries(told).flatMap(([name, text]) =>
    text.startsWith("failed") ? [`  not told: ${name} ${text}`] : [],
  )
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").trim()
}
