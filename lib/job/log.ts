import type { Writable } from "node:stream"
import { inspect } from "node:util"
import type { Log, LogMetadata } from "../core/log.ts"
import type { Redactor } from "../system/redact.ts"
import type { Variables } from "./origin.ts"
import { createProgress } from "./progress.ts"

export type LogFormat = "human" | "json"
type Level = "debug" | "info" | "warn" | "error"

export type LogOptions = {
  stream: Writable
  format: LogFormat
  /** The job, as `service` of each line. */
  service: string
  traceId: string
  redactor: Redactor
  clock: () => Date
  /** Shows lines of the level debug. */
  verbose: boolean
}

/** JSON lines for machines: in CI, or where `LOG_FORMAT` says so. */
export function logFormat(env: Variables): LogFormat {
  if (env.LOG_FORMAT === "json" || env.LOG_FORMAT === "human") return env.LOG_FORMAT
  return env.CI && env.CI !== "false" ? "json" : "human"
}

/** Debug lines appear when GitHub's debug logging is on, or where `LOG_LEVEL` says so. */
export function isVerbose(env: Variables): boolean {
  return env.RUNNER_DEBUG === "1" || env.LOG_LEVEL === "debug"
}

/** A log whose every line passes the redactor. A running progress line of a terminal makes room for it. */
export function createLog(options: LogOptions): Log {
  const { stream, format, redactor, clock, verbose } = options
  const isTerminal = "isTTY" in stream && stream.isTTY === true && format === "human"
  const screen = createScreen(stream)

  function write(level: Level, message: string, metadata: LogMetadata = {}): void {
    if (level === "debug" && !verbose) return
    const line = redactor.value({ at: clock().toISOString(), level, message, metadata })
    screen.line(format === "json" ? jsonLine(line, options) : redactor.text(humanLine(line)))
  }

  return {
    debug: (message, metadata) => write("debug", message, metadata),
    info: (message, metadata) => write("info", message, metadata),
    warn: (message, metadata) => write("warn", message, metadata),
    error: (message, metadata) => write("error", message, metadata),
    progress: (label, totalBytes) =>
      createProgress({
        label: redactor.text(label),
        totalBytes,
        show: isTerminal ? screen.status : (text, numbers) => write("info", text, numbers),
        everyMs: isTerminal ? 250 : 10_000,
        clear: () => (isTerminal ? screen.status("") : undefined),
      }),
  }
}

type Line = { at: string; level: Level; message: string; metadata: LogMetadata }

function jsonLine({ at, level, message, metadata }: Line, { service, traceId }: LogOptions): string {
  return JSON.stringify({ timestamp: at, level, service, message, metadata, trace_id: traceId })
}

/** `03:17:04 warn  message  key=value`; a stack follows on lines of its own. */
function humanLine({ at, level, message, metadata: { stack, ...rest } }: Line): string {
  const pairs = Object.entries(rest).map(
    ([key, value]) => `  ${key}=${typeof value === "string" ? value : inspect(value, { breakLength: Infinity })}`,
  )
  const trace = typeof stack === "string" ? `\n${stack}` : ""
  return `${at.slice(11, 19)} ${level === "info" ? "     " : level.padEnd(5)} ${message}${pairs.join("")}${trace}`
}

/** Lines, and one status below them that is rewritten. */
function createScreen(stream: Writable) {
  const clear = "\r\u001b[K"
  let status = ""
  return {
    line(text: string): void {
      stream.write(status === "" ? `${text}\n` : `${clear}${text}\n${status}`)
    },
    status(text: string): void {
      if (text !== status) stream.write(`${clear}${text}`)
      status = text
    },
  }
}
