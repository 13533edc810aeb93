import type { Client } from "pg"
import { errorText } from "../core/error-text.ts"
import type { Log } from "../core/log.ts"
import { type PostgresAddress, programEnvironment } from "../postgres/address.ts"
import { withClient } from "../postgres/connect.ts"
import { LocaleMissing } from "../postgres/create-database.ts"
import type { ScratchCluster } from "../postgres/scratch-cluster.ts"
import type { Identities } from "../seal/seal.ts"
import { canInstallPackages, generateLocale, installPackages } from "../system/debian.ts"
import { runProgram } from "../system/program.ts"
import { type ArchiveEntry, withDependents } from "./archive.ts"
import type { ServerFacts } from "./manifest.ts"
import type { Proof } from "./proof.ts"
import { failed, judged, type Level, skipped } from "./receipt.ts"
import { realComplaints, restoreArchive, type SealedDump } from "./restore.ts"
import type { BackupSet } from "./set.ts"
import { makeMissingRoles, makeStandIns } from "./stand-ins.ts"

export type RestoreIntoOrder = {
  set: BackupSet
  proof: Proof
  rolesSql: string | undefined
  dump: SealedDump
  entries: readonly ArchiveEntry[]
  identities: Identities
  programs: { pg_restore: string; psql: string }
  packages: readonly string[]
  extraRoles: readonly string[]
  workDir: string
  log: Log
  signal: AbortSignal
}

export type RestoredInto = { database: string; removed: ArchiveEntry[]; archive: Level; restore: Level }

const databaseName = "restored"

/** Restores a set into a fresh database of a scratch cluster. What the cluster cannot take is left out, and named. */
export async function restoreInto(cluster: ScratchCluster, order: RestoreIntoOrder): Promise<RestoredInto> {
  const { signal, proof, set } = order
  const exceptions: string[] = []
  const connection = { applicationName: "nightshift/restore-test", signal }
  await withClient(cluster.address("postgres"), connection, async (client) => {
    exceptions.push(...(await restoreRoles(client, cluster.address("postgres"), order)))
    exceptions.push(...(await createDatabase(cluster, set.manifest.server, order)))
  })
  const address = cluster.address(databaseName)
  const removed = await withClient(address, connection, async (client) => {
    const standIns = await makeStandIns(client, proof.outside)
    exceptions.push(...standIns.made.map((what) => `${what}: a stand-in, the backup excludes the real one`))
    exceptions.push(...standIns.failed.map((what) => `stand-in for ${what}`))
    return chooseRemoved(client, order, exceptions)
  })
  return { database: databaseName, removed, ...(await restoreBody(address, order, removed, exceptions)) }
}

async function restoreBody(
  address: PostgresAddress,
  order: RestoreIntoOrder,
  removed: ArchiveEntry[],
  exceptions: string[],
): Promise<{ archive: Level; restore: Level }> {
  const expected = order.set.manifest.objects.dump
  try {
    const { complaints, counts } = await restoreArchive({
      ...order,
      pgRestore: order.programs.pg_restore,
      address,
      without: removed,
    })
    const wrong: string[] = []
    if (counts.plainBytes !== expected.plainBytes)
      wrong.push(`expected ${expected.plainBytes} bytes of archive, found ${counts.plainBytes}`)
    if (counts.plainSha256 !== expected.plainSha256)
      wrong.push(`expected SHA-256 ${expected.plainSha256} of the archive, found ${counts.plainSha256}`)
    const detail = `${order.entries.length - removed.length} of ${order.entries.length} archive entries restored`
    return {
      archive: judged(
        `${order.entries.length} entries; decrypted and read to its end with the size and SHA-256 that pg_dump wrote`,
        wrong,
      ),
      restore: judged(detail, realComplaints(complaints), exceptions),
    }
  } catch (error) {
    order.signal.throwIfAborted()
    return {
      archive: failed("the archive cannot be read to its end", [errorText(error)]),
      restore: skipped("not reached: archive failed"),
    }
  }
}

