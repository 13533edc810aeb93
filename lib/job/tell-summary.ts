import { stat } from "node:fs/promises"
import { formatDuration } from "../core/duration.ts"
import type { Finding } from "../core/finding.ts"
import { escapeCell, truncateMarkdown } from "../core/markdown.ts"
import type { Outcome } from "../core/outcome.ts"
import type { ActionsOutput } from "../github/actions-output.ts"
import type { Variables } from "./origin.ts"
import type { Run } from "./run.ts"
import type { Teller } from "./tell.ts"

/** Limits of GitHub: bytes of a step's summary, annotations of one kind in a step, characters of one. */
const maxSummaryBytes = 1024 * 1024
const maxAnnotations = 10
const maxAnnotationChars = 4096

export type SummaryContext = { env: Variables; actions: ActionsOutput | undefined; json: boolean }

/**
 * The step summary and the annotations of the run's page. Only inside Actions. With `--json` there are no annotations: the
 * runner reads them from stdout, which then is one JSON document and nothing else.
 */
export function summaryTeller({ env, actions, json }: SummaryContext): Teller {
  return {
    name: "summary",
    timeoutMs: 10_000,
    async tell({ run, page }) {
      if (!actions) return "skipped (not in Actions)"
      for (const { kind, title, text } of json ? [] : annotationsOf(run)) actions.annotate(kind, title, text)
      const usedBytes = (await stat(env.GITHUB_STEP_SUMMARY ?? "").catch(ignoreMissing))?.size ?? 0
      await actions.appendSummary(truncateMarkdown(renderSummary(run, page), maxSummaryBytes - usedBytes))
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

export type Annotation = { kind: "error" | "warning"; title: string; text: string }

/** A note for each bad finding, as far as GitHub shows them. */
export function annotationsOf(run: Run): Annotation[] {
  const kinds = [
    ["fail", "error"],
    ["warn", "warning"],
  ] as const
  return kinds.flatMap(([outcome, kind]) => {
    const findings = run.findings.filter((finding) => finding.outcome === outcome)
    return findings.slice(0, maxAnnotations).map((finding, index) => {
      const unseen = index === maxAnnotations - 1 ? findings.length - maxAnnotations : 0
      const more = unseen > 0 ? ` (and ${unseen} more in the summary)` : ""
      const text = finding.detail.slice(0, maxAnnotationChars - more.length) + more
      return { kind, title: `${run.job}: ${finding.subject}`, text }
    })
  })
}

function worstFirst(findings: readonly Finding[]): Finding[] {
  return findings.toSorted((a, b) => outcomeOrder.indexOf(a.outcome) - outcomeOrder.indexOf(b.outcome))
}

function ignoreMissing(error: unknown): undefined {
  if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined
  throw error
}
