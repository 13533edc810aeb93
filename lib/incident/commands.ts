import { formatDuration, parseDuration } from "../core/duration.ts"
import { formatTime } from "../notify/message-lines.ts"
import { isDrill } from "./drill.ts"
import type { Incident, IncidentComment } from "./incident.ts"
import { say, unsay, wasHeard } from "./say.ts"
import { note } from "./timeline.ts"

export type Command =
  | { kind: "ack"; forMs: number }
  | { kind: "silence"; forMs: number; reason: string }
  | { kind: "resolve"; reason: string }

/** What a comment asks for, or why that is not understood; `undefined` when it asks for nothing. */
export type Parsed = { command: Command } | { problem: string } | undefined

const hourMs = 3_600_000
const minMs = 60_000
const maxMs = { ack: 24 * hourMs, silence: 14 * 24 * hourMs }
const maxReasonChars = 300
const usage = "write `/ack 4h`, `/silence 2d reason` or `/resolve reason` as the first line of a comment"

/**
 * Reads the first line of a comment. A command is `/ack <time>` (up to 24 h), `/silence <time> <reason>` (up to 14 days) or
 * `/resolve <reason>`, with a time such as `30m`, `4h` or `2d`. Any other line that begins with a slash and a word is a problem, so that
 * nobody believes in a command that was not heard; a path such as `/var/log` is none.
 */
export function parseCommand(text: string): Parsed {
  const line = (text.split(/\r?\n/, 1)[0] ?? "").trimEnd()
  const match = /^\/([a-z]+)(?:[ \t]+(.*))?$/i.exec(line)
  if (!match) return undefined
  const [, name = "", rest = ""] = match
  if (name === "ack") return parseAck(rest)
  if (name === "silence") return parseSilence(rest)
  if (name === "resolve") return parseResolve(rest)
  return { problem: `there is no command \`/${name.slice(0, 20)}\`: ${usage}` }
}

function parseAck(rest: string): Parsed {
  const [time = "", ...more] = rest.split(/[ \t]+/)
  if (more.length > 0) return { problem: "`/ack` takes a time and nothing else: write `/ack 4h`" }
  const forMs = parseTime(time, "ack")
  return typeof forMs === "string" ? { problem: forMs } : { command: { kind: "ack", forMs } }
}

function parseSilence(rest: string): Parsed {
  const [time = "", ...words] = rest.split(/[ \t]+/)
  const forMs = parseTime(time, "silence")
  if (typeof forMs === "string") return { problem: forMs }
  const reason = shortReason(words)
  if (reason === "") return { problem: "`/silence` needs a reason: write `/silence 2d waiting for the provider`" }
  return { command: { kind: "silence", forMs, reason } }
}

function parseResolve(rest: string): Parsed {
  const reason = shortReason(rest.split(/[ \t]+/))
  if (reason === "") return { problem: "`/resolve` needs a reason: write `/resolve the old host is gone for good`" }
  return { command: { kind: "resolve", reason } }
}

function parseTime(text: string, kind: "ack" | "silence"): number | string {
  const example = kind === "ack" ? "`/ack 4h`" : "`/silence 2d reason`"
  if (text === "") return `\`/${kind}\` needs a time: write ${example}`
  const ms = /^\d{1,4}[mhd]$/.test(text) ? parseDuration(text) : undefined
  if (ms === undefined)
    return `the time after \`/${kind}\` is not understood: write ${example} (minutes m, hours h, days d)`
  if (ms < minMs) return `the time after \`/${kind}\` is too short: write ${example}`
  if (ms > maxMs[kind]) return `\`/${kind}\` takes at most ${formatLimit(maxMs[kind])}: write ${example}`
  return ms
}

function shortReason(words: readonly string[]): string {
  return words.join(" ").trim().slice(0, maxReasonChars)
}

/** What comes of the comments of an open incident. */
export type Commanded = {
  incident: Incident
  /** One comment that answers all commands; `undefined` when there were none. */
  answer?: string
}

/**
 * Executes the commands of people who may give them, oldest first; times count from the comment. Every comment is read once:
 * `readComment` moves past all of them. Who may not command is not answered.
 */
export function applyCommands(incident: Incident, comments: readonly IncidentComment[], now: Date): Commanded {
  let current = incident
  const answers: string[] = []
  for (const comment of comments) {
    const parsed = comment.mayCommand ? parseCommand(comment.text) : undefined
    if (parsed && "problem" in parsed) answers.push(`${namely(comment)} not done: ${parsed.problem}.`)
    else if (parsed && current.state === "closed") answers.push(`${namely(comment)} not done: it is closed already.`)
    else if (parsed) {
      current = execute(current, parsed.command, comment, now)
      answers.push(`${namely(comment)} ${answerTo(parsed.command, comment, now)}`)
    }
    current = { ...current, readComment: comment.id }
  }
  return { incident: current, ...(answers.length > 0 && { answer: answers.join("\n\n") }) }
}

function execute(incident: Incident, command: Command, { by, at }: IncidentComment, now: Date): Incident {
  const said = { by, at: at.toISOString() }
  if (command.kind === "resolve") {
    const { reason } = command
    const resolved = { ...note(incident, at, `resolved: ${reason}`, by), resolved: { ...said, reason } }
    const closed = { ...unsay(resolved), state: "closed" as const, closedAt: now.toISOString() }
    // Who never heard of it need not hear that it is over.
    return wasHeard(incident) && !isDrill(incident) ? say(closed, "recovered", now) : closed
  }
  const until = new Date(at.getTime() + command.forMs).toISOString()
  const end = formatTime(new Date(until))
  if (command.kind === "ack") return { ...note(incident, at, `acknowledged until ${end}`, by), ack: { ...said, until } }
  const { reason } = command
  return { ...note(incident, at, `silenced until ${end}: ${reason}`, by), silence: { ...said, until, reason } }
}

/** Whose command it was, without ringing for them. */
function namely({ by }: IncidentComment): string {
  return `${by.replace(/[^\w-]/g, "")}:`
}

function answerTo(command: Command, { at }: IncidentComment, now: Date): string {
  if (command.kind === "resolve")
    return "closed. If it is still bad, it opens once more; `/silence 2d reason` gives quiet."
  const until = new Date(at.getTime() + command.forMs)
  const isOver = until <= now ? " That time is over already: this was read late." : ""
  const time = `until ${formatTime(until)} (${formatLimit(command.forMs)})`
  if (command.kind === "ack")
    return `acknowledged ${time}: no reminders until then; if it becomes worse, or recovers, people hear it.${isOver}`
  return `silenced ${time}: nobody is told until then, but that it is over.${isOver}`
}

function formatLimit(ms: number): string {
  return ms === maxMs.silence ? "14 days" : formatDuration(ms)
}
