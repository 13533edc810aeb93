import { formatDuration } from "../core/duration.ts"
import { formatTime, label, oneLine, runbookLine, shortError } from "../notify/message-lines.ts"
import { context, header, type SlackMessage, section } from "../notify/slack-message.ts"
import { codeSpan, escapeSlack, slackLink, truncateSlack } from "../notify/slack-text.ts"
import { firstActionFor, impactOf, reactions } from "./advice.ts"
import type { Incident, MessageKind } from "./incident.ts"
import { badForMs, clause, mostSevere, type Notice, type Told, titleOf } from "./message-title.ts"
import { heardBefore } from "./say.ts"

/** Who speaks, when and where. */
export type Scene = {
  app: { name: string; environment: string }
  now: Date
  runUrl?: string
  /** An address or a path for the name of a runbook. */
  runbookAddress(name: string): string
}

const maxErrors = 5
const maxListed = 10
/** So that what is special about a message, which stands at its end, is not what Slack has no room for. */
const maxListChars = 9000
const maxRestChars = 2000
const lateMs = 15 * 60_000

/**
 * What people read of incidents. Pure. Every word that they read there is in this file and in
 * message-title.ts; advice by class is in advice.ts, what stands in the issue besides in issue-text.ts.
 */
export function renderMessage(notice: Notice, scene: Scene): SlackMessage {
  const title = titleOf(notice, scene.now)
  const [first, ...more] = notice.about
  const parts = first && more.length === 0 ? singleParts(notice.kind, first, scene) : listParts(notice, scene)
  const worst = mostSevere(notice.about).incident
  const text = [
    `${title}, ${scene.app.name} (${scene.app.environment})`,
    notice.mayBeRepeat ? "may be a repeat" : "",
    notice.kind === "recovered" || notice.kind === "drill" ? "" : firstError(worst),
    notice.kind === "recovered" ? "" : `First action: ${oneLine(firstAction(worst))}`,
  ]
  return {
    text: escapeSlack(text.filter(Boolean).join(". ")),
    blocks: [
      header(truncateSlack(escapeSlack(oneLine(`${title} · ${scene.app.name} (${scene.app.environment})`)), 150)),
      ...parts.map((lines) => section(lines.join("\n"))),
      context(footer(notice, scene).join("  ·  ")),
      ...remarks(notice, scene).map((remark) => context(escapeSlack(remark))),
    ],
  }
}

function singleParts(kind: MessageKind, told: Told, scene: Scene): string[][] {
  if (kind === "drill") return drillParts(told, scene)
  if (kind === "recovered") return recoveredParts(told, scene)
  const { incident } = told
  const { acknowledged, muted } = people(incident, scene.now)
  return [
    [
      label("What", present(incident, scene.now), 300),
      ...errorLines(incident),
      label("Impact", incident.about?.impact ?? impactOf(incident)),
      ...muted,
    ],
    [
      ...kindLines(kind, incident),
      label("Severity", `${incident.severity}: look ${reactions[incident.severity].look}`),
      label("Last good", lastGood(incident, scene.now)),
      ...acknowledged,
      label("First action", firstAction(incident)),
      ...runbook(incident, scene),
      ...answer(told),
    ],
  ]
}

/** How it is at present, and since when. */
function present(incident: Incident, now: Date): string {
  const since = `since ${sinceText(incident, now)}`
  if (incident.state !== "flapping") return `${clause(incident)} ${since}`
  return `${incident.subject} comes and goes ${since}, and is ${incident.goodRuns > 0 ? "good" : "bad"} at present`
}

/** What the kind of message means for the one who reads it. */
function kindLines(kind: MessageKind, incident: Incident): string[] {
  if (kind === "flapping")
    return [label("Note", "it recovered and failed several times: from now on you hear a digest, not each change")]
  if (kind === "reopened")
    return [label("Note", "a person closed it while it was bad, so it is open again; `/silence 2d reason` gives quiet")]
  if (kind === "still")
    return [label("Note", `reminder ${Math.max(1, incident.reminders)}: each comes later than the last, and they end`)]
  return []
}

