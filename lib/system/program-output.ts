import type { Readable } from "node:stream"
import { StringDecoder } from "node:string_decoder"

const tailBytes = 64 * 1024

/** Reads a stream to its end as lines and keeps the last 64 KiB. `ended` resolves at the end, or after `graceMs` without one. */
export function keepTail(stream: Readable | null, onLine?: (line: string) => void) {
  const decoder = new StringDecoder("utf8")
  let tail = ""
  let line = ""
  const take = (text: string) => {
    tail += text
    if (tail.length > 2 * tailBytes) tail = tail.slice(-tailBytes)
    if (!onLine) return
    const lines = (line + text).split("\n")
    line = (lines.pop() ?? "").slice(-tailBytes)
    for (const whole of lines) onLine(whole)
  }
  const finish = () => {
    take(decoder.end())
    if (line !== "") onLine?.(line)
    line = ""
  }
  const end = untilEnd(stream, finish)
  stream?.on("data", (chunk: Buffer) => take(decoder.write(chunk)))
  return { text: () => tail.slice(-tailBytes), ended: (graceMs: number) => within(end, graceMs, stream) }
}

/** Reads a stream into memory. More than `maxBytes` calls `onOverflow` once and is not kept. */
export function collectText(stream: Readable | null, maxBytes: number, onOverflow: () => void) {
  const chunks: Buffer[] = []
  let sizeBytes = 0
  const end = untilEnd(stream, () => undefined)
  stream?.on("data", (chunk: Buffer) => {
    const wasOver = sizeBytes > maxBytes
    sizeBytes += chunk.length
    if (sizeBytes <= maxBytes) chunks.push(chunk)
    else if (!wasOver) onOverflow()
  })
  return {
    async text(graceMs: number) {
      await within(end, graceMs, stream)
      return Buffer.concat(chunks).toString("utf8")
    },
  }
}

function untilEnd(stream: Readable | null, finish: () => void): Promise<void> {
  return new Promise((resolve) => {
    if (!stream) return resolve()
    stream.once("close", () => {
      finish()
      resolve()
    })
    stream.on("error", () => undefined) // a broken pipe is an end; the exit code says what it means
  })
}

/** A grandchild may hold a pipe open for ever: what it writes after `graceMs` is not waited for. */
async function within(end: Promise<void>, graceMs: number, stream: Readable | null): Promise<void> {
  const timer = setTimeout(() => stream?.destroy(), graceMs)
  await end
  clearTimeout(timer)
}
