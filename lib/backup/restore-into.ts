import { type Client, escapeLiteral } from "pg"
import { errorText } from "../core/error-text.ts"
import type { Log } from "../core/log.ts"
import { type PostgresAddress, programEnvironment } from "../postgres/address.ts"
import { withClient } from "../postgres/connect.ts"
import type { ScratchCluster } from "../postgres/scratch-cluster.ts"
import type { Identities } from "../seal/seal.ts"
import { runProgram } from "../system/program.ts"
import { type ArchiveEntry, isEventTrigger, withDependencies, withDependents } from "./archive.ts"
import { saysDiskFull } from "./disk-full.ts"
import { missingExtensions, ofExtensions } from "./missing-extensions.ts"
import type { Proof } from "./proof.ts"
import { failed, judged, type Level, skipped } from "./receipt.ts"
import { type Manner, restoreArchive, type SealedDump } from "./restore.ts"
import { createScratchDatabase } from "./scratch-database.ts"
import type { BackupSet } from "./set.ts"
import { makeMissingRoles, makeSchemas, makeStandIns, makeTablespaces } from "./stand-ins.ts"

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
const mostLocks = 30_000

/**
 * Restores a set into a fresh database of a scratch cluster. What the cluster cannot take is left out, and named. In one transaction first:
 * a table that is filled in the transaction that made it needs no write-ahead log, which is a fifth of the time. That stops at the first
 * error, so when there is one the database is made anew and takes each entry by itself, to name all that went wrong.
 */
export async function restoreInto(cluster: ScratchCluster, order: RestoreIntoOrder): Promise<RestoredInto> {
  const { proof, log } = order
  const roles = await withClient(cluster.address("postgres"), connection(order), async (client) => {
    const exceptions = await restoreRoles(client, cluster.address("postgres"), order)
    await makeTablespaces(client, proof.tablespaces)
    return exceptions
  })
  if (fitsOneTransaction(order)) {
    const restored = await restoreDatabase(cluster, order, roles, "one transaction")
    if (restored.restore.outcome !== "failed") return restored
    log.info(`restoring again, entry by entry: ${restored.restore.differences[0] ?? restored.restore.detail}`)
    await withClient(cluster.address("postgres"), connection(order), (client) =>
      client.query(`drop database ${databaseName}`),
    )
  }
  return restoreDatabase(cluster, order, roles, "entry by entry")
}

/** A transaction locks what it makes, and a server has room for so many locks. */
function fitsOneTransaction({ entries, proof }: RestoreIntoOrder): boolean {
  return entries.length + Number(proof.largeObjects.count) <= mostLocks
}

async function restoreDatabase(
  cluster: ScratchCluster,
  order: RestoreIntoOrder,
  roles: readonly string[],
  manner: Manner,
): Promise<RestoredInto> {
  const { set } = order
  const exceptions = [...roles]
  await withClient(cluster.address("postgres"), connection(order), async (client) => {
    exceptions.push(...(await createScratchDatabase(cluster, { ...set.manifest.server, name: databaseName }, order)))
    exceptions.push(...(await setMonetary(client, set.manifest.server.lcMonetary)))
  })
  const address = cluster.address(databaseName)
  const begun = await withClient(address, connection(order), async (client) => {
    const removed = await chooseRemoved(client, order, exceptions)
    return { removed, ...(await restoreHead(client, address, order, removed, exceptions)) }
  })
  const levels = await restoreBody(address, order, begun, exceptions, manner)
  return { database: databaseName, removed: begun.removed, ...levels }
}

function connection({ signal }: RestoreIntoOrder) {
  return { applicationName: "nightshift/restore-test", signal }
}

/** Columns of type money were written the way of the source's locale, and are read so. */
async function setMonetary(client: Client, locale: string | undefined): Promise<string[]> {
  if (locale === undefined) return []
  try {
    await client.query(`alter database ${databaseName} set lc_monetary = ${escapeLiteral(locale)}`)
    return []
  } catch (error) {
    return [`columns of type money are written the way of ${locale}: ${errorText(error)}`]
  }
}

type Head = { done: readonly ArchiveEntry[]; complaints: readonly string[] }

/**
 * Stand-ins may lie in schemas that the dump creates, and be of types that it or its extensions bring along: where any are needed,
 * these come first.
 */
