import { type ChildProcess, spawn } from "node:child_process"
import { setTimeout as sleep } from "node:timers/promises"

export type ProcessOptions = {
  cwd: string
  env: Record<string, string>
  /** Fires when the workflow run is cancelled. */
  signal: AbortSignal
  onOutput(output: string): void
}

export type ProcessEnd = {
  exitCode: number | null
  killedBy: NodeJS.Signals | null
  stdout: string
  stderr: string
  cancelMs?: number
}

/** GitHub's cancellation: SIGINT to the entry process, 7.5 s, SIGTERM, 2.5 s, then everything is killed. */
const cancellation = [
  { signal: "SIGINT", waitMs: 7_500 },
  { signal: "SIGTERM", waitMs: 2_500 },
] as const

/** A daemon that a step leaves behind may hold the output open; nobody waits for it longer than this. */
const lateOutputMs = 1_000

/** Runs the entry process of a step to its end. `cancelMs` is how long it took to end after a cancellation. */
export async function runProcess([file, ...args]: [string, ...string[]], options: ProcessOptions): Promise<ProcessEnd> {
  const child = spawn(file, args, {
    cwd: options.cwd,
    env: options.env,
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  })
  const output = { stdout: "", stderr: "" }
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (chunk: string) => {
      output[name] += chunk
      options.onOutput(output.stdout + output.stderr)
    })
  }
  const closed = outputClosed(child)
  const cancelled = cancelOn(child, options.signal)
  const { exitCode, killedBy } = await entryEnd(child)
  const cancelMs = cancelled.end()
  await Promise.race([closed, sleep(lateOutputMs, undefined, { ref: false })])
  child.stdout.destroy()
  child.stderr.destroy()
  return { exitCode, killedBy, ...output, ...(cancelMs !== undefined && { cancelMs }) }
}

function cancelOn(child: ChildProcess, signal: AbortSignal): { end(): number | undefined } {
  const timers: NodeJS.Timeout[] = []
  let began: number | undefined
  const cancel = () => {
    began = performance.now()
    let afterMs = 0
    for (const step of cancellation) {
      timers.push(setTimeout(() => child.kill(step.signal), afterMs))
      afterMs += step.waitMs
    }
    timers.push(setTimeout(() => killGroup(child), afterMs))
  }
  if (signal.aborted) cancel()
  else signal.addEventListener("abort", cancel, { once: true })
  return {
    end() {
      for (const timer of timers) clearTimeout(timer)
      signal.removeEventListener("abort", cancel)
      return began === undefined ? undefined : performance.now() - began
    },
  }
}

function entryEnd(child: ChildProcess): Promise<{ exitCode: number | null; killedBy: NodeJS.Signals | null }> {
  return new Promise((resolve, reject) => {
    child.once("error", reject)
    child.once("exit", (exitCode, killedBy) => resolve({ exitCode, killedBy }))
  })
}

function outputClosed(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => child.once("close", () => resolve()))
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, "SIGKILL")
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error
  }
}
