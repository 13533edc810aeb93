import { type Client, escapeIdentifier } from "pg"
import { errorText } from "../core/error-text.ts"
import type { ArchiveEntry } from "./archive.ts"
import { tryPackages, type Wishes } from "./packages.ts"
import type { ExtensionFacts, TableFacts } from "./proof.ts"

export type MissingExtensions = {
  /** Names, each with the reason. */
  missing: Map<string, string>
  /** Why the configured packages could not be installed. */
  trouble?: string | undefined
}

/** Extensions that a scratch server cannot make, after the configured packages were installed. Leaves nothing in the database. */
export async function missingExtensions(
  client: Client,
  extensions: readonly ExtensionFacts[],
  wishes: Wishes,
): Promise<MissingExtensions> {
  const missing = await tryExtensions(client, extensions)
  const packages = wishes.packages.filter((name) => name !== "locales")
  if (missing.size === 0 || packages.length === 0) return { missing }
  const trouble = await tryPackages(packages, wishes)
  const left = await tryExtensions(client, extensions)
  return { missing: left, trouble: left.size > 0 ? trouble : undefined }
}

/** Makes each extension once and takes it back: some are there and want to be loaded when the server starts. */
async function tryExtensions(client: Client, extensions: readonly ExtensionFacts[]): Promise<Map<string, string>> {
  const missing = new Map<string, string>()
  for (const { name } of extensions) {
    const { rows } = await client.query("select 1 from pg_catalog.pg_available_extensions where name = $1", [name])
    const reason = rows.length > 0 ? await tryExtension(client, name) : absent
    if (reason !== undefined) missing.set(name, reason)
  }
  return missing
}

const absent = "this server does not have it: add its Debian package to restore.packages of the database"

async function tryExtension(client: Client, name: string): Promise<string | undefined> {
  await client.query("begin")
  try {
    await client.query(`create extension ${escapeIdentifier(name)} cascade`)
    return undefined
  } catch (error) {
    return `this server cannot make it: ${errorText(error)}`
  } finally {
    await client.query("rollback")
  }
}

/** Object id of pg_extension, the same in every PostgreSQL. */
const extensionCatalogue = "3079"

/** Whether an entry is one of the extensions, or the rows of a table that one brings along: these name no entry that they need. */
export function ofExtensions(
  names: ReadonlySet<string>,
  tables: readonly TableFacts[],
): (entry: ArchiveEntry) => boolean {
  const oids = new Set(tables.filter(({ extension = "" }) => names.has(extension)).map((table) => table.oid))
  return ({ catalogueOid, oid, text }) =>
    catalogueOid === extensionCatalogue
      ? names.has(/^EXTENSION - (.*?) ?$/.exec(text)?.[1] ?? "")
      : text.startsWith("TABLE DATA ") && oids.has(oid)
}
