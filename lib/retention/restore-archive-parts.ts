import type { Client } from "pg"
import { missingTables } from "../postgres/ops-schema.ts"
import type { Store } from "../store/store.ts"
import { type ArchiveManifest, parseArchiveManifest, parseArchiveReceipt } from "./archive-manifest.ts"
import { archivePrefix, type PartName, partKeys, partOfKey, rulePrefix, slotOfFolder } from "./archive-names.ts"
import { deletedOf, type PartRow, partsBelow } from "./archive-state.ts"
import { readSmall } from "./archive-store.ts"

/** Which parts are wanted; all unless told. */
export type PartChoice = {
  /** Slots from here on, and up to, not including, there. */
  from?: Date | undefined
  to?: Date | undefined
  /** Name of one run's folder. */
  folder?: string | undefined
  part?: number | undefined
}

/** A part that can be brought back. `rowsKept`, counted from 1, never left the table. */
export type RestorablePart = {
  key: string
  folder: string
  manifest: ArchiveManifest
  rowsKept: number[]
  /** Its rows are known to have left the table. Of others they may still be there, or in a later part once more. */
  isConfirmed: boolean
}

export type ArchiveListing = {
  /** In the order in which they were written. */
  parts: RestorablePart[]
  /** Parts that cannot be brought back although their rows left the table. */
  problems: string[]
  notes: string[]
}

/**
 * The parts of a rule's archives. What became of a part's rows is told by its receipt, or where that is missing by `ops.archive_part`, which also
 * knows of parts that somebody removed from the store. Parts that were given up, and objects without a manifest, count for nothing.
 */
export async function listArchive(
  {
    client,
    store,
    database,
    rule,
    signal,
  }: { client: Client; store: Store; database: string; rule: string; signal: AbortSignal },
  choice: PartChoice,
): Promise<ArchiveListing> {
  const prefix = rulePrefix(database, rule)
  const isTracked = (await missingTables(client, ["archive_part"])).length === 0
  const known = new Map((isTracked ? await partsBelow(client, prefix) : []).map((row) => [row.key, row]))
  const objects = new Set((await store.list(prefix)).map(({ key }) => key))
  const names = new Map<string, PartName>()
  for (const key of [...objects, ...known.keys()]) {
    const name = partOfKey(key)
    if (name && isWanted(name, choice)) names.set(partKeys(name).rows, name)
  }
  const listing: ArchiveListing = { parts: [], problems: [], notes: [] }
  for (const key of [...names.keys()].sort()) {
    const name = names.get(key)
    if (!name) continue
    signal.throwIfAborted()
    const part = await readPart(store, name, objects, known.get(key), signal).catch((error: unknown) => {
      signal.throwIfAborted()
      return error instanceof Error ? error.message : String(error)
    })
    if (typeof part === "string") listing.problems.push(part)
    else if (part !== undefined && (part.manifest.rule !== rule || part.manifest.database !== database))
      listing.problems.push(
        `${key} is described as part of ${part.manifest.database}/${part.manifest.rule}: it was moved or renamed`,
      )
    else if (part !== undefined) listing.parts.push(part)
  }
  listing.notes.push(...gaps(listing.parts, choice))
  return listing
}

/** Names of the rules of a database that have archives, as their manifests say. */
export async function archivedRules(store: Store, database: string, signal: AbortSignal): Promise<string[]> {
  const manifests = new Map<string, string>()
  for (const { key } of await store.list(archivePrefix(database))) {
    const folder = key.split("/").slice(0, 3).join("/")
    if (/\/part-\d+\.json$/.test(key) && !manifests.has(folder)) manifests.set(folder, key)
  }
  const rules = [...manifests.values()].map(
    async (key) => parseArchiveManifest(await readSmall(store, key, signal), key).rule,
  )
  return (await Promise.all(rules)).sort()
}

function isWanted({ folder, number }: PartName, { from, to, folder: wanted, part }: PartChoice): boolean {
  const slot = slotOfFolder(folder)
  if (wanted !== undefined && folder.slice(folder.lastIndexOf("/") + 1) !== wanted) return false
  if (part !== undefined && number !== part) return false
  if (from && !(slot && slot >= from)) return false
  return !(to && !(slot && slot < to))
}

async function readPart(
  store: Store,
  name: PartName,
  objects: ReadonlySet<string>,
  row: PartRow | undefined,
  signal: AbortSignal,
): Promise<RestorablePart | undefined> {
  const keys = partKeys(name)
  const isDeleted = row?.state === "deleted" || row?.state === "closed"
  const hasReceipt = objects.has(keys.receipt)
  if (objects.has(keys.abandoned) || row?.state === "abandoned") return undefined
  if (!objects.has(keys.manifest) || !objects.has(keys.rows)) {
    const gone = [keys.manifest, keys.rows].filter((key) => !objects.has(key)).join(" and ")
    if (isDeleted || hasReceipt) throw new Error(`${gone} is missing in ${store.name}, and its rows left the table`)
    return undefined
  }
  const manifest = parseArchiveManifest(await readSmall(store, keys.manifest, signal), keys.manifest)
  const receipt = hasReceipt
    ? parseArchiveReceipt(await readSmall(store, keys.receipt, signal), keys.receipt)
    : undefined
  const deleted = receipt ?? (row && isDeleted ? deletedOf(row) : undefined)
  if (deleted && deleted.sealedSha256 !== manifest.object.sealedSha256)
    throw new Error(`${keys.receipt} is about another object than ${keys.manifest}: one of them was changed`)
  const facts = { key: keys.rows, folder: name.folder, manifest }
  return { ...facts, rowsKept: deleted?.rowsKept ?? [], isConfirmed: deleted !== undefined }
}

/** Numbers that are missing among those of a run: parts that came to nothing, or that somebody removed. */
function gaps(parts: readonly RestorablePart[], { part }: PartChoice): string[] {
  if (part !== undefined) return []
  const byFolder = Map.groupBy(parts, ({ folder }) => folder)
  return [...byFolder].flatMap(([folder, found]) => {
    const numbers = new Set(found.map(({ manifest }) => manifest.part))
    const last = Math.max(...numbers)
    const missing = Array.from({ length: last }, (_, index) => index + 1).filter((number) => !numbers.has(number))
    if (missing.length === 0) return []
    return [`${folder} has no usable part ${missing.slice(0, 20).join(", ")}: given up by the run, or removed since`]
  })
}
