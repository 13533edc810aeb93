import { spawn } from "node:child_process"
import { once } from "node:events"
import { chmod, readdir } from "node:fs/promises"
import { join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { startTimer } from "../../lib/system/clock.ts"
import { makeTempDir, removeTempDir } from "../../lib/system/temp.ts"
import type { JobName, Night } from "./night.ts"
import { processes } from "./processes.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))

export type JobEnd = { exitCode: number | null; killedBy: NodeJS.Signals | null; stdout: string; stderr: string }

export type JobProcess = {
  pid: number
  ended: Promise<JobEnd>
  /** Sends a signal; resolves when the process is gone, with the time that it took. */
  signal(name: NodeJS.Signals): Promise<JobEnd & { tookMs: number }>
}

/** A temp directory for processes that are to be killed, with what they leave in it. */
export type Workspace = AsyncDisposable & {
  dir: string
  /** Names in it, without what tsx keeps. */
  leftovers(): Promise<string[]>
  /** Command lines of processes that work in it. */
  programs(): Promise<string[]>
}

/** A job of a night as a process of its own, as a workflow's step starts it. */
export function startJob(night: Night, job: JobName, at: string, { dir }: Workspace, env: Record<string, string> = {}) {
  const args = ["--import", "tsx", "lib/job/main.ts", job, "--now", at, "--config", join(night.root, "ops.config.ts")]
  const settings = {
    ...{ DATABASE_URL: night.database.url, BACKUP_STORE: night.storeUrl, TMPDIR: dir },
    ...{ BACKUP_RECIPIENTS: night.keys.recipient, BACKUP_IDENTITY: night.keys.identity },
    LEDGER: pathToFileURL(join(night.root, ".ops/ledger")).href,
  }
  const { PATH = "", HOME = "" } = process.env
  const child = spawn(process.execPath, args, { cwd: root, env: { PATH, HOME, ...settings, ...env } })
  const output = { stdout: "", stderr: "" }
  for (const name of ["stdout", "stderr"] as const) {
    child[name].on("data", (chunk) => {
      output[name] += chunk
    })
  }
  const ended = once(child, "close").then(([exitCode, killedBy]): JobEnd => ({ exitCode, killedBy, ...output }))
  return {
    pid: child.pid ?? 0,
    ended,
    async signal(name: NodeJS.Signals) {
      const elapsed = startTimer()
      child.kill(name)
      await once(child, "exit")
      const tookMs = elapsed()
      return { ...(await ended), tookMs }
    },
  } satisfies JobProcess
}

export async function makeWorkspace(): Promise<Workspace> {
  const dir = await makeTempDir("work")
  await chmod(dir, 0o711) // a scratch server of another user must get through to its own folder
  return {
    dir,
    leftovers: async () =>
      (await readdir(dir)).filter((name) => !name.startsWith("tsx-") && name !== "node-compile-cache"),
    programs: async () => (await processes()).map(({ command }) => command).filter((command) => command.includes(dir)),
    [Symbol.asyncDispose]: () => removeTempDir(dir),
  }
}
