import { z } from "zod"
import { type Incident, incidentSchema } from "./incident.ts"

/** What an issue or a file holds for machines: the incident, and the title that was given last, to see whether a person changed it. */
export type MachineBlock = { title: string; incident: Incident }

/** A body taken apart: ours is what lies between our first mark and the end of the machine block; the rest is people's. */
export type ParsedBody = { before: string; text: string; block: MachineBlock; after: string }

const begin = "<!-- nightshift:begin -->"
const opening = "<!-- nightshift:incident v1 "
const closing = " -->"
const blockSchema = z.looseObject({ title: z.string(), incident: incidentSchema })

/** GitHub's limit for the body of an issue or a comment, in characters. */
export const maxBody = 65_536
const maxTitle = 256
/** So that the people's part has room beside it. */
const maxBlock = 40_000

export type BodyParts = { before: string; text: string; block: MachineBlock; after: string }

/**
 * The whole body, at most `maxBody` long: of the block the oldest of the timeline and of what was sent goes first, then the text is cut.
 * The text can neither end the block nor begin one, whatever a failing server put into it.
 */
export function renderBody({ before, text, block, after }: BodyParts, maxLength = maxBody): string {
  const rendered = renderBlock(fitBlock(block, Math.min(maxBlock, maxLength - before.length - after.length - 2000)))
  const frame = `${before}${begin}\n`.length + 2 + rendered.length + after.length
  const shown = cutMarkdown(harmless(text), Math.max(0, maxLength - frame))
  return `${before}${begin}\n${shown}\n\n${rendered}${after}`
}

/** The parts of a body that holds a valid block, the last one if there are several; `undefined` when it has none or a damaged one. */
export function parseBody(body: string): ParsedBody | undefined {
  const start = body.lastIndexOf(opening)
  const end = start < 0 ? -1 : body.indexOf(closing, start + opening.length)
  const block = end < 0 ? undefined : parseBlock(body.slice(start + opening.length, end))
  if (!block) return undefined
  const mark = body.lastIndexOf(begin, start)
  const before = mark < 0 ? "" : body.slice(0, mark)
  const text = body.slice(mark < 0 ? 0 : mark + begin.length, start).trim()
  return { before, text, block, after: body.slice(end + closing.length) }
}

/** Whether a body was once ours: it has a mark of ours, be it damaged. */
export function hasTraceOfBlock(body: string): boolean {
  return /<!--\s*nightshift:(begin|incident)/.test(body)
}

/** A title as GitHub takes it: one line, not empty, not too long. */
export function fitTitle(title: string): string {
  const line = title
    .toWellFormed()
    .replace(/[\s\p{Cc}]+/gu, " ")
    .trim()
  return cut(line === "" ? "incident" : line, maxTitle)
}

/** A comment of ours, with a mark by which it is never taken for a person's. */
export function renderComment(text: string): string {
  const mark = "\n\n<!-- nightshift:comment -->"
  return cutMarkdown(harmless(text), maxBody - mark.length) + mark
}

export function isOwnComment(text: string): boolean {
  return text.includes("<!-- nightshift:comment")
}

/** Whether it may be a command: of others it need not be asked who wrote them. */
export function looksLikeCommand(text: string): boolean {
  return /^\/[a-z]/i.test(text)
}

/** Text that opens no comment and calls nobody: GitHub would tell everyone who is named. */
export function harmless(text: string): string {
  const clean = text.toWellFormed().replaceAll("\0", "")
  return clean.replace(/<!--(?! -->)/g, "&lt;!--").replace(/(?<![\w`/.@-])@(?=[a-z\d])/gi, "@\u200b")
}

/** JSON in which nothing can end an HTML comment. */
function renderBlock(block: MachineBlock): string {
  const json = JSON.stringify(block).replace(/[<>@]|-(?=-)/g, (sign) => `\\u00${sign.charCodeAt(0).toString(16)}`)
  return opening + json + closing
}

function parseBlock(json: string): MachineBlock | undefined {
  try {
    const { title, incident } = blockSchema.parse(JSON.parse(json))
    return { title, incident }
  } catch {
    return undefined // torn, or changed by hand: whoever asks says so
  }
}

function fitBlock({ title, incident }: MachineBlock, maxLength: number): MachineBlock {
  const fitted = structuredClone(incident)
  const isTooLong = () => renderBlock({ title, incident: fitted }).length > maxLength
  while (isTooLong() && fitted.timeline.length > 1) fitted.timeline.splice(0, Math.ceil(fitted.timeline.length / 8))
  while (isTooLong() && dropOldestDone(fitted));
  if (isTooLong()) fitted.muted = fitted.muted.slice(0, 100).map((subject) => cut(subject, 100))
  if (isTooLong()) fitted.timeline = fitted.timeline.map((event) => ({ ...event, what: cut(event.what, 200) }))
  if (isTooLong()) fitted.detail = cut(fitted.detail, 2000)
  if (isTooLong() && fitted.silence) fitted.silence.reason = cut(fitted.silence.reason, 500)
  return { title, incident: fitted }
}

/** What is still to be said is never dropped. */
function dropOldestDone({ outbox }: Incident): boolean {
  const index = outbox.findIndex(({ state }) => state === "sent" || state === "given up")
  if (index >= 0) outbox.splice(index, 1)
  return index >= 0
}

function cutMarkdown(text: string, maxLength: number): string {
  const note = "\n\n_The rest was left out: it was too long._"
  const shown = text.length <= maxLength ? text : cut(text, Math.max(0, maxLength - note.length - 8), "")
  const isInFence = (shown.match(/^\s*(```|~~~)/gm)?.length ?? 0) % 2 === 1
  const closed = isInFence && shown.length + 4 <= maxLength ? `${shown}\n\`\`\`` : shown
  return text.length <= maxLength ? closed : closed + note
}

/** Cut without tearing a character that takes two units. */
function cut(text: string, maxLength: number, mark = "…"): string {
  if (text.length <= maxLength) return text
  const kept = text.slice(0, Math.max(0, maxLength - mark.length))
  return kept.replace(/[\uD800-\uDBFF]$/, "") + mark
}