function drillParts(told: Told, scene: Scene): string[][] {
  return [
    [
      label("What", "this is a drill: it shows that this channel rings and that somebody answers"),
      label("First action", firstAction(told.incident)),
      ...runbook(told.incident, scene),
      ...(told.url ? [`*Answer*  ${slackLink(told.url, "open the drill")}`] : []),
    ],
  ]
}

function recoveredParts({ incident }: Told, { now }: Scene): string[][] {
  const { resolved, ack, closedAt, openedAt, detectedAt, severity } = incident
  const until = closedAt ? new Date(closedAt) : now
  const what = resolved ? `${incident.subject} is closed` : `${incident.subject} is as it should be again`
  return [
    [
      label("What", `${what}, after ${formatDuration(badForMs(incident, now))}`, 300),
      ...(resolved ? [label("Closed", `by ${resolved.by}: ${resolved.reason}`)] : []),
      label("Times", `detected ${shortTime(detectedAt)}, opened ${shortTime(openedAt)}, closed ${formatTime(until)}`),
      `*It was*  ${codeSpan(firstError(incident), 240)}`,
      label("Severity", severity),
      ...toldLines(incident),
      ...aliasLines(incident),
      ...(ack ? [label("Acknowledged", `by ${ack.by} at ${shortTime(ack.at)}`)] : []),
      ...(severity <= "P1" ? [label("Next", "write the postmortem: its skeleton is in the incident")] : []),
    ],
  ]
}

/** That this is the first that people hear of it, or may be. */
function toldLines(incident: Incident): string[] {
  const heard = heardBefore(incident, ({ kind }) => kind === "recovered")
  if (heard === "no") return [label("Told", "only now: nobody could be reached while it lasted")]
  return heard === "yes" ? [] : [label("Told", "perhaps only now: it is not known whether an earlier message arrived")]
}

/** The names under which runs told of it that could not write it down: whoever reads those messages finds their end here. */
function aliasLines({ aliases = [] }: Incident): string[] {
  if (aliases.length === 0) return []
  const shown = aliases.slice(0, maxListed).map((key) => `key ${codeSpan(key, 120)}`)
  const rest = aliases.length - shown.length
  return [`*Also told as*  ${[...shown, ...(rest > 0 ? [`and ${rest} more`] : [])].join(", ")}`]
}

function listParts(notice: Notice, scene: Scene): string[][] {
  const sorted = [...notice.about].sort((a, b) => (a.incident.severity < b.incident.severity ? -1 : 1))
  const entries = sorted.slice(0, maxListed).map((told) => entry(notice.kind, told, scene))
  const listed = entries.filter(
    (_, at) =>
      entries
        .slice(0, at + 1)
        .flat()
        .join("\n").length <= maxListChars,
  )
  const rest = sorted.slice(listed.length).map(({ incident }) => incident.subject)
  return [...listed, ...(rest.length > 0 ? [[label(`And ${rest.length} more`, rest.join(", "), maxRestChars)]] : [])]
}

function entry(kind: MessageKind, { incident, url }: Told, scene: Scene): string[] {
  const isOver = kind === "recovered"
  const lasted = formatDuration(badForMs(incident, scene.now))
  const what = isOver ? `${incident.subject} recovered after ${lasted}` : present(incident, scene.now)
  const links = [...(url ? [slackLink(url, "open the incident")] : []), `key ${codeSpan(incident.key, 120)}`]
  if (isOver)
    return [label(incident.severity, what, 300), ...toldLines(incident), ...aliasLines(incident), links.join("  ·  ")]
  return [
    label(incident.severity, what, 300),
    ...errorLines(incident).slice(0, 2),
    label("Impact", incident.about?.impact ?? impactOf(incident), 200),
    ...people(incident, scene.now).muted,
    label("First action", firstAction(incident), 200),
    [...runbook(incident, scene), ...links].join("  ·  "),
  ]
}

