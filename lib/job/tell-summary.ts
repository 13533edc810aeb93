import { appendFile, stat } from "node:fs/promises"
import type { Writable } from "node:stream"
import { formatDuration } from "../core/duration.ts"
import type { Finding } from "../core/finding.ts"
import type { Outcome } from "../core/outcome.ts"
import { escapeCell, truncateMarkdown } from "./markdown.ts"
import type { Variables } from "./origin.ts"
import type { Run } from "./run.ts"
import type { Teller } from "./tell.ts"

/** Limits of GitHub: bytes of a step's summary, annotations of one kind in a step, characters of one. */
const maxSummaryBytes = 1024 * 1024
const maxAnnotations = 10
const maxAnnotationChars = 4096

/**
 * The step summary and the annotations of the run's page. Only inside Actions.
 *
 * Written as GitHub documents them and not with @actions/core, which takes the summary's file and stdout from the process:
 * stdout must stay free for `--json`, so the annotations go to stderr, where GitHub reads them as well.
 */
export function summaryTeller(env: Variables, stderr: Writable): Teller {
  return {
    name: "summary",
    timeoutMs: 10_000,
    async tell({ run, page }) {
      if (env.GITHUB_ACTIONS !== "true") return "skipped (not in Actions)"
      for (const line of renderAnnotations(run)) stderr.write(`${line}\n`)
      const file = env.GITHUB_STEP_SUMMARY
      if (!file) throw new Error("GITHUB_STEP_SUMMARY is missing: the runner sets it for every step")
      const usedBytes = (await stat(file).catch(ignoreMissing))?.size ?? 0
      await appendFile(file, truncateMarkdown(renderSummary(run, page), maxSummaryBytes - usedBytes))
      return "done"
    },
  }
}

/** The run as a page for people: what came of it, its findings, and what the job adds. */
export function renderSummary(run: Run, page: string | undefined): string {
  const title = `## ${escapeCell(run.job)}: ${outcomeWords[run.outcome]}${run.dryRun ? " (dry run: nothing was changed)" : ""}`
  const parts = [title, escapeCell(run.summary), findingsTable(run.findings), page ?? "", footer(run)]
  return `${parts.filter((part) => part.trim() !== "").join("\n\n")}\n`
}

const outcomeWords: Record<Outcome, string> = {
  ok: "done",
  warn: "done, with warnings",
  fail: "failed",
  unknown: "unknown",
}
const outcomeOrder: readonly Outcome[] = ["fail", "warn", "unknown", "ok"]

function findingsTable(findings: readonly Finding[]): string {
  if (findings.length === 0) return ""
  const rows = worstFirst(findings).map(
    ({ subject, outcome, detail }) => `| ${escapeCell(subject)} | ${outcome} | ${escapeCell(detail)} |`,
  )
  return ["| Subject | Outcome | Detail |", "| --- | --- | --- |", ...rows].join("\n")
}

function footer(run: Run): string {
  const tookMs = new Date(run.endedAt).getTime() - new Date(run.startedAt).getTime()
  const facts = [`slot ${run.slot}`, `took ${formatDuration(tookMs)}`, `run ${run.id}`, `trace ${run.traceId}`]
  if (run.actor) facts.push(`started by ${run.actor}`)
  if (run.reason) facts.push(`because: ${run.reason}`)
  return `<sub>${facts.map(escapeCell).join(" · ")}</sub>`
}

/** Workflow commands, one line each; an annotation for each bad finding as far as GitHub shows them. */
export function renderAnnotations(run: Run): string[] {
  const kinds = [
    ["fail", "error"],
    ["warn", "warning"],
  ] as const
  return kinds.flatMap(([outcome, command]) => {
    const findings = run.findings.filter((finding) => finding.outcome === outcome)
    return findings.slice(0, maxAnnotations).map((finding, index) => {
      const unseen = index === maxAnnotations - 1 ? findings.length - maxAnnotations : 0
      const more = unseen > 0 ? ` (and ${unseen} more in the summary)` : ""
      const text = finding.detail.slice(0, maxAnnotationChars - more.length) + more
      return `::${command} title=${escapeProperty(`${run.job}: ${finding.subject}`)}::${escapeData(text)}`
    })
  })
}

function worstFirst(findings: readonly Finding[]): Finding[] {
  return findings.toSorted((a, b) => outcomeOrder.indexOf(a.outcome) - outcomeOrder.indexOf(b.outcome))
}

function escapeData(text: string): string {
  return text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A")
}

function escapeProperty(text: string): string {
  return escapeData(text).replaceAll(":", "%3A").replaceAll(",", "%2C")
}

function ignoreMissing(error: unknown): undefined {
  if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined
  throw error
}
