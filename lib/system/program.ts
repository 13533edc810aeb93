import { type ChildProcess, spawn } from "node:child_process"
import { Readable, type Writable } from "node:stream"
import { finished, pipeline } from "node:stream/promises"
import { type Exit, exitFailure, ProgramFailed, startFailure } from "./program-failed.ts"
import { collectText, keepTail } from "./program-output.ts"
import type { SystemUser } from "./user.ts"

const killGraceMs = 2000
const drainGraceMs = 1000

export type { Exit } from "./program-failed.ts"

export type StartOptions = {
  /** The whole environment, besides PATH, HOME, TMPDIR and LANG=C. Nothing else of this process's own is passed on. */
  env?: Record<string, string>
  cwd?: string
  /** All that the program reads; when the source fails, the program is ended and `succeeded` rejects with that error. */
  input?: string | Uint8Array | Readable
  stdin?: "pipe" | "ignore"
  /** A number is a file descriptor that the program writes to by itself. A pipe must be read. */
  stdout?: "pipe" | "ignore" | number
  /** Ends the program: SIGTERM, and SIGKILL 2 s later. */
  signal?: AbortSignal
  timeoutMs?: number
  /** Runs the program as this user; only root can. */
  user?: SystemUser
  /** Called for each whole line of stderr, as it comes. */
  onStderrLine?: (line: string) => void
}

export type ProgramOptions = Omit<StartOptions, "stdin" | "stdout"> & {
  /** How much stdout may be: 64 MiB unless told. */
  maxOutputBytes?: number
}

export type RunningProgram = {
  /** `undefined` when the program could not be started; `exited` says why. */
  readonly pid: number | undefined
  readonly stdin: Writable | null
  readonly stdout: Readable | null
  /** Resolves when the program is gone and its stderr was read, whatever its exit code. Rejects when it could not be started. */
  readonly exited: Promise<Exit>
  /** Resolves when the program ended with exit code 0 and took all its input; else rejects with the signal's reason or `ProgramFailed`. */
  succeeded(): Promise<void>
  /** The end of what it wrote to stderr so far, at most 64 KiB. */
  stderr(): string
  /** Sends `signal` (SIGTERM unless told), SIGKILL when it is still there after `graceMs`, and resolves when it is gone. */
  kill(signal?: NodeJS.Signals, graceMs?: number): Promise<void>
}

/**
 * Runs a program to its end and returns what it wrote. Rejects with `ProgramFailed` when it is missing, fails, is killed, takes
 * longer than `timeoutMs`, writes too much or leaves a part of its input unread; with the signal's reason when `signal` fires.
 */
export async function runProgram(
  file: string,
  args: readonly string[],
  { maxOutputBytes = 64 * 1024 * 1024, signal, ...options }: ProgramOptions = {},
): Promise<{ stdout: string; stderr: string }> {
  const limit = new AbortController()
  const signals = signal ? [signal, limit.signal] : [limit.signal]
  const program = startProgram(file, args, { ...options, signal: AbortSignal.any(signals) })
  const output = collectText(program.stdout, maxOutputBytes, () =>
    limit.abort(new ProgramFailed(file, { what: `wrote more than ${maxOutputBytes} bytes to stdout` })),
  )
  await program.succeeded()
  const stdout = await output.text(drainGraceMs)
  limit.signal.throwIfAborted()
  return { stdout, stderr: program.stderr() }
}

