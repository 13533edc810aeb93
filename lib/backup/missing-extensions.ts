import { type Client, escapeIdentifier } from "pg"
import { errorText } from "../core/error-text.ts"
import { tryPackages, type Wishes } from "./packages.ts"
import type { ExtensionFacts } from "./proof.ts"

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
  return { missing: trouble === undefined ? await tryExtensions(client, extensions) : missing, trouble }
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
