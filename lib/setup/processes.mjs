import { spawnSync } from "node:child_process"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"

const gone = ["ENOENT", "ESRCH", "EACCES", "EPERM"]

/**
 * Processes that belong to a temporary folder: it is named in their command line, or it is their TMPDIR (readable on
 * Linux only). Finds servers that made themselves independent, such as Postgres, whose data folder is an argument.
 */
export function processesOf(folder) {
  const all = existsSync("/proc/self/environ") ? fromProc() : fromPs()
  return all.filter(
    ({ pid, title, environment }) =>
      pid !== process.pid && (title.includes(folder) || environment.includes(`TMPDIR=${folder}`)),
  )
}

/** Asks the processes to end, then ends those that stayed. Asks again for the list, so children are found as well. */
export async function killAll(list) {
  for (const { signal, waitMs } of [
    { signal: "SIGTERM", waitMs: 4_000 },
    { signal: "SIGKILL", waitMs: 2_000 },
  ]) {
    const until = performance.now() + waitMs
    const asked = new Set()
    for (let left = list(); left.length > 0 && performance.now() < until; left = list()) {
      for (const { pid } of left) if (!asked.has(pid)) kill(pid, signal)
      for (const { pid } of left) asked.add(pid)
      await sleep(50)
    }
  }
}

function kill(pid, signal) {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if (!gone.includes(error.code)) throw error
  }
}

function fromProc() {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name))
  return pids.map((pid) => ({
    pid: Number(pid),
    title: read(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim(),
    environment: read(`/proc/${pid}/environ`),
  }))
}

function read(file) {
  try {
    return readFileSync(file, "latin1")
  } catch (error) {
    if (gone.includes(error.code)) return "" // it ended meanwhile, or is not ours
    throw error
  }
}

function fromPs() {
  const lines = spawnSync("ps", ["-axww", "-o", "pid=,command="], { encoding: "utf8" }).stdout.split("\n")
  return lines.flatMap((line) => {
    const match = line.match(/^\s*(\d+)\s+(.*)$/)
    return match ? [{ pid: Number(match[1]), title: match[2], environment: "" }] : []
  })
}
