import { formatDuration } from "../core/duration.ts"
import type { Finding } from "../core/finding.ts"
import { context, header, type SlackMessage, section } from "./slack-message.ts"
import { codeSpan, escapeSlack, slackLink, truncateSlack } from "./slack-text.ts"

/** Everything a person who is woken needs to know about a job that failed. */
export type FailureNotice = {
  app: string
  environment: string
  job: string
  /** The bad findings, worst first. */
  findings: readonly Finding[]
  /** Since when it fails, in words, such as `2026-03-01 03:17 UTC (3 runs)`; left out when it is the first time or unknown. */
  since?: string
  /** What it means for the team as long as nothing is done, in the job's own words. */
  impact: string
  error: string
  lastSuccess: { at: Date } | "unknown" | "never"
  commit?: string
  runUrl?: string
  firstAction: string
  /** An address, or a path in the repository. */
  runbook?: string
  slot: Date
  now: Date
}

const maxFindings = 5

/** The message for a failed run. Pure. Every word that people read about a failure is in this file. */
export function renderFailure(notice: FailureNotice): SlackMessage {
  const title = `${notice.job} failed: ${notice.app} (${notice.environment})`
  return {
    text: escapeSlack(`${title}. ${oneLine(notice.error)}. First action: ${oneLine(notice.firstAction)}`),
    blocks: [
      header(truncateSlack(escapeSlack(oneLine(title)), 150)),
      section([...what(notice), ...since(notice), label("Impact", notice.impact)].join("\n")),
      section(`*Error*  ${codeSpan(notice.error, 1000)}`),
      section([label("First action", notice.firstAction), ...runbook(notice)].join("\n")),
      context(footer(notice).join("  ·  ")),
    ],
  }
}

function what({ findings, job, slot }: FailureNotice): string[] {
  if (findings.length === 0) return [label("What", `${job} did not do its work of ${formatTime(slot)}`)]
  const shown = findings.slice(0, maxFindings)
  const lines = shown.map(({ subject, detail }) => label("What", `${subject}: ${detail}`, 400))
  const more = findings.length - shown.length
  return more > 0 ? [...lines, `and ${more} more`] : lines
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
  const parts = [`last success: ${lastSuccess(notice)}`, `slot ${formatTime(notice.slot)}`]
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
