import { errorText } from "../core/error-text.ts"
import { LocaleMissing, type NewDatabase } from "../postgres/create-database.ts"
import type { ScratchCluster } from "../postgres/scratch-cluster.ts"
import { generateLocale } from "../system/debian.ts"
import { tryPackages, type Wishes } from "./packages.ts"

/**
 * Creates the database with the source's encoding and locale. A locale that this machine lacks is made when the configuration lists the
 * package `locales`; where it cannot be had C takes its place. Returns what is to be said about that.
 */
export async function createScratchDatabase(
  cluster: ScratchCluster,
  database: NewDatabase,
  wishes: Wishes,
): Promise<string[]> {
  const trouble: string[] = []
  const lacking = await tryDatabase(cluster, database)
  if (!lacking) return []
  wishes.log.warn(errorText(lacking))
  if (wishes.packages.includes("locales")) {
    const failure = await makeLocales(database, wishes)
    if (failure === undefined && !(await tryDatabase(cluster, database))) return []
    if (failure !== undefined) trouble.push(failure)
  }
  const { name, encoding } = database
  await cluster.createDatabase({ name, encoding, localeProvider: "libc", collate: "C", ctype: "C" })
  const remedy = wishes.packages.includes("locales") ? "" : ': add "locales" to restore.packages of the database'
  return [...trouble, `locale ${lacking.locale}: this machine lacks it, C was used${remedy}`]
}

async function tryDatabase(cluster: ScratchCluster, database: NewDatabase): Promise<LocaleMissing | undefined> {
  try {
    await cluster.createDatabase(database)
    return undefined
  } catch (error) {
    if (error instanceof LocaleMissing) return error
    throw error
  }
}

/** Why the locales could not be made; `undefined` when they were. */
async function makeLocales({ collate, ctype }: NewDatabase, wishes: Wishes): Promise<string | undefined> {
  const trouble = await tryPackages(["locales"], wishes)
  if (trouble !== undefined) return trouble
  try {
    for (const locale of new Set([collate, ctype])) await generateLocale(locale, wishes.signal)
    return undefined
  } catch (error) {
    wishes.signal.throwIfAborted()
    return `locale ${collate}: not made: ${errorText(error)}`
  }
}
