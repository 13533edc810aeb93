import { ConfigError } from "../core/config-error.ts"
import type { Log } from "../core/log.ts"
import { formatCounted } from "../core/size.ts"
import { quoteName, quoteTable, renderTableName, type TableName } from "../postgres/name.ts"
import { ensureOpsTables } from "../postgres/ops-schema.ts"
import { identityFingerprints } from "../seal/recipients.ts"
import { failureText } from "./archive-failure.ts"
import type { ArchivedColumn } from "./archive-manifest.ts"
import { readColumns } from "./archive-read.ts"
import { type LoadContext, loadPart, type SideTable } from "./restore-archive-load.ts"
import { archivedRules, listArchive, type PartChoice, type RestorablePart } from "./restore-archive-parts.ts"

export type RestoreArchiveOrder = LoadContext & {
  database: string
  rule: string
  choice: PartChoice
  into: TableName
  /** Loads into a table that exists, what of it was not loaded there before. */
  append: boolean
  /** Takes parts along of which it is not known whether their rows left the table. */
  includeUnconfirmed: boolean
  dryRun: boolean
  log: Log
}

export type RestoredArchive = {
  /** Parts that were chosen, whether or not they could be loaded. */
  parts: RestorablePart[]
  rows: number
  partsLoaded: number
  /** Parts that had been loaded into the same table before. */
  partsKnown: number
  problems: string[]
  warnings: string[]
  /** Statement that puts the rows back into their table. */
  putBack: string
}

/**
 * Brings archived rows back into a table beside their own: columns and types as they were, without keys and constraints. Each part is
 * loaded whole or not at all; one that is damaged or missing is a problem, and the others are loaded all the same. Throws `ConfigError`
 * for what the order itself gets wrong, before anything was changed.
 */
export async function restoreArchive(order: RestoreArchiveOrder): Promise<RestoredArchive> {
  const { client, log, signal, into, dryRun } = order
  const { parts: all, problems, notes } = await listArchive(order, order.choice)
  const parts = all.filter(({ isConfirmed }) => isConfirmed || order.includeUnconfirmed)
  const unconfirmed = all.filter(({ isConfirmed }) => !isConfirmed).length
  if (all.length === 0 && problems.length === 0) throw new ConfigError(await nothingFound(order))
  const warnings = [...notes, ...unconfirmedWarning(unconfirmed, order.includeUnconfirmed)]
  const columns = columnsOf(parts, order)
  await refuseKeys(parts, order)
  const restored = { parts, rows: 0, partsLoaded: 0, partsKnown: 0, problems, warnings, putBack: "" }
  if (parts.length === 0) return restored
  restored.putBack = await putBackStatement(order, parts, columns)
  const existing = await existingTable(order, columns)
  if (dryRun) return { ...restored, rows: parts.reduce((sum, part) => sum + rowsOf(part), 0) }
  await ensureOpsTables(client, ["archive_load"])
  const table = existing ?? (await createTable(order, columns))
  for (const part of parts) {
    signal.throwIfAborted()
    try {
      const rows = await loadPart(order, part, table)
      if (rows === undefined) restored.partsKnown++
      else restored.partsLoaded++
      restored.rows += rows ?? 0
      log.info(
        `${part.key}: ${rows === undefined ? "was loaded before" : `${formatCounted(rows, "row")} into ${renderTableName(into)}`}`,
      )
    } catch (error) {
      signal.throwIfAborted()
      problems.push(`${part.key} was not loaded: ${failureText(error)}`)
    }
  }
  return restored
}

/** Rows of a part that left the table. */
export function rowsOf({ manifest, rowsKept }: RestorablePart): number {
  return manifest.rows - rowsKept.length
}

async function nothingFound({ store, database, rule, signal }: RestoreArchiveOrder): Promise<string> {
  const rules = await archivedRules(store, database, signal)
  if (rules.includes(rule)) return `no part of the archives of ${rule} is of that time, folder or number`
  const known = rules.length > 0 ? `it has those of ${rules.join(", ")}` : "it has none at all of this database"
  return `--rule ${rule}: ${store.name} has no archive of that rule of ${database}: ${known}`
}

function unconfirmedWarning(count: number, isIncluded: boolean): string[] {
  if (count === 0) return []
  const parts = `${formatCounted(count, "part")} without a receipt`
  if (isIncluded) return [`${parts} taken along: their rows may still be in the table, or be in another part too`]
  return [
    `${parts} left out: the next run of cleanup settles what became of them; --include-unconfirmed takes them along`,
  ]
}

