import { mkdtemp, readdir, readlink, rm, stat } from "node:fs/promises"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"

const maxLabelLength = 12
const dayMs = 24 * 3600 * 1000

/**
 * Runs `fn` with an empty directory of mode 0700 below the system's temp directory, and removes it in every case.
 * The name is short (a socket's path may have 107 bytes, 103 on macOS) and says whose it is:
 * `nightshift-<label>-<pid>-<pid namespace>-<random>`.
 */
export async function withTempDir<T>(label: string, fn: (dir: string) => Promise<T>): Promise<T> {
  const dir = await makeTempDir(label)
  let result: T
  try {
    result = await fn(dir)
  } catch (error) {
    await removeTempDir(dir).catch((second: unknown) => {
      throw new AggregateError([error, second], `and ${dir} could not be removed`)
    })
    throw error
  }
  await removeTempDir(dir)
  return result
}

/** Makes such a directory for what outlives a function call. The caller removes it with `removeTempDir`. */
export async function makeTempDir(label: string, base: string = tmpdir()): Promise<string> {
  return mkdtemp(join(base, `nightshift-${shortLabel(label)}-${process.pid}-${await pidNamespace()}-`))
}

/** Where a temp directory's path is sure to be short, on a system whose own one may not be. */
export const shortTempBase = "/tmp"

/** Removes a directory and all that is in it. Not being there is no error. */
export async function removeTempDir(dir: string): Promise<void> {
  await rm(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 })
}

/**
 * Removes what processes that were killed left below the temp directory, and returns the paths. `release` is called with each
 * directory first, to end what still runs in it; when it rejects the directory stays and the error is passed on at the end.
 * Of processes of another pid namespace (a container that shares the temp directory) only directories older than a day are taken.
 */
export async function sweepStaleTempDirs(release: (dir: string) => Promise<void>): Promise<string[]> {
  const namespace = await pidNamespace()
  const removed: string[] = []
  const errors: unknown[] = []
  for (const dir of await listTempDirs()) {
    const owner = parseOwner(basename(dir))
    if (!owner || !(await isStale(dir, owner, namespace))) continue
    try {
      await release(dir)
      await removeTempDir(dir)
      removed.push(dir)
    } catch (error) {
      errors.push(error)
    }
  }
  if (errors.length > 0) throw new AggregateError(errors, "cannot remove what killed runs left behind")
  return removed
}

async function listTempDirs(): Promise<string[]> {
  const bases = [...new Set([tmpdir(), shortTempBase])]
  const lists = await Promise.all(
    bases.map(async (base) => ((await readdir(base).catch(ignoreMissing)) ?? []).map((name) => join(base, name))),
  )
  return lists.flat()
}

type Owner = { pid: number; namespace: string }

function parseOwner(name: string): Owner | undefined {
  const match = /^nightshift-[a-z0-9_]+-(\d+)-([a-z0-9]+)-\w{6}$/.exec(name)
  return match?.[1] && match[2] ? { pid: Number(match[1]), namespace: match[2] } : undefined
}

async function isStale(dir: string, owner: Owner, namespace: string): Promise<boolean> {
  const info = await stat(dir).catch(ignoreMissing)
  const uid = process.getuid?.()
  if (!info?.isDirectory() || (info.uid !== uid && uid !== 0)) return false // root gives some to the user that a server runs as
  if (owner.namespace === namespace) return !isAlive(owner.pid)
  return Date.now() - info.mtimeMs > dayMs
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return !(error instanceof Error && "code" in error && error.code === "ESRCH")
  }
}

/** Pids mean something only inside their namespace: the last digits of its number, `0` where the system has none. */
async function pidNamespace(): Promise<string> {
  const link = await readlink("/proc/self/ns/pid").catch(ignoreMissing)
  const inode = /\d+/.exec(link ?? "")?.[0]
  return inode ? (Number(inode) % 46_656).toString(36) : "0"
}

function shortLabel(label: string): string {
  return label
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "_")
    .slice(0, maxLabelLength)
}

function ignoreMissing(error: unknown): undefined {
  if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR"))
    return undefined
  throw error
}
