import { truncateSlack } from "./slack-text.ts"

export type SlackBlock =
  | { type: "header"; text: { type: "plain_text"; text: string } }
  | { type: "section"; text: { type: "mrkdwn"; text: string } }
  | { type: "context"; elements: { type: "mrkdwn"; text: string }[] }

/** What is sent: blocks for the channel, and a plain text for notifications and for readers without blocks. */
export type SlackMessage = { text: string; blocks: SlackBlock[] }

/** Limits of Slack's block kit, in characters. All blocks together: measured, documented nowhere. */
export const slackLimits = { blocks: 50, section: 3000, header: 150, allBlocks: 13_000, text: 3000 } as const

/** A heading in bold. `text` is escaped already. */
export function header(text: string): SlackBlock {
  return { type: "header", text: { type: "plain_text", text } }
}

/** A paragraph. `text` is Slack's markup, its values escaped already. */
export function section(text: string): SlackBlock {
  return { type: "section", text: { type: "mrkdwn", text } }
}

/** A line in small type. `text` is Slack's markup, its values escaped already. */
export function context(text: string): SlackBlock {
  return { type: "context", elements: [{ type: "mrkdwn", text }] }
}

/** The message cut to what Slack accepts. What had to be left out is said in the last block; empty blocks are dropped. */
export function fitMessage(message: SlackMessage): SlackMessage {
  const wanted = message.blocks.filter((block) => textOf(block).trim() !== "")
  const blocks: SlackBlock[] = []
  let left: number = slackLimits.allBlocks - noteRoom
  for (const block of wanted) {
    const isLast = blocks.length === wanted.length - 1
    if (left < minBlock || (blocks.length === slackLimits.blocks - 1 && !isLast)) break
    const fitted = withText(block, truncateSlack(textOf(block), Math.min(left, limitOf(block))))
    left -= textOf(fitted).length
    blocks.push(fitted)
  }
  const missing = wanted.length - blocks.length
  if (missing > 0)
    blocks.push(context(`${missing} more ${missing === 1 ? "part" : "parts"} left out: the message was too long`))
  return { text: truncateSlack(message.text, slackLimits.text), blocks }
}

const noteRoom = 100
const minBlock = 20

function limitOf(block: SlackBlock): number {
  return block.type === "header" ? slackLimits.header : slackLimits.section
}

function textOf(block: SlackBlock): string {
  return block.type === "context" ? block.elements.map((element) => element.text).join(" ") : block.text.text
}

function withText(block: SlackBlock, text: string): SlackBlock {
  return block.type === "header" ? header(text) : block.type === "section" ? section(text) : context(text)
}