async function restoreHead(
  client: Client,
  address: PostgresAddress,
  order: RestoreIntoOrder,
  removed: readonly ArchiveEntry[],
  exceptions: string[],
): Promise<Head> {
  const { outside } = order.proof
  if (Object.values(outside).every((needed) => needed.length === 0)) return { done: [], complaints: [] }
  const schemas = await makeSchemas(client, order.proof)
  const typeOids = new Set(outside.relations.flatMap(({ columns }) => columns.map((column) => column.typeOid)))
  const isFirst = ({ text, catalogueOid, oid }: ArchiveEntry) =>
    /^(SCHEMA|EXTENSION) - /.test(text) || (catalogueOid === typeCatalogue && typeOids.has(oid))
  const gone = new Set(removed)
  const done = withDependencies(order.entries, isFirst).filter((entry) => !gone.has(entry))
  const isDone = new Set(done)
  const without = order.entries.filter((entry) => !isDone.has(entry))
  const pgRestore = order.programs.pg_restore
  const { complaints } = await restoreArchive({ ...order, pgRestore, address, without }, "until closed")
  const standIns = await makeStandIns(client, outside)
  const made = [...schemas.made, ...standIns.made]
  exceptions.push(...made.map((what) => `${what}: a stand-in, the backup excludes the real one`))
  exceptions.push(...[...schemas.failed, ...standIns.failed].map((what) => `stand-in for ${what}`))
  return { done, complaints }
}

async function restoreBody(
  address: PostgresAddress,
  order: RestoreIntoOrder,
  { removed, done, complaints: earlier }: Head & { removed: ArchiveEntry[] },
  exceptions: string[],
  manner: Manner,
): Promise<{ archive: Level; restore: Level }> {
  const expected = order.set.manifest.objects.dump
  const restored = await restoreArchive({
    ...order,
    pgRestore: order.programs.pg_restore,
    address,
    without: [...removed, ...done],
    manner,
  }).catch((error: unknown) => {
    order.signal.throwIfAborted()
    return { unreadable: errorText(error) }
  })
  if ("unreadable" in restored) {
    return {
      archive: failed("the archive cannot be read to its end", [restored.unreadable]),
      restore: skipped("not reached: archive failed"),
    }
  }
  const { counts } = restored
  const complaints = [...earlier, ...restored.complaints]
  const lastWords = complaints.find(saysDiskFull)
  if (lastWords !== undefined) throw new Error(lastWords)
  if (!counts || (manner === "one transaction" && complaints.length > 0)) {
    const unread = skipped("not read to its end: pg_restore stopped")
    return { archive: unread, restore: failed("pg_restore stopped at the first error", complaints) }
  }
  const wrong: string[] = []
  if (counts.plainBytes !== expected.plainBytes)
    wrong.push(`expected ${expected.plainBytes} bytes of archive, found ${counts.plainBytes}`)
  if (counts.plainSha256 !== expected.plainSha256)
    wrong.push(`expected SHA-256 ${expected.plainSha256} of the archive, found ${counts.plainSha256}`)
  const late = order.entries.some(isEventTrigger) ? ", event triggers after all else" : ""
  const detail = `${order.entries.length - removed.length} of ${order.entries.length} archive entries restored${late}`
  return {
    archive: judged(
      `${order.entries.length} entries; decrypted and read to its end with the size and SHA-256 that pg_dump wrote`,
      wrong,
    ),
    restore: judged(detail, complaints, exceptions),
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

/** Entries that cannot be restored here: extensions that this server lacks and foreign keys into excluded tables, with all that needs them. */
async function chooseRemoved(client: Client, order: RestoreIntoOrder, exceptions: string[]): Promise<ArchiveEntry[]> {
  const { missing, trouble } = await missingExtensions(client, order.proof.extensions, order)
  if (trouble !== undefined) exceptions.push(trouble)
  const foreignKeys = new Set(order.proof.outside.foreignKeys.map((key) => key.oid))
  const isOfMissing = ofExtensions(new Set(missing.keys()), order.proof.tables)
  const isFirst = (entry: ArchiveEntry) =>
    isOfMissing(entry) || (entry.catalogueOid === constraintCatalogue && foreignKeys.has(entry.oid))
  const removed = withDependents(order.entries, isFirst)
  for (const [name, reason] of missing) exceptions.push(`extension ${name}: ${reason}`)
  exceptions.push(...removed.map((entry) => `left out: ${entry.text}`))
  return removed
}

/** Object ids of pg_type and pg_constraint, the same in every PostgreSQL. */
const typeCatalogue = "1247"
const constraintCatalogue = "2606"
