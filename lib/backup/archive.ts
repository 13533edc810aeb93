/** One entry of an archive's table of contents, as `pg_restore --list --verbose` prints it. */
export type ArchiveEntry = {
  dumpId: number
  /** Catalogue and object id on the source server; `0` and `0` for entries that belong to another one. */
  catalogueOid: string
  oid: string
  /** Kind, schema, name and owner, in pg_restore's own words. */
  text: string
  dependsOn: number[]
}

/** Reads a listing. Lines that are no entries are comments. */
export function parseArchiveList(listing: string): ArchiveEntry[] {
  const entries: ArchiveEntry[] = []
  for (const line of listing.split("\n")) {
    const entry = /^(\d+); (\d+) (\d+) (.*)$/.exec(line)
    if (entry) {
      const [, dumpId = "", catalogueOid = "", oid = "", text = ""] = entry
      entries.push({ dumpId: Number(dumpId), catalogueOid, oid, text, dependsOn: [] })
      continue
    }
    const dependencies = /^;\s+depends on:([\d ]*)$/.exec(line)
    const last = entries.at(-1)
    if (dependencies && last) last.dependsOn = (dependencies[1] ?? "").trim().split(/\s+/).filter(Boolean).map(Number)
  }
  return entries
}

/** The entries that `isFirst` picks and all that need one of them, directly or not, in the archive's order. */
export function withDependents(
  entries: readonly ArchiveEntry[],
  isFirst: (entry: ArchiveEntry) => boolean,
): ArchiveEntry[] {
  const taken = new Set(entries.filter(isFirst).map((entry) => entry.dumpId))
  for (let grew = taken.size > 0; grew; ) {
    grew = false
    for (const entry of entries) {
      if (taken.has(entry.dumpId) || !entry.dependsOn.some((id) => taken.has(id))) continue
      taken.add(entry.dumpId)
      grew = true
    }
  }
  return entries.filter((entry) => taken.has(entry.dumpId))
}

/** The entries that `isFirst` picks and all that these need, directly or not, in the archive's order. */
export function withDependencies(
  entries: readonly ArchiveEntry[],
  isFirst: (entry: ArchiveEntry) => boolean,
): ArchiveEntry[] {
  const byId = new Map(entries.map((entry) => [entry.dumpId, entry]))
  const taken = new Set<ArchiveEntry>()
  const left = entries.filter(isFirst)
  for (let entry = left.pop(); entry; entry = left.pop()) {
    if (taken.has(entry)) continue
    taken.add(entry)
    left.push(...entry.dependsOn.flatMap((id) => byId.get(id) ?? []))
  }
  return entries.filter((entry) => taken.has(entry))
}

/** An event trigger, or a comment on one. */
export function isEventTrigger({ text }: ArchiveEntry): boolean {
  return /^((COMMENT|SECURITY LABEL) - )?EVENT TRIGGER /.test(text)
}

/**
 * The file for `pg_restore --use-list` that restores all entries but the given ones, in the archive's order. Only event triggers come
 * after all else: pg_dump has them before the refresh of the materialized views, which would set them off.
 */
export function renderUseList(entries: readonly ArchiveEntry[], without: readonly ArchiveEntry[]): string {
  const gone = new Set(without.map((entry) => entry.dumpId))
  const kept = entries.filter((entry) => !gone.has(entry.dumpId))
  return [...kept.filter((entry) => !isEventTrigger(entry)), ...kept.filter(isEventTrigger)]
    .map((entry) => `${entry.dumpId}; ${entry.catalogueOid} ${entry.oid} ${entry.text}\n`)
    .join("")
}
