import { Writable } from "node:stream"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { createLog, isVerbose, logFormat } from "../../../lib/job/log.ts"
import { progressNumbers, progressText } from "../../../lib/job/progress.ts"
import { createRedactor } from "../../../lib/system/redact.ts"

function terminal(isTTY: boolean) {
  let written = ""
  const stream = new Writable({
    write(chunk, _encoding, done) {
      written += chunk
      done()
    },
  })
  return { stream: Object.assign(stream, { isTTY }), text: () => written }
}

function logTo({ stream }: ReturnType<typeof terminal>, format: "human" | "json", verbose = false) {
  const redactor = createRedactor()
  redactor.add("hunter22-secret")
  const clock = () => new Date("2026-03-01T03:17:04.500Z")
  return createLog({ stream, format, service: "backup", traceId: "t1", redactor, clock, verbose })
}

describe("log lines", () => {
  it("never hold a secret, in text, metadata or label", () => {
    const screen = terminal(false)
    for (const format of ["human", "json"] as const) {
      const log = logTo(screen, format)
      log.error("password hunter22-secret refused", {
        error: new Error("hunter22-secret"),
        deep: [{ a: "x hunter22-secret" }],
      })
    }
    expect(screen.text()).toContain("***")
    expect(screen.text()).not.toContain("hunter22")
  })

  it("are JSON for machines, one object a line, whatever is in them", () => {
    const screen = terminal(false)
    const circular: Record<string, unknown> = { big: 10n, bytes: new Uint8Array(3), text: "a\nb" }
    circular.self = circular
    logTo(screen, "json").warn("two\nlines", circular)
    logTo(screen, "json").debug("unseen")
    const lines = screen.text().trimEnd().split("\n")
    expect(lines).toHaveLength(1)
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({
      timestamp: "2026-03-01T03:17:04.500Z",
      level: "warn",
      service: "backup",
      message: "two\nlines",
      metadata: { big: "10", bytes: "3 bytes" },
      trace_id: "t1",
    })
  })

  it("are short for people, with a stack below where there is one", () => {
    const screen = terminal(true)
    const log = logTo(screen, "human", true)
    log.info("dumping", { tables: 12, name: "main" })
    log.debug("detail")
    log.error("defect", { stack: "TypeError: x\n  at y" })
    expect(screen.text()).toBe(
      "03:17:04       dumping  tables=12  name=main\n03:17:04 debug detail\n03:17:04 error defect\nTypeError: x\n  at y\n",
    )
  })

  it("are JSON in CI unless told otherwise, and detailed when GitHub's debug logging is on", () => {
    expect(
      [{}, { CI: "true" }, { CI: "false" }, { CI: "true", LOG_FORMAT: "human" }, { LOG_FORMAT: "json" }].map(logFormat),
    ).toEqual(["human", "json", "human", "human", "json"])
    expect([{}, { RUNNER_DEBUG: "1" }, { LOG_LEVEL: "debug" }].map(isVerbose)).toEqual([false, true, true])
  })
})

describe("progress", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] }))
  afterEach(() => void vi.useRealTimers())

  it("is one line every 10 seconds where nobody watches, also while nothing moves", () => {
    const screen = terminal(false)
    const progress = logTo(screen, "json").progress("dump of main", 100_000_000)
    vi.advanceTimersByTime(9_900)
    expect(screen.text()).toBe("")
    progress.at(20_000_000)
    vi.advanceTimersByTime(10_200)
    progress.done()
    progress.done()
    vi.advanceTimersByTime(60_000)
    const lines = screen
      .text()
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line))
    expect(lines.map((line) => line.message)).toEqual([
      "dump of main: 20.0 MB of 100 MB (20 %), 2.0 MB/s, 40.0 s left",
      "dump of main: 20.0 MB of 100 MB (20 %), 1.0 MB/s, 1 min 20 s left",
    ])
    expect(lines[0].metadata).toEqual({
      doneBytes: 20_000_000,
      totalBytes: 100_000_000,
      bytesPerSecond: 2_000_000,
      etaSeconds: 40,
    })
  })

  it("rewrites one line on a terminal, steps aside for log lines, and leaves nothing behind", () => {
    const screen = terminal(true)
    const log = logTo(screen, "human")
    const progress = log.progress("dump")
    progress.at(1_000_000)
    vi.advanceTimersByTime(250)
    log.info("a line")
    progress.done()
    const status = "dump: 1.0 MB, 4.0 MB/s"
    expect(screen.text()).toBe(`\r\u001b[K${status}\r\u001b[K03:17:04       a line\n${status}\r\u001b[K`)
  })

  it("promises no time that it cannot know", () => {
    expect(progressNumbers(0, 100, 0).etaSeconds).toBeUndefined()
    expect(progressNumbers(0, 100, 5000).etaSeconds).toBeUndefined()
    expect(progressNumbers(150, 100, 1000).etaSeconds).toBeUndefined()
    expect(progressText("x", progressNumbers(150, 100, 1000))).toBe("x: 150 B of 100 B (100 %), 150 B/s")
  })
})
