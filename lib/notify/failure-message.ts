import { formatDuration } from "../core/duration.ts"
import type { Finding } from "../core/finding.ts"
import { context, header, type SlackMessage, section } from "./slack-message.ts"
import { codeSpan, escapeSlack, slackLink, truncateSlack } from "./slack-text.ts"

/** Everything a person who is woken needs to know about a job that failed. */
export type FailureNotice = {
  app: string
  environment: string
  job: string
  /** What is bad, worst first: the job itself (`job/<name>`), or what it saw. Each detail becomes one short line. */
  findings: readonly Finding[]
  /** Since when it fails, in words, such as `2026-03-01 03:17 UTC (3 runs)`; left out when it is the first time or unknown. */
  since?: string
  /** What it means for the team as long as nothing is done, in the job's own words. */
  impact: string
  lastSuccess: { at: Date } | "unknown" | "never"
  commit?: string
  runUrl?: string
  firstAction: string
  /** An address, or a path in the repository. */
  runbook?: string
  slot: Date
  now: Date
}

const maxErrors = 5
const maxErrorChars = 240

/** The message for a failed run. Pure. Every word that people read about a failure is in this file. */
export function renderFailure(notice: FailureNotice): SlackMessage {
  const title = `${notice.job} failed: ${notice.app} (${notice.environment})`
  const error = shortError(notice.findings[0]?.detail ?? "")
  return {
    text: escapeSlack([title, error, `First action: ${oneLine(notice.firstAction)}`].filter(Boolean).join(". ")),
    blocks: [
      header(truncateSlack(escapeSlack(oneLine(title)), 150)),
      section([...errors(notice), ...since(notice), label("Impact", notice.impact)].join("\n")),
      section(
        [
          label("Last success", lastSuccess(notice)),
          label("First action", notice.firstAction),
          ...runbook(notice),
        ].join("\n"),
      ),
      context(footer(notice).join("  ·  ")),
    ],
  }
}

/** What failed, each with its errors. */
function errors(notice: FailureNotice): string[] {
  const shown = notice.findings.slice(0, maxErrors)
  const lines = shown.flatMap((finding, index) => [
    ...(shown[index - 1]?.subject === finding.subject ? [] : [label("What", what(finding, notice), 200)]),
    `*Error*  ${codeSpan(shortError(finding.detail), maxErrorChars)}`,
  ])
  const more = notice.findings.length - shown.length
  return more > 0 ? [...lines, `and ${more} more`] : lines
}

function what({ subject }: Finding, { job, slot }: FailureNotice): string {
  return subject === `job/${job}` ? `${job} did not do its work of ${formatTime(slot)}` : subject
}

/** An error in one short line: of a hash, its first digits are enough to compare. */
function shortError(text: string): string {
  const line = oneLine(text).replace(/\b([0-9a-f]{8})[0-9a-f]{24,}\b/gi, "$1…")
  return line.length <= maxErrorChars ? line : `${line.slice(0, maxErrorChars - 1).trimEnd()}…`
}

function since({ since }: FailureNotice): string[] {
  return since === undefined ? [] : [label("Since", since)]
}

function runbook({ runbook }: FailureNotice): string[] {
  if (runbook === undefined) return []
  const isAddress = /^https?:\/\//.test(runbook)
  const name = runbook.split("/").at(-1)?.replace(/\.md$/, "") || "runbook"
  return [`*Runbook*  ${isAddress ? slackLink(runbook, name) : codeSpan(runbook, 200)}`]
}

function footer(notice: FailureNotice): string[] {
  const parts = [`slot ${formatTime(notice.slot)}`]
  if (notice.commit) parts.push(`commit ${codeSpan(notice.commit.slice(0, 12), 20)}`)
  if (notice.runUrl) parts.push(slackLink(notice.runUrl, "open the run"))
  return parts
}

function lastSuccess({ lastSuccess, now }: FailureNotice): string {
  if (lastSuccess === "never") return "never"
  if (lastSuccess === "unknown") return "unknown (no history to read)"
  const ageMs = Math.max(0, now.getTime() - lastSuccess.at.getTime())
  return `${formatTime(lastSuccess.at)} (${formatDuration(ageMs)} ago)`
}

function label(name: string, text: string, max = 600): string {
  return `*${name}*  ${truncateSlack(escapeSlack(oneLine(text)), max)}`
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").trim()
}

function formatTime(time: Date): string {
  return `${time.toISOString().slice(0, 16).replace("T", " ")} UTC`
}
