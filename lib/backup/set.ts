import { createHash } from "node:crypto"
import { buffer } from "node:stream/consumers"
import type { Store, StoredObject } from "../store/store.ts"
import { type Manifest, parseManifest } from "./manifest.ts"

/** Names of the objects of a set, relative to its folder. */
export const objectNames = {
  dump: "dump.pgc.zst.age",
  roles: "roles.sql.zst.age",
  proof: "proof.json.zst.age",
  config: "config.json.zst.age",
  recovery: "RECOVERY.md",
  manifest: "manifest.json",
} as const

/** A manifest is small; anything larger is not one. */
const manifestLimitBytes = 4 * 1024 * 1024

/** A folder of the store that holds, held or will hold one backup of one database. */
export type SetFolder = {
  database: string
  id: string
  at: Date
  objects: StoredObject[]
  /** Whether its manifest was written. Nothing else makes it a backup. */
  isCommitted: boolean
}

/** A committed set with its manifest read. */
export type BackupSet = SetFolder & { manifest: Manifest; manifestSha256: string }

/** The name of a set: its snapshot's second in UTC, in letters that every store and file system takes. */
export function setId(at: Date): string {
  return `${at.toISOString().slice(0, 19).replaceAll(":", "-")}Z`
}

/** The time that a set's name says; `undefined` for a name of another kind. */
export function parseSetId(id: string): Date | undefined {
  const match = /^(\d{4}-\d{2}-\d{2})T(\d{2})-(\d{2})-(\d{2})Z$/.exec(id)
  if (!match) return undefined
  const at = new Date(`${match[1]}T${match[2]}:${match[3]}:${match[4]}Z`)
  return Number.isNaN(at.getTime()) || setId(at) !== id ? undefined : at
}

export function setKey(database: string, id: string, name: string): string {
  return `${database}/${id}/${name}`
}

/** Every set folder of a database, oldest first, whether committed or not. */
export async function listSetFolders(store: Store, database: string): Promise<SetFolder[]> {
  const folders = new Map<string, SetFolder>()
  for (const object of await store.list(`${database}/`)) {
    const id = object.key.slice(database.length + 1).split("/")[0] ?? ""
    const at = parseSetId(id)
    if (!at) continue
    const folder = folders.get(id) ?? { database, id, at, objects: [], isCommitted: false }
    folder.objects.push(object)
    if (object.key === setKey(database, id, objectNames.manifest)) folder.isCommitted = true
    folders.set(id, folder)
  }
  return [...folders.values()].sort((a, b) => a.at.getTime() - b.at.getTime())
}

/** The newest committed folder of a database, or `undefined` when it has none. */
export async function newestSetFolder(store: Store, database: string): Promise<SetFolder | undefined> {
  return (await listSetFolders(store, database)).findLast((folder) => folder.isCommitted)
}

/** Reads a folder's manifest; throws when it is unreadable or describes another set. */
export async function readSet(store: Store, folder: SetFolder, signal?: AbortSignal): Promise<BackupSet> {
  const key = setKey(folder.database, folder.id, objectNames.manifest)
  const bytes = await readSmallObject(store, key, manifestLimitBytes, signal)
  try {
    const manifest = parseManifest(bytes)
    if (manifest.set !== folder.id || manifest.database !== folder.database) {
      throw new Error(`it describes ${manifest.database}/${manifest.set}: the set was moved or renamed`)
    }
    return { ...folder, manifest, manifestSha256: createHash("sha256").update(bytes).digest("hex") }
  } catch (cause) {
    throw new Error(`the manifest ${key} in ${store.name} cannot be used`, { cause })
  }
}

/** A whole small object in memory; rejects when it is larger than `limitBytes`. */
export async function readSmallObject(
  store: Store,
  key: string,
  limitBytes: number,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const head = await store.head(key)
  if (head && head.sizeBytes > limitBytes) {
    throw new Error(`${key} in ${store.name} has ${head.sizeBytes} bytes, at most ${limitBytes} are expected of it`)
  }
  return new Uint8Array(await buffer(await store.get(key, signal ? { signal } : {})))
}

/** The oldest of the databases' newest sets: since then at least one of them has no newer backup. `undefined` when one has none. */
export async function newestSetTime(
  store: Store,
  databases: readonly { database: string }[],
): Promise<Date | undefined> {
  const folders = await Promise.all(databases.map(({ database }) => newestSetFolder(store, database)))
  return oldest(folders.map((folder) => folder?.at))
}

/** The oldest of some times; `undefined` when one is missing or there are none. */
export function oldest(times: readonly (Date | undefined)[]): Date | undefined {
  const known = times.filter((time) => time !== undefined)
  if (known.length < times.length || known.length === 0) return undefined
  return new Date(Math.min(...known.map((time) => time.getTime())))
}
