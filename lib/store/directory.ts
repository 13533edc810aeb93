import { randomBytes } from "node:crypto"
import { type FileHandle, mkdir, open, readdir, rename, rm, rmdir, stat } from "node:fs/promises"
import { basename, dirname, join } from "node:path"
import { addAbortSignal, type Readable } from "node:stream"
import { type MeteredBody, meteredBody } from "./body.ts"
import { directoryFailure, hasCode, isMissing } from "./directory-error.ts"
import { fileSlice } from "./file-slice.ts"
import { checkKey, checkPrefix, compareKeys } from "./key.ts"
import { ObjectMissing, type PutOptions, type Store, type StoredObject } from "./store.ts"
import type { DirectoryAddress } from "./store-url.ts"

/** A file that a put is writing: hidden beside its target, so that the rename stays within one file system. */
const unfinished = /^\.(.+)\.[0-9a-f]{32}\.part$/

/**
 * A store in a directory, which is made when missing. An object is a file, readable by its owner only; it appears by a rename once it is
 * on disk. Object lock is not supported: `retainUntil` has no effect. A key cannot be an object and the folder of another one.
 */
export function directoryStore({ root, name }: DirectoryAddress): Store {
  const pathOf = (key: string) => {
    checkKey(key, name)
    if (unfinished.test(basename(key)))
      throw new Error(`${key} cannot be a key in ${name}: it looks like an unfinished file`)
    return join(root, key)
  }
  const fail = (error: unknown, doing: string) => directoryFailure(error, doing, name)

  async function put(key: string, body: Readable | Uint8Array, options: PutOptions) {
    const path = pathOf(key)
    const source = meteredBody(body, options.signal ?? new AbortController().signal)
    try {
      await publish(root, path, source, options.signal)
      return source.counts()
    } catch (error) {
      source.destroy()
      throw fail(error, `store ${key}`)
    }
  }

  async function get(key: string, { range, signal }: Parameters<Store["get"]>[1] = {}) {
    signal?.throwIfAborted()
    const path = pathOf(key)
    try {
      const stream = await fileSlice(path, range)
      return signal ? addAbortSignal(signal, stream) : stream
    } catch (error) {
      throw isMissing(error) ? new ObjectMissing(key, name) : fail(error, `read ${key}`)
    }
  }

  async function head(key: string) {
    const path = pathOf(key)
    return objectAt(path, key).catch((error) => {
      throw fail(error, `look at ${key}`)
    })
  }

  async function list(prefix: string) {
    checkPrefix(prefix, name)
    const found: StoredObject[] = []
    try {
      for await (const { key, path } of filesBelow(root, prefix)) {
        const object = unfinished.test(basename(key)) || !key.startsWith(prefix) ? undefined : await objectAt(path, key)
        if (object) found.push(object)
      }
    } catch (error) {
      throw fail(error, `list ${prefix || "everything"}`)
    }
    return found.sort((left, right) => compareKeys(left.key, right.key))
  }

  async function remove(key: string) {
    const path = pathOf(key)
    try {
      if ((await objectAt(path, key)) === undefined) return
      await rm(path, { force: true })
      await removeEmptyFolders(root, dirname(path))
    } catch (error) {
      throw fail(error, `remove ${key}`)
    }
  }

  async function sweep(prefix: string, olderThan: Date) {
    checkPrefix(prefix, name)
    let swept = 0
    try {
      for await (const { key, path } of filesBelow(root, prefix)) {
        if (!isUnfinishedPartOf(key, prefix)) continue
        const leftover = await objectAt(path, key)
        if (!leftover || leftover.modifiedAt >= olderThan) continue
        await rm(path, { force: true })
        await removeEmptyFolders(root, dirname(path))
        swept++
      }
    } catch (error) {
      throw fail(error, `sweep ${prefix || "everything"}`)
    }
    return swept
  }

  return { name, put, get, list, head, remove, sweep }
}

async function publish(
  root: string,
  target: string,
  source: MeteredBody,
  signal: AbortSignal | undefined,
): Promise<void> {
  const part = join(dirname(target), `.${basename(target)}.${randomBytes(16).toString("hex")}.part`)
  try {
    const file = await createFile(part)
    try {
      await file.writeFile(source.chunks)
      await file.sync()
    } finally {
      await file.close()
    }
    signal?.throwIfAborted()
    await rename(part, target)
    await syncFolder(dirname(target))
  } catch (error) {
    await rm(part, { force: true })
    await removeEmptyFolders(root, dirname(target))
    throw error
  }
}

/** Opens a new file, with its folders. Tries again when another call removes a still empty folder in between. */
async function createFile(path: string, attempts = 5): Promise<FileHandle> {
  const firstMade = await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  try {
    const file = await open(path, "wx", 0o600)
    if (firstMade) await syncFoldersFrom(dirname(path), dirname(firstMade))
    return file
  } catch (error) {
    if (!hasCode(error, "ENOENT") || attempts <= 1) throw error
    return createFile(path, attempts - 1)
  }
}

async function syncFoldersFrom(folder: string, top: string): Promise<void> {
  for (let at = folder; ; at = dirname(at)) {
    await syncFolder(at)
    if (at === top || at === dirname(at)) return
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r")
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

async function removeEmptyFolders(root: string, folder: string): Promise<void> {
  for (let at = folder; at.length > root.length && at.startsWith(root); at = dirname(at)) {
    try {
      await rmdir(at)
    } catch (error) {
      if (!hasCode(error, "ENOENT")) return // not empty, or not ours to remove: a folder that stays does no harm
    }
  }
}

async function objectAt(path: string, key: string): Promise<StoredObject | undefined> {
  try {
    const found = await stat(path)
    return found.isFile() ? { key, sizeBytes: found.size, modifiedAt: found.mtime } : undefined
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

/** Every file whose key may start with `prefix`: folders that cannot hold one are not read. */
async function* filesBelow(root: string, prefix: string, folder = ""): AsyncGenerator<{ key: string; path: string }> {
  const entries = await readdir(join(root, folder), { withFileTypes: true }).catch((error) => {
    if (isMissing(error)) return []
    throw error
  })
  for (const entry of entries) {
    const key = folder + entry.name
    if (entry.isFile()) yield { key, path: join(root, key) }
    const below = `${key}/`
    if (entry.isDirectory() && (below.startsWith(prefix) || prefix.startsWith(below)))
      yield* filesBelow(root, prefix, below)
  }
}

function isUnfinishedPartOf(key: string, prefix: string): boolean {
  const target = unfinished.exec(basename(key))?.[1]
  return target !== undefined && key.slice(0, -basename(key).length).concat(target).startsWith(prefix)
}
