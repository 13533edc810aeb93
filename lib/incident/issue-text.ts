import { formatDuration } from "../core/duration.ts"
import { escapeCell } from "../core/markdown.ts"
import { formatTime } from "../notify/message-lines.ts"
import { firstActionFor, impactOf, reactions } from "./advice.ts"
import { isDrill } from "./drill.ts"
import type { Incident, IncidentText, MessageKind } from "./incident.ts"
import { badForMs, clause } from "./message-title.ts"

export type TextSurroundings = {
  /** Everyone can read it: subject, outcome and times, nothing else. */
  isPublic: boolean
  /** An address or a path for the name of a runbook. */
  runbookAddress(name: string): string
}

const maxEvents = 40
const zeroWidthSpace = "\u200b"
const commands =
  "Comment `/ack 4h` (I am on it), `/silence 2d reason` (no messages) or `/resolve reason` (close it). " +
  "Who may write to this repository is heard by the next run."

/** Title and human part of what is written down about an incident. A function of the incident alone, so that it changes only when that does. */
export function incidentText(incident: Incident, surroundings: TextSurroundings): IncidentText {
  if (surroundings.isPublic) return publicText(incident)
  const { severity, detail, muted } = incident
  const rows = [
    ["Severity", `${severity}: ${reactions[severity].means}; look ${reactions[severity].look}`],
    ...stateRows(incident),
    ["Impact", incident.about?.impact ?? impactOf(incident)],
    ["Last good", lastGood(incident)],
    ...peopleRows(incident),
    ...(muted.length > 0 ? [["Fails because of it", muted.join(", ")]] : []),
    ["First action", incident.about?.firstAction ?? firstActionFor(incident)],
  ]
  const body = [
    ...detail.split("\n").map((line) => `> ${escapeMarkdown(line)}`),
    "",
    ...table(rows),
    `| Key | \`${incident.key.replace(/[`|\s]/g, "")}\` |`,
    "",
    ...links(incident, surroundings),
    ...(isDrill(incident) ? ["This is a drill: nothing is broken.", ""] : []),
    commands,
    "",
    ...timeline(incident),
  ]
  return { title: title(`${severity}: ${clause(incident)}`), body: `${body.join("\n").trimEnd()}\n` }
}

/** The comment that tells of a change; `undefined` where the text alone shows it. */
export function changeComment(incident: Incident, kind: MessageKind, isPublic: boolean): string | undefined {
  const error = isPublic ? "" : `\n\n> ${escapeMarkdown(incident.detail.split("\n")[0] ?? "")}`
  const { severity, subject, outcome } = incident
  if (kind === "worse")
    return `Worse: ${isPublic ? `${subject}: ${outcome}` : `${severity}, ${clause(incident)}`}.${error}`
  if (kind === "flapping") return "It comes and goes: from now on people hear a digest, not each change."
  if (kind !== "reopened") return undefined
  return `Open again: a person closed it, and it is still bad. \`/silence 2d reason\` gives quiet.${error}`
}

function publicText(incident: Incident): IncidentText {
  const rows = [["Outcome", incident.outcome], ...stateRows(incident)]
  const note = isDrill(incident)
    ? "This is a drill: nothing is broken."
    : "The details are not shown in a public repository: the team's channel has them."
  return {
    title: title(`${incident.subject}: ${incident.outcome}`),
    body: `${[...table(rows), "", note, "", commands].join("\n")}\n`,
  }
}

/** Any text in Markdown: it opens no markup, and mentions and links nobody and nothing. */
export function escapeMarkdown(text: string): string {
  return escapeCell(text.replace(/[@#](?=\w)/g, (sign) => `${sign}${zeroWidthSpace}`))
}

function title(text: string): string {
  const line = text.replace(/\s+/g, " ").trim()
  return line.length <= 120 ? line : `${line.slice(0, 119)}…`
}

function stateRows(incident: Incident): string[][] {
  const { detectedAt, openedAt, lastBadAt, closedAt, state } = incident
  return [
    ["State", closedAt ? `closed after ${formatDuration(badForMs(incident, new Date(closedAt)))}` : state],
    ["Detected", time(detectedAt)],
    ["Opened", time(openedAt)],
    ["Last seen bad", time(lastBadAt)],
    ...(closedAt ? [["Closed", time(closedAt)]] : []),
  ]
}

function peopleRows({ ack, silence, resolved }: Incident): string[][] {
  return [
    ["Acknowledged", ack ? `by ${ack.by} at ${time(ack.at)}, until ${time(ack.until)}` : "by nobody yet"],
    ...(silence ? [["Silenced", `by ${silence.by} until ${time(silence.until)}: ${silence.reason}`]] : []),
    ...(resolved ? [["Resolved", `by ${resolved.by}: ${resolved.reason}`]] : []),
  ]
}

function table(rows: readonly string[][]): string[] {
  const cells = rows.map(([name = "", value = ""]) => `| ${name} | ${escapeMarkdown(value)} |`)
  return ["| | |", "| --- | --- |", ...cells]
}

function links({ runbook, about }: Incident, { runbookAddress }: TextSurroundings): string[] {
  const page = runbookAddress(runbook ?? "incident")
  const book = isAddress(page) ? `[Runbook](${page})` : `Runbook: \`${page.replaceAll("`", "")}\``
  const run = about?.runUrl && isAddress(about.runUrl) ? [`[the run that saw it](${about.runUrl})`] : []
  return [[book, ...run].join(" · "), ""]
}

function isAddress(text: string): boolean {
  return /^https?:\/\/[^\s()<>]+$/.test(text)
}

function timeline({ timeline }: Incident): string[] {
  if (timeline.length === 0) return []
  const shown = timeline.slice(-maxEvents)
  const left = timeline.length - shown.length
  return [
    "### What happened",
    "",
    ...(left > 0 ? [`- ${left} earlier events`] : []),
    ...shown.map(({ at, what, by }) => `- ${time(at)}: ${escapeMarkdown(what)}${by ? ` (${escapeMarkdown(by)})` : ""}`),
  ]
}

function lastGood({ about, lastGoodAt }: Incident): string {
  const at = lastGoodAt ?? about?.lastGood
  return at === undefined ? "unknown" : at === "never" ? "never" : time(at)
}

function time(text: string): string {
  return formatTime(new Date(text))
}
