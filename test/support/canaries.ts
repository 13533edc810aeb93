import { existsSync, readdirSync, readFileSync } from "node:fs"
import { buffer } from "node:stream/consumers"
import { unsealBytes } from "../../lib/seal/seal.ts"
import type { Store } from "../../lib/store/store.ts"
import { sleep } from "../../lib/system/clock.ts"
import { descendants } from "./processes.ts"

/** Something that was written, and where. */
export type Output = { where: string; text: string }

/** Where a text has a secret: as it is, URL-encoded, or in base64 wherever its bytes begin. */
export function leaks({ where, text }: Output, secrets: Record<string, string>): string[] {
  return Object.entries(secrets).flatMap(([name, secret]) => {
    const form = formsOf(secret).find((form) => text.includes(form))
    const at = form === undefined ? -1 : text.indexOf(form)
    return at < 0 ? [] : [`${name} in ${where}: ${text.slice(Math.max(0, at - 60), at + 60)}`]
  })
}

function formsOf(secret: string): string[] {
  const aligned = [0, 1, 2].map((shift) => btoa("x".repeat(shift) + secret).slice(shift === 0 ? 0 : 4, -4))
  return [secret, encodeURIComponent(secret), ...aligned]
}

/** Every object as it is stored, and opened where it is sealed: not even who holds the private key finds a secret in a set. */
export async function objects(store: Store, identity: string): Promise<Output[]> {
  const outputs: Output[] = []
  for (const { key } of await store.list("")) {
    const bytes = await buffer(await store.get(key))
    outputs.push({ where: key, text: bytes.toString("latin1") })
    if (!key.endsWith(".age")) continue
    const opened = await unsealBytes(bytes, { keys: [identity] }, { maxBytes: 1e8 })
    outputs.push({ where: `${key}, opened`, text: Buffer.from(opened).toString("latin1") })
  }
  return outputs
}

/**
 * Command lines of all programs that were started meanwhile, as far as they were seen: anyone on the machine can read them. `ps`, where
 * the system has no better answer, takes as much of the processor as the jobs themselves.
 */
export function watchCommandLines(): { stop(): Promise<Output> } {
  const seen = new Set<string>()
  let isOver = false
  const newCommands = existsSync("/proc/self/stat") ? watchProc() : undefined
  const commandsNow = async () => newCommands?.() ?? (await descendants(process.pid, /./)).map(({ command }) => command)
  const watching = (async () => {
    while (!isOver) {
      for (const command of await commandsNow()) seen.add(command)
      await sleep(10)
    }
  })()
  return {
    async stop() {
      isOver = true
      await watching
      return { where: "command lines", text: [...seen].sort().join("\n") }
    },
  }
}

/** How often a process is looked at: the first times it may be a copy of its parent that has not become its program yet. */
const looksAtEach = 5

/** Gives the command lines of processes below this one that are new since it was asked before. */
function watchProc(): () => string[] {
  const ours = new Set([String(process.pid)])
  const looks = new Map<string, number>()
  return () => {
    const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name))
    return pids.flatMap((pid) => {
      const before = looks.get(pid) ?? 0
      if (before >= looksAtEach) return []
      looks.set(pid, before + 1)
      const parent = /\) \S (\d+) /.exec(procFile(pid, "stat"))?.[1] ?? ""
      if (!ours.has(parent)) return []
      ours.add(pid)
      return [procFile(pid, "cmdline").replaceAll("\0", " ")]
    })
  }
}

/** Empty when the process is gone by now. */
function procFile(pid: string, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, "utf8")
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ESRCH")) return ""
    throw error
  }
}