/** Errors of the roles' own SQL are exceptions: a scratch server lacks a provider's settings and cannot grant its inner roles. */
async function restoreRoles(client: Client, address: PostgresAddress, order: RestoreIntoOrder): Promise<string[]> {
  const exceptions: string[] = []
  if (order.rolesSql !== undefined) {
    const { stderr } = await runProgram(order.programs.psql, ["--no-psqlrc", "--quiet", "--no-password"], {
      env: programEnvironment(address),
      input: order.rolesSql,
      signal: order.signal,
    })
    const errors = stderr
      .split("\n")
      .filter((line) => /\b(ERROR|FATAL):/.test(line) && !/role ".*" already exists/.test(line))
    exceptions.push(...errors.map((line) => `roles: ${line.replace(/^.*?(ERROR|FATAL): */, "")}`))
  }
  const made = await makeMissingRoles(client, [...order.proof.roles, ...order.extraRoles])
  return [
    ...exceptions,
    ...made.map((role) => `${role}: a stand-in without rights, the backup holds no definition of it`),
  ]
}

/** Creates the database with the source's encoding and locale; a locale that cannot be had is replaced by C, and named. */
async function createDatabase(
  cluster: ScratchCluster,
  server: ServerFacts,
  order: RestoreIntoOrder,
): Promise<string[]> {
  try {
    await cluster.createDatabase({ ...server, name: databaseName })
    return []
  } catch (error) {
    if (!(error instanceof LocaleMissing)) throw error
    order.log.warn(errorText(error))
  }
  if (order.packages.includes("locales") && (await canInstallPackages())) {
    await installPackages(["locales"], order.signal)
    await generateLocale(server.collate, order.signal)
    await cluster.createDatabase({ ...server, name: databaseName })
    return []
  }
  await cluster.createDatabase({
    name: databaseName,
    encoding: server.encoding,
    localeProvider: "libc",
    collate: "C",
    ctype: "C",
  })
  return [
    `locale ${server.icuLocale ?? server.builtinLocale ?? server.collate}: this machine lacks it, C was used: add "locales" to restore.packages of the database`,
  ]
}

/** Entries that cannot be restored here: extensions that this server lacks and foreign keys into excluded tables, with all that needs them. */
async function chooseRemoved(client: Client, order: RestoreIntoOrder, exceptions: string[]): Promise<ArchiveEntry[]> {
  const missing = new Set(await missingExtensions(client, order))
  const foreignKeys = new Set(order.proof.outside.foreignKeys.map((key) => key.oid))
  const isFirst = (entry: ArchiveEntry) =>
    (entry.catalogueOid === extensionCatalogue && missing.has(extensionName(entry))) ||
    (entry.catalogueOid === constraintCatalogue && foreignKeys.has(entry.oid))
  const removed = withDependents(order.entries, isFirst)
  for (const name of missing)
    exceptions.push(
      `extension ${name}: this server does not have it: add its Debian package to restore.packages of the database`,
    )
  exceptions.push(...removed.map((entry) => `left out: ${entry.text}`))
  return removed
}

/** Object ids of pg_extension and pg_constraint, the same in every PostgreSQL. */
const extensionCatalogue = "3079"
const constraintCatalogue = "2606"

function extensionName(entry: ArchiveEntry): string {
  return /^EXTENSION - (.*?) ?$/.exec(entry.text)?.[1] ?? ""
}

async function missingExtensions(client: Client, order: RestoreIntoOrder): Promise<string[]> {
  const ask = async () => {
    const { rows } = await client.query(
      "select name from unnest($1::text[]) name where name not in (select name from pg_catalog.pg_available_extensions)",
      [order.proof.extensions.map((extension) => extension.name)],
    )
    return rows.map((row) => String(row.name))
  }
  const missing = await ask()
  const packages = order.packages.filter((name) => name !== "locales")
  if (missing.length === 0 || packages.length === 0 || !(await canInstallPackages())) return missing
  order.log.info(`installing ${packages.join(", ")} for ${missing.join(", ")}`)
  await installPackages(packages, order.signal)
  return ask()
}