/** Starts a program and returns at once. It does not outlive `signal`, and none of its failures is an unhandled event. */
export function startProgram(file: string, args: readonly string[], options: StartOptions = {}): RunningProgram {
  options.signal?.throwIfAborted()
  const child = spawn(file, args, {
    cwd: options.cwd,
    env: { ...essentials(options.user), ...options.env },
    stdio: [options.input === undefined ? (options.stdin ?? "ignore") : "pipe", options.stdout ?? "pipe", "pipe"],
    uid: options.user?.uid,
    gid: options.user?.gid,
  })
  // Who reads or writes the pipes sees their errors; here they only must not end this process.
  child.stdin?.on("error", () => undefined)
  child.stdout?.on("error", () => undefined)
  const stderr = keepTail(child.stderr, options.onStderrLine)
  const gone = untilGone(file, child, options.cwd)
  const kill = (signal?: NodeJS.Signals, graceMs?: number) => killProgram(child, gone, signal, graceMs)
  const limits = watchLimits(options, () => void kill())
  const fed = feed(child, options.input, () => void kill())
  const exited = gone.finally(limits.end).then(async (exit) => {
    await stderr.ended(drainGraceMs)
    return { ...exit, timedOut: limits.timedOut() }
  })
  exited.catch(() => undefined) // reaches whoever awaits it; alone it must not be an unhandled rejection

  async function succeeded(): Promise<void> {
    const exit = await exited
    options.signal?.throwIfAborted()
    const { sourceError, unread } = await fed
    if (sourceError) throw sourceError
    const failure = exitFailure(file, exit, stderr.text(), options.timeoutMs)
    if (failure) throw failure
    if (unread) throw new ProgramFailed(file, { ...exit, what: "ended before it read all its input", cause: unread })
  }
  return { pid: child.pid, stdin: child.stdin, stdout: child.stdout, exited, succeeded, stderr: stderr.text, kill }
}

/** What every program gets, so that its messages are English and no setting of the caller's own reaches it. */
function essentials(user: SystemUser | undefined): Record<string, string> {
  const { PATH = "/usr/local/bin:/usr/bin:/bin", HOME, TMPDIR } = process.env
  const home = user?.home ?? HOME
  return { PATH, LANG: "C", ...(home && { HOME: home }), ...(TMPDIR && { TMPDIR }) }
}

function untilGone(file: string, child: ChildProcess, cwd: string | undefined): Promise<Omit<Exit, "timedOut">> {
  return new Promise((resolve, reject) => {
    child.on("error", (error) => reject(startFailure(file, error, cwd)))
    child.once("exit", (exitCode, killedBy) => resolve({ exitCode, killedBy }))
  })
}

async function killProgram(
  child: ChildProcess,
  gone: Promise<unknown>,
  signal: NodeJS.Signals = "SIGTERM",
  graceMs: number = killGraceMs,
): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  child.kill(signal)
  const timer = setTimeout(() => child.kill("SIGKILL"), graceMs)
  // That it could not be started is told by `exited`.
  await gone.catch(() => undefined).finally(() => clearTimeout(timer))
}

function watchLimits({ signal, timeoutMs }: StartOptions, kill: () => void) {
  let timedOut = false
  const timer = timeoutMs && setTimeout(onTimeout, timeoutMs)
  signal?.addEventListener("abort", kill, { once: true })
  function onTimeout() {
    timedOut = true
    kill()
  }
  return {
    timedOut: () => timedOut,
    end() {
      if (timer) clearTimeout(timer)
      signal?.removeEventListener("abort", kill)
    },
  }
}

type Fed = { sourceError?: Error; unread?: unknown }

/** Writes the input. Never rejects: says what kept it from being written. */
async function feed(child: ChildProcess, input: StartOptions["input"], kill: () => void): Promise<Fed> {
  if (input === undefined || !child.stdin) return {}
  let sourceError: Error | undefined
  try {
    if (input instanceof Readable) {
      input.once("error", (error) => {
        sourceError ??= error
      })
      await pipeline(input, child.stdin)
    } else {
      child.stdin.end(input)
      await finished(child.stdin)
    }
    return {}
  } catch (error) {
    if (!sourceError || isBrokenPipe(sourceError)) return { unread: error }
    kill()
    return { sourceError }
  }
}

/** `pipeline` destroys the source with the sink's error when the program stopped reading: that is not the source's own. */
function isBrokenPipe(error: NodeJS.ErrnoException): boolean {
  return error.code === "EPIPE" || error.code === "ERR_STREAM_PREMATURE_CLOSE"
}
