import { spawn } from "node:child_process"
import { chmodSync, mkdtempSync, rmSync } from "node:fs"
import os from "node:os"
import path from "node:path"
import { killAll, processesOf } from "./processes.mjs"
import { say } from "./say.mjs"

const signals = ["SIGINT", "SIGTERM", "SIGHUP"]

/** How long the command may take to clean up after a signal, and to end after being asked a second time. */
const graceMs = 10_000
const lastGraceMs = 2_000

/** A Ctrl-C arrives twice, from the terminal and from npm: only a later one is an impatient person. */
const echoMs = 1_000

/**
 * Runs a command in a process group and a temporary folder of its own, and returns its exit code, or 128 + n when
 * signal n ended it or this process. However it ends, its processes are then gone and the folder too.
 */
export async function supervise(program, args, { cwd, env }) {
  const folder = makeFolder()
  const child = spawn(program, args, {
    cwd,
    env: { ...env, TMPDIR: folder },
    stdio: ["ignore", "inherit", "inherit"],
    detached: true,
  })
  const interruption = passSignalsOn(child)
  try {
    const { code, signal } = await ended(child)
    const last = interruption.signal() ?? signal
    return last ? 128 + os.constants.signals[last] : code
  } finally {
    await removeRemains(child, folder)
    interruption.end()
  }
}

/** Short, since a Unix socket's path holds 107 bytes; open like /tmp, since a server started by root runs as another user. */
function makeFolder() {
  const parent = os.tmpdir().length <= 40 ? os.tmpdir() : "/tmp"
  const folder = mkdtempSync(path.join(parent, "nightshift-"))
  chmodSync(folder, 0o1777)
  return folder
}

function passSignalsOn(child) {
  let first
  const timers = []
  const onSignal = (signal) => {
    if (first) {
      if (performance.now() - first.at > echoMs) signalGroup(child, "SIGKILL")
      return
    }
    first = { signal, at: performance.now() }
    say(`${signal}, cleaning up (once more to stop at once)`)
    child.kill(signal)
    timers.push(setTimeout(() => signalGroup(child, "SIGTERM"), graceMs))
    timers.push(setTimeout(() => signalGroup(child, "SIGKILL"), graceMs + lastGraceMs))
  }
  for (const signal of signals) process.on(signal, onSignal)
  return {
    signal: () => first?.signal,
    end() {
      for (const timer of timers) clearTimeout(timer)
      for (const signal of signals) process.off(signal, onSignal)
    },
  }
}

function ended(child) {
  return new Promise((resolve, reject) => {
    child.once("error", reject)
    child.once("exit", (code, signal) => resolve({ code, signal }))
  })
}

async function removeRemains(child, folder) {
  const remains = processesOf(folder)
  if (remains.length > 0) say(`ending what still runs: ${remains.map(({ title }) => title).join("; ")}`)
  await killAll(() => processesOf(folder))
  if (child.pid) signalGroup(child, "SIGKILL")
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
}

function signalGroup(child, signal) {
  try {
    process.kill(-child.pid, signal)
  } catch (error) {
    if (error.code !== "ESRCH") throw error // nobody is left in the group: that is what was wanted
  }
}
