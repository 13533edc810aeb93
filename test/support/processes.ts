import { sleep, startTimer } from "../../lib/system/clock.ts"
import { runProgram } from "../../lib/system/program.ts"

export type SeenProcess = { pid: number; parent: number; command: string }

const patienceMs = 20_000

/** Asks again and again until the answer is neither false nor undefined. Rejects after 20 s with what was waited for. */
export async function until<T>(what: string, ask: () => Promise<T> | T): Promise<Exclude<T, false | undefined>> {
  const elapsed = startTimer()
  while (elapsed() < patienceMs) {
    const answer = await ask()
    if (answer !== false && answer !== undefined) return answer as Exclude<T, false | undefined>
    await sleep(5)
  }
  throw new Error(`waited ${patienceMs / 1000} s in vain: ${what}`)
}

/** The first process below `root`, however deep, whose command line matches, as soon as there is one. */
export async function untilProcess(root: number, pattern: RegExp): Promise<number> {
  return until(`a process ${pattern} below ${root}`, async () => (await descendants(root, pattern))[0]?.pid)
}

/** Processes below `root`, however deep, whose command line matches. */
export async function descendants(root: number, pattern: RegExp): Promise<SeenProcess[]> {
  const all = await processes()
  const below = (pid: number): SeenProcess[] =>
    all.filter(({ parent }) => parent === pid).flatMap((child) => [child, ...below(child.pid)])
  return below(root).filter(({ command }) => pattern.test(command))
}

/** Every process of this machine. */
export async function processes(): Promise<SeenProcess[]> {
  const { stdout } = await runProgram("ps", ["-A", "-o", "pid=,ppid=,command="])
  return stdout.split("\n").flatMap((line) => {
    const match = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line)
    return match ? [{ pid: Number(match[1]), parent: Number(match[2]), command: match[3] ?? "" }] : []
  })
}
