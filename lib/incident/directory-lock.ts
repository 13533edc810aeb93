import { randomUUID } from "node:crypto"
import { link, readFile, rename, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { sleep, startTimer } from "../system/clock.ts"

/** A lock that nobody gave back for so long belongs to a process that is gone: each is held for milliseconds. */
const staleMs = 5000
const waitMs = 60_000

/** Runs `fn` while no other process is in the directory. Waits for its turn, at most a minute. */
export async function withDirectoryLock<T>(dir: string, fn: () => Promise<T>): Promise<T> {
  const path = join(dir, ".lock")
  const mine = randomUUID()
  await take(path, mine)
  try {
    return await fn()
  } finally {
    if ((await contentOf(path)) === mine) await rm(path, { force: true })
  }
}

async function take(path: string, mine: string): Promise<void> {
  const waited = startTimer()
  let holder: string | undefined
  let unchanged = startTimer()
  while (!(await create(path, mine))) {
    const found = await contentOf(path)
    if (found !== holder) [holder, unchanged] = [found, startTimer()]
    if (found !== undefined && unchanged() > staleMs) await takeAway(path, found)
    if (waited() > waitMs) throw new Error(`${path} is held by another process: end it, or remove the file`)
    await sleep(20)
  }
}

async function create(path: string, mine: string): Promise<boolean> {
  try {
    await writeFile(path, mine, { flag: "wx", mode: 0o600 })
    return true
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false
    throw error
  }
}

/** Moves a stale lock away; puts it back when it turns out to be the fresh one of a process that was faster. */
async function takeAway(path: string, stale: string): Promise<void> {
  const aside = `${path}.${randomUUID()}`
  await rename(path, aside).catch(ignoreMissing)
  const moved = await contentOf(aside)
  if (moved !== undefined && moved !== stale) await link(aside, path).catch(ignoreMissing)
  await rm(aside, { force: true })
}

async function contentOf(path: string): Promise<string | undefined> {
  return readFile(path, "utf8").catch(ignoreMissing)
}

function ignoreMissing(error: unknown): undefined {
  if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "EEXIST"))
    return undefined
  throw error
}
