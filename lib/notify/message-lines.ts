import { codeSpan, escapeSlack, slackLink, truncateSlack } from "./slack-text.ts"

/** A line `*Name*  value` of a message; the value is any text. */
export function label(name: string, text: string, max = 600): string {
  return `*${name}*  ${truncateSlack(escapeSlack(oneLine(text)), max)}`
}

/** An error in one short line: of a hash, its first digits are enough to compare. */
export function shortError(text: string, maxChars = 240): string {
  const line = oneLine(text).replace(/\b([0-9a-f]{8})[0-9a-f]{24,}\b/gi, "$1…")
  return line.length <= maxChars ? line : `${line.slice(0, maxChars - 1).trimEnd()}…`
}

/** A page of the handbook, as a link where its address is known, else as a path. */
export function runbookLine(runbook: string): string {
  const isAddress = /^https?:\/\//.test(runbook)
  const name = runbook.split("/").at(-1)?.replace(/\.md$/, "") || "runbook"
  return `*Runbook*  ${isAddress ? slackLink(runbook, name) : codeSpan(runbook, 200)}`
}

export function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").trim()
}

/** `2026-03-01 03:17 UTC`. */
export function formatTime(time: Date): string {
  return `${time.toISOString().slice(0, 16).replace("T", " ")} UTC`
}
