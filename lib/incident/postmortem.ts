import { formatDuration } from "../core/duration.ts"
import { formatTime } from "../notify/message-lines.ts"
import type { Incident } from "./incident.ts"
import { escapeMarkdown } from "./issue-text.ts"
import { badForMs, clause } from "./message-title.ts"

/** Whether closing it asks for a postmortem: P0 and P1 that were really bad and are over, or that a person declared to be over. */
export function wantsPostmortem(incident: Incident): boolean {
  const { severity, outcome, subject, closedAt } = incident
  const isOver = incident.resolved !== undefined || isWell(incident)
  return closedAt !== undefined && isOver && severity <= "P1" && outcome === "fail" && !subject.startsWith("drill/")
}

/** The comment of a closing: how long it was, why it is closed, and of a P0 or P1 the skeleton of its postmortem. */
export function closingComment(incident: Incident, isPublic: boolean, why?: string): string {
  const lasted = formatDuration(badForMs(incident, new Date(incident.closedAt ?? incident.lastBadAt)))
  const isRecovered = isWell(incident) && !incident.resolved
  const closed = isRecovered
    ? `As it should be again, after ${lasted}. Closed.`
    : `Closed after ${lasted}${why === undefined ? "" : `: ${escapeMarkdown(why)}`}.`
  return wantsPostmortem(incident) ? `${closed}\n\n${postmortem(incident, isPublic)}` : closed
}

/** The last look was a good one. */
function isWell({ lastGoodAt, lastBadAt }: Incident): boolean {
  return lastGoodAt !== undefined && Date.parse(lastGoodAt) >= Date.parse(lastBadAt)
}

/** The skeleton of a postmortem, with what the incident knows filled in: times and durations, and unless it is public the error. */
export function postmortem(incident: Incident, isPublic: boolean): string {
  const { timeline, ack, severity, subject } = incident
  return [
    `## Postmortem: ${escapeMarkdown(isPublic ? subject : `${severity}, ${clause({ ...incident })}`)}`,
    "",
    "Blameless: it asks how it could happen, never who. Complete it within five working days.",
    "",
    "| | when | after detection |",
    "| --- | --- | --- |",
    ...milestones(incident).map(({ name, at }) => `| ${name} | ${when(at)} | ${after(incident, at)} |`),
    "",
    ...(isPublic ? [] : [`**What was seen**: ${escapeMarkdown(incident.detail.split("\n")[0] ?? "")}`, ""]),
    ...(isPublic ? [] : [`**Who was on it**: ${ack ? escapeMarkdown(ack.by) : "nobody acknowledged it"}`, ""]),
    ...["Impact: who could not do what, and how many", "Cause: what made it possible", "What helped"].flatMap(question),
    ...["What was in the way", "How it is noticed sooner next time", "Actions, each with a person and a date"].flatMap(
      question,
    ),
    ...(isPublic || timeline.length === 0 ? [] : ["### Timeline", "", ...timeline.map(eventLine)]),
  ]
    .join("\n")
    .trimEnd()
}

function milestones(incident: Incident): { name: string; at: string | undefined }[] {
  const told = incident.outbox.find(({ sentAt }) => sentAt !== undefined)?.sentAt
  return [
    { name: "last good", at: knownGood(incident) },
    { name: "detected", at: incident.detectedAt },
    { name: "opened", at: incident.openedAt },
    { name: "told", at: told },
    { name: "acknowledged", at: incident.ack?.at },
    { name: "last seen bad", at: incident.lastBadAt },
    { name: incident.resolved ? "resolved by a person" : "recovered", at: incident.closedAt },
  ]
}

function knownGood({ about }: Incident): string | undefined {
  return about?.lastGood === "never" ? undefined : about?.lastGood
}

function when(at: string | undefined): string {
  return at === undefined ? "not known" : formatTime(new Date(at))
}

function after({ detectedAt }: Incident, at: string | undefined): string {
  if (at === undefined) return ""
  const ms = new Date(at).getTime() - new Date(detectedAt).getTime()
  return ms === 0 ? "" : ms < 0 ? `${formatDuration(-ms)} before` : formatDuration(ms)
}

function question(text: string): string[] {
  return [`### ${text}`, "", "…", ""]
}

function eventLine({ at, what, by }: Incident["timeline"][number]): string {
  return `- ${formatTime(new Date(at))}: ${escapeMarkdown(what)}${by ? ` (${escapeMarkdown(by)})` : ""}`
}
