import { type BodyParts, fitTitle, harmless, parseBody, renderBody } from "./machine-block.ts"

/** An incident in a file: a heading, a line that says whether it is open, and the same body as an issue has. */
export type IncidentFile = BodyParts & { title: string; isOpen: boolean }

/** Larger than any body that is written here. */
export const maxFileLength = 400_000

const heading = /^# (.*)$/m
const state = /^State: (open|closed)\b.*$/im

/** The file's text. People may change the heading and the state and write around our part: all of that stays. */
export function renderFile({ title, isOpen, before, ...parts }: IncidentFile): string {
  const head = `# ${fitTitle(title)}\n\nState: ${isOpen ? "open" : "closed"}\n`
  const hasHead = heading.test(before) && state.test(before)
  const changed = before
    .replace(heading, () => `# ${fitTitle(title)}`)
    .replace(state, () => `State: ${isOpen ? "open" : "closed"}`)
  return renderBody({ ...parts, before: hasHead ? changed : `${head}\n${before}` })
}

/** `undefined` for a text without a valid machine block. */
export function parseFile(text: string): IncidentFile | undefined {
  if (text.length > maxFileLength) return undefined
  const parsed = parseBody(text)
  if (!parsed) return undefined
  const title = heading.exec(parsed.before)?.[1] ?? parsed.block.title
  const found = state.exec(parsed.before)?.[1]?.toLowerCase()
  return { ...parsed, title, isOpen: found === undefined ? parsed.block.incident.state !== "closed" : found === "open" }
}

const ours = /<!-- nightshift:comment -->[\s\S]*?<!-- \/nightshift:comment -->/g
const command = /^\s*(?:([^\s:/][^:/]{0,80}):\s*)?(\/[a-z].*)$/i

/** A comment of ours, to be added to the file beside the incident. */
export function renderFileComment(text: string): string {
  return `<!-- nightshift:comment -->\n${harmless(text)}\n<!-- /nightshift:comment -->\n\n`
}

export type FileCommand = { id: string; by: string; text: string }

/** The lines that people wrote there as commands, numbered from 1: `/ack 4h` or `anna: /ack 4h`. */
export function parseFileCommands(text: string): FileCommand[] {
  const lines = text.replace(ours, "").split(/\r?\n/)
  const found = lines.map((line) => command.exec(line)).filter((match) => match !== null)
  return found.map((match, index) => {
    return { id: String(index + 1), by: match[1]?.trim() ?? "someone", text: (match[2] ?? "").trim() }
  })
}
