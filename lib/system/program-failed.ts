import { basename } from "node:path"
import { formatDuration } from "../core/duration.ts"

/** How a program ended: by itself with a code, or by a signal; `timedOut` when that signal was sent for its taking too long. */
export type Exit = { exitCode: number | null; killedBy: NodeJS.Signals | null; timedOut: boolean }

type Failure = Partial<Exit> & { what: string; stderr?: string; cause?: unknown }

/** A program that is missing, failed, was killed or took too long. The message ends with the last lines it wrote to stderr. */
export class ProgramFailed extends Error {
  readonly program: string
  readonly exitCode: number | null
  readonly killedBy: NodeJS.Signals | null
  readonly stderr: string

  constructor(file: string, failure: Failure) {
    const last = lastLines(failure.stderr ?? "")
    super(`${basename(file)} ${failure.what}${last && `: ${last}`}`, { cause: failure.cause })
    this.name = "ProgramFailed"
    this.program = file
    this.exitCode = failure.exitCode ?? null
    this.killedBy = failure.killedBy ?? null
    this.stderr = failure.stderr ?? ""
  }
}

/** The failure that an exit means; `undefined` for a clean one. */
export function exitFailure(file: string, exit: Exit, stderr: string, timeoutMs = 0): ProgramFailed | undefined {
  if (exit.exitCode === 0 && !exit.timedOut) return undefined
  const what = exit.timedOut
    ? `did not end within ${formatDuration(timeoutMs)}`
    : exit.killedBy
      ? `was killed by ${exit.killedBy}`
      : `failed with exit code ${exit.exitCode}`
  return new ProgramFailed(file, { ...exit, what, stderr })
}

/** The failure to start a program at all, with what to do about it. */
export function startFailure(file: string, error: NodeJS.ErrnoException, cwd: string | undefined): ProgramFailed {
  const remedies: Record<string, string> = {
    ENOENT: `is missing: install it or put its folder on PATH${cwd ? ` (or the folder ${cwd} is missing)` : ""}`,
    EACCES: "may not be run: check the rights of its file and of the folders above it",
    EPERM: "may not be started as another user: only root can do that",
    E2BIG: "was given too long an argument list or environment",
  }
  return new ProgramFailed(file, { what: remedies[error.code ?? ""] ?? "could not be started", cause: error })
}

function lastLines(stderr: string): string {
  return stderr.trim().split("\n").slice(-10).join("\n").slice(-2000)
}
