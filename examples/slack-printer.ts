import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { text } from "node:stream/consumers"

/** Stands for Slack (and for the heartbeat service) on this machine: what a channel would read is printed. */
export async function withSlackPrinter<T>(say: (line: string) => void, fn: (url: string) => Promise<T>): Promise<T> {
  const server = createServer(async (request, response) => {
    const body = await text(request)
    if (request.url === "/slack") say(render(body))
    response.end("ok")
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo // a listening TCP server has one
  try {
    return await fn(`http://127.0.0.1:${port}/slack`)
  } finally {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
}

function render(body: string): string {
  const message: unknown = JSON.parse(body)
  const lines = blockTexts(message).flatMap((block) => block.split("\n"))
  return ["", ...lines.map((line) => `   slack | ${line}`), ""].join("\n")
}

/** Every text of a Block Kit message, in reading order. */
function blockTexts(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(blockTexts)
  if (typeof value !== "object" || value === null) return []
  if ("blocks" in value) return blockTexts(value.blocks)
  return Object.entries(value).flatMap(([key, part]) =>
    key === "text" && typeof part === "string" ? [part] : blockTexts(part),
  )
}