/** Columns that all parts agree on. A schema that changed in between needs a table for each of its forms. */
function columnsOf(parts: readonly RestorablePart[], { rule, into }: RestoreArchiveOrder): ArchivedColumn[] {
  const form = (columns: readonly ArchivedColumn[]) =>
    columns
      .map(({ name, type }) => `${JSON.stringify(name)} ${type}`)
      .sort()
      .join(", ")
  const forms = Map.groupBy(parts, ({ manifest }) => form(manifest.columns))
  const [first] = parts
  if (!first) return []
  if (forms.size > 1) {
    const spans = [...forms.values()].map((group) => `${group[0]?.folder} to ${group.at(-1)?.folder}`)
    throw new ConfigError(
      `the columns of ${rule} changed while it was archived: load each of these into a table of its own, by --from and --to: ${spans.join("; ")}`,
    )
  }
  if (
    parts.some(
      ({ manifest }) =>
        renderTableName(manifest.table) === renderTableName(into) ||
        renderTableName(manifest.target) === renderTableName(into),
    )
  )
    throw new ConfigError(
      `--into ${renderTableName(into)} is the table that the rows came from: name another one, and put them back from there`,
    )
  return first.manifest.columns
}

async function refuseKeys(parts: readonly RestorablePart[], { identities }: RestoreArchiveOrder): Promise<void> {
  const own = await identityFingerprints(identities)
  const foreign = parts.find(({ manifest }) => !manifest.recipients.some((print) => own.includes(print)))
  if (foreign)
    throw new ConfigError(
      `BACKUP_IDENTITY belongs to ${own.join(", ")}, and ${foreign.key} was sealed for ${foreign.manifest.recipients.join(", ")}: give the private key of one of those`,
    )
}

async function existingTable(
  { client, into, append }: RestoreArchiveOrder,
  columns: readonly ArchivedColumn[],
): Promise<SideTable | undefined> {
  const { rows } = await client.query("select to_regclass($1)::oid::text as oid", [quoteTable(into)])
  const oid: unknown = rows[0]?.oid
  if (typeof oid !== "string") return undefined
  const name = renderTableName(into)
  if (!append)
    throw new ConfigError(
      `--into ${name}: there is a table of that name: name another one, or add --append to load into it what is not in it`,
    )
  const found = await readColumns(client, into)
  const wrong = columns.filter(
    (column) => !found.some(({ name, type }) => name === column.name && type === column.type),
  )
  if (wrong.length > 0)
    throw new ConfigError(
      `--into ${name} has no column ${wrong.map((column) => `${JSON.stringify(column.name)} ${column.type}`).join(", ")}: name another table`,
    )
  return { ...into, oid }
}

async function createTable(
  { client, into }: RestoreArchiveOrder,
  columns: readonly ArchivedColumn[],
): Promise<SideTable> {
  const list = columns.map(({ name, type }) => `${quoteName(name)} ${type}`).join(", ")
  try {
    await client.query(`create table ${quoteTable(into)} (${list})`)
  } catch (cause) {
    throw new Error(`table ${renderTableName(into)} could not be made with the columns of the archive`, { cause })
  }
  const { rows } = await client.query("select to_regclass($1)::oid::text as oid", [quoteTable(into)])
  return { ...into, oid: String(rows[0]?.oid) }
}

/** Generated columns are computed anew, and columns that the table has no more are left out. */
async function putBackStatement(
  { client, into }: RestoreArchiveOrder,
  parts: readonly RestorablePart[],
  columns: readonly ArchivedColumn[],
): Promise<string> {
  const table = parts[0]?.manifest.table ?? into
  const current = await readColumns(client, table)
  const isThere = (column: ArchivedColumn) => current.length === 0 || current.some(({ name }) => name === column.name)
  const isWritable = ({ name, isGenerated }: ArchivedColumn) =>
    !(current.find((column) => column.name === name)?.isGenerated ?? isGenerated)
  const written = columns.filter((column) => isThere(column) && isWritable(column))
  const list = written.map(({ name }) => quoteName(name)).join(", ")
  const overriding = current.some(({ isIdentity }) => isIdentity) ? " overriding system value" : ""
  const conflict = parts.some(({ isConfirmed }) => !isConfirmed) ? " on conflict do nothing" : ""
  return `insert into ${quoteTable(table)} (${list})${overriding} select ${list} from ${quoteTable(into)}${conflict};`
}