function errorLines({ detail }: Incident): string[] {
  const errors = detail.split("\n").filter((line) => line.trim() !== "")
  const lines = errors.slice(0, maxErrors).map((error) => `*Error*  ${codeSpan(shortError(error), 260)}`)
  return errors.length > maxErrors ? [...lines, `and ${errors.length - maxErrors} more`] : lines
}

function firstError({ detail }: Incident): string {
  return shortError(detail.split("\n")[0] ?? "")
}

function firstAction(incident: Incident): string {
  return incident.about?.firstAction ?? firstActionFor(incident)
}

function people({ ack, silence, muted }: Incident, now: Date): { acknowledged: string[]; muted: string[] } {
  const isAcked = ack && new Date(ack.until) > now
  const isSilenced = silence && new Date(silence.until) > now
  return {
    acknowledged: [
      ...(isAcked ? [label("Acknowledged", `by ${ack.by} until ${shortTime(ack.until)}`)] : []),
      ...(isSilenced
        ? [label("Silenced", `by ${silence.by} until ${shortTime(silence.until)}: ${silence.reason}`)]
        : []),
      ...(isAcked || isSilenced ? [] : [label("Acknowledged", "by nobody yet")]),
    ],
    muted: muted.length > 0 ? [label("Fails because of it", muted.join(", "), 400)] : [],
  }
}

function runbook({ runbook }: Incident, { runbookAddress }: Scene): string[] {
  return [runbookLine(runbookAddress(runbook ?? "incident"))]
}

function answer({ url }: Told): string[] {
  if (!url) return []
  const link = slackLink(url, "the incident")
  return [`*Answer*  comment \`/ack 4h\`, \`/silence 2d reason\` or \`/resolve reason\` in ${link}`]
}

function lastGood({ about, lastGoodAt }: Incident, now: Date): string {
  const at = lastGoodAt ?? about?.lastGood
  if (at === "never") return "never"
  return at === undefined ? "unknown (no history to read)" : sinceText({ detectedAt: at }, now, " ago")
}

function footer({ about }: Notice, { runUrl, now }: Scene): string[] {
  const [only] = about
  if (about.length > 1 || !only) return runUrl ? [slackLink(runUrl, "open the run")] : [formatTime(now)]
  const { incident, url } = only
  const run = incident.about?.runUrl ?? runUrl
  return [
    `detected ${shortTime(incident.detectedAt)}`,
    `opened ${shortTime(incident.openedAt)}`,
    ...(incident.about?.slot ? [`slot ${shortTime(incident.about.slot)}`] : []),
    ...(incident.about?.commit ? [`commit ${codeSpan(incident.about.commit.slice(0, 12), 20)}`] : []),
    ...(run ? [slackLink(run, "open the run")] : []),
    ...(url ? [slackLink(url, "open the incident")] : []),
    `key ${codeSpan(incident.key, 120)}`,
  ]
}

/** What is special about this message as such. */
function remarks({ mayBeRepeat, at, notKept }: Notice, { now }: Scene): string[] {
  const isLate = now.getTime() - at.getTime() > lateMs
  return [
    ...(mayBeRepeat ? ["may be a repeat: it is not known whether an earlier try arrived; compare the key"] : []),
    ...(isLate ? [`late: it was to be said at ${formatTime(at)}, and Slack did not take it`] : []),
    ...(notKept
      ? [`this message is all there is: the incident could not be written down (${shortError(notKept)})`]
      : []),
  ]
}

function sinceText({ detectedAt }: Pick<Incident, "detectedAt">, now: Date, suffix = ""): string {
  const since = new Date(detectedAt)
  return `${formatTime(since)} (${formatDuration(Math.max(0, now.getTime() - since.getTime()))}${suffix})`
}

function shortTime(time: string): string {
  return formatTime(new Date(time))
}
