import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { text } from "node:stream/consumers"

/** How Slack answers an incoming webhook; the texts are its own. */
const answers = {
  ok: { status: 200, body: "ok" },
  invalid_payload: { status: 400, body: "invalid_payload" },
  invalid_token: { status: 403, body: "invalid_token" },
  action_prohibited: { status: 403, body: "action_prohibited" },
  no_service: { status: 404, body: "no_service" },
  channel_is_archived: { status: 410, body: "channel_is_archived" },
  rate_limited: { status: 429, body: "rate_limited" },
  server_error: { status: 500, body: "server_error" },
  not_slack: { status: 200, body: "<html>Sign in to the network</html>" },
} as const

export type SlackAnswer = keyof typeof answers | "hang" | "reset" | { rateLimitedSeconds: number }

export type SlackPayload = { text?: unknown; blocks?: unknown }

export type SlackServer = AsyncDisposable & {
  /** The address of the webhook. */
  url: string
  /** What was posted and accepted, in order. */
  received: SlackPayload[]
  /** How many requests came, accepted or not. */
  requests(): number
  /** How the next requests are answered, one each; `ok` after these. */
  next(...answers: SlackAnswer[]): void
  /** How every request is answered from now on. */
  always(answer: SlackAnswer): void
  close(): Promise<void>
}

/** An incoming webhook of Slack on this machine, with its answers, failures and limits. */
export async function startSlackServer(): Promise<SlackServer> {
  const path = "/services/T0NIGHT00/B0SHIFT00/testTESTtestTESTtestTEST"
  const received: SlackPayload[] = []
  let queue: SlackAnswer[] = []
  let usual: SlackAnswer = "ok"
  let requests = 0
  const server = createServer((request, response) => {
    requests++
    answer(request, response, queue.shift() ?? usual).catch((error: unknown) => response.destroy(error as Error))
  })

  async function answer(request: IncomingMessage, response: ServerResponse, planned: SlackAnswer): Promise<void> {
    const body = await text(request)
    if (planned === "hang") return
    if (planned === "reset") return void request.socket.resetAndDestroy()
    if (typeof planned === "object") {
      return reply(response, 429, "rate_limited", { "retry-after": String(planned.rateLimitedSeconds) })
    }
    if (planned !== "ok") return reply(response, answers[planned].status, answers[planned].body)
    if (request.method !== "POST" || request.url !== path) return reply(response, 404, "no_service")
    const payload = parse(request, body)
    const problem = payload ? problemOf(payload) : "invalid_payload"
    if (!payload || problem) return reply(response, 400, problem ?? "invalid_payload")
    received.push(payload)
    reply(response, 200, "ok")
  }

  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const close = async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`,
    received,
    requests: () => requests,
    next: (...planned) => void queue.push(...planned),
    always: (planned) => {
      queue = []
      usual = planned
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

function reply(response: ServerResponse, status: number, body: string, headers: Record<string, string> = {}): void {
  response.writeHead(status, { "content-type": "text/html", ...headers }).end(body)
}

function parse(request: IncomingMessage, body: string): SlackPayload | undefined {
  if (!/^application\/json\b/.test(request.headers["content-type"] ?? "")) return undefined
  try {
    const payload: unknown = JSON.parse(body)
    return typeof payload === "object" && payload !== null ? payload : undefined
  } catch {
    return undefined
  }
}

/** The limits of block kit, as Slack checks them; `undefined` when the message is fine. */
function problemOf({ text, blocks }: SlackPayload): string | undefined {
  if (typeof text !== "string" || text === "") return "no_text"
  if (text.length > 40_000) return "msg_too_long"
  if (blocks === undefined) return undefined
  if (!Array.isArray(blocks) || blocks.length === 0 || blocks.length > 50) return "invalid_blocks"
  const sizes = blocks.map(blockSize)
  if (sizes.includes(undefined)) return "invalid_blocks"
  return sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0) > 13_000 ? "invalid_blocks" : undefined
}

type TextObject = { type?: unknown; text?: unknown }
type Block = { type?: unknown; text?: TextObject; elements?: TextObject[] }

function blockSize({ type, text, elements }: Block): number | undefined {
  if (type === "header") return textSize(text, "plain_text", 150)
  if (type === "section") return textSize(text, "mrkdwn", 3000)
  if (type !== "context" || !elements || elements.length === 0 || elements.length > 10) return undefined
  const sizes = elements.map((element) => textSize(element, "mrkdwn", 3000))
  return sizes.includes(undefined) ? undefined : sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0)
}

function textSize(object: TextObject | undefined, type: string, max: number): number | undefined {
  if (object?.type !== type || typeof object.text !== "string") return undefined
  return object.text.length >= 1 && object.text.length <= max ? object.text.length : undefined
}
