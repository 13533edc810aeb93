import { sleep, startTimer } from "./clock.ts"
import { runProgram } from "./program.ts"
import { ProgramFailed } from "./program-failed.ts"

const graceMs = 5000

/**
 * Ends a process that is no child of this one: `signal`, and SIGKILL when it is still there 5 s later. Does nothing unless the command
 * line of `pid` contains `mark`, so that a process that got the same id since is left alone.
 */
export async function endStrayProgram(pid: number, mark: string, signal: NodeJS.Signals): Promise<void> {
  if (!(pid > 1) || !(await commandLine(pid)).includes(mark)) return
  process.kill(pid, signal)
  const elapsed = startTimer()
  while (elapsed() < graceMs) {
    await sleep(50)
    if (!(await commandLine(pid)).includes(mark)) return
  }
  process.kill(pid, "SIGKILL")
}

/** Empty when there is no such process. */
async function commandLine(pid: number): Promise<string> {
  try {
    return (await runProgram("ps", ["-o", "command=", "-p", String(pid)], { timeoutMs: 5000 })).stdout
  } catch (error) {
    if (error instanceof ProgramFailed && error.exitCode === 1) return ""
    throw error
  }
}
