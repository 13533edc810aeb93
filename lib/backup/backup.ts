import { createHash } from "node:crypto"
import type { Client } from "pg"
import { errorText } from "../core/error-text.ts"
import { formatCounted } from "../core/size.ts"
import { withAdvisoryLock } from "../postgres/advisory-lock.ts"
import { withClient } from "../postgres/connect.ts"
import { explainConnectionLoss, isConnectionLoss } from "../postgres/connect-error.ts"
import { refuseUnsuitableAddress } from "../postgres/pooler.ts"
import { startTimer } from "../system/clock.ts"
import type { BackupOrder } from "./backup-order.ts"
import { type Captured, capture } from "./capture.ts"
import { describeSet, type SmallObjects } from "./describe-set.ts"
import { type Manifest, renderManifest } from "./manifest.ts"
import { type OpenFolder, withSetFolder } from "./open-folder.ts"
import { type Preflight, preflight } from "./preflight.ts"
import { renderRecovery } from "./recovery-text.ts"
import { dumpRoles } from "./roles.ts"
import { compareWithPrevious, olderThanNewest } from "./sanity.ts"
import { objectNames } from "./set.ts"
import { withSnapshot } from "./snapshot.ts"
import { timeUpText, tooLargeForTime } from "./time-limit.ts"

export type BackupOutcome = {
  manifest: Manifest
  manifestSha256: string
  /** What deserves attention although the set is complete. */
  warnings: string[]
  /** What the set has suspiciously less of than the one before. */
  shrunk: string[]
}

const tableLockTimeoutMs = 60_000
const connectionOptions = { applicationName: "nightshift/backup", statementTimeoutMs: 0 }

/** An order under way: `end` stops all of it, the connection included, with the error that made it end. */
type LockedOrder = BackupOrder & { end: (error: unknown) => void }

/**
 * Backs one database up: one snapshot, its dump and its proof side by side, sealed on the way to the store, the manifest last.
 * Rejects when anything at all went wrong; then no manifest exists and nothing counts as a set.
 */
export async function backupDatabase(order: BackupOrder): Promise<BackupOutcome> {
  const elapsed = startTimer()
  const { address, database, log, settings, lockWaitMs } = order
  const ending = new AbortController()
  const end = (error: unknown) => ending.abort(isConnectionLoss(error) ? explainConnectionLoss(address, error) : error)
  const timer = setTimeout(() => end(new Error(timeUpText(settings.jobMinutes))), settings.jobMinutes * 60_000)
  const connection = { ...connectionOptions, signal: AbortSignal.any([order.signal, ending.signal]) }
  let outcome: BackupOutcome | undefined
  try {
    await refuseUnsuitableAddress(address, connection)
    return await withClient(address, connection, (client) =>
      withAdvisoryLock(client, `nightshift/${database}`, { ...connection, waitMs: lockWaitMs, log }, async (signal) => {
        // What fails because all was told to stop is not the cause.
        const locked = { ...order, signal, end: (error: unknown) => end(signal.aborted ? signal.reason : error) }
        await sweepUploads(locked)
        const checked = await preflight(client, locked)
        const tooLarge = tooLargeForTime(checked.databaseBytes, checked.previous, settings.jobMinutes)
        if (tooLarge) throw new Error(tooLarge)
        outcome = await writeSet(client, locked, checked, elapsed)
        return outcome
      }),
    )
  } catch (error) {
    if (!outcome) throw error
    const warning = `the set was complete when its session broke: ${errorText(error)}`
    return { ...outcome, warnings: [...outcome.warnings, warning] }
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Ends the uploads of runs that were killed: their parts cost money and nothing shows them. No run goes on for longer than `jobMinutes`.
 * A key that may not do this is no reason to be without a backup.
 */
async function sweepUploads({ store, database, settings, now, log, signal }: BackupOrder): Promise<void> {
  try {
    const swept = await store.sweep(`${database}/`, new Date(now.getTime() - settings.jobMinutes * 60_000))
    if (swept > 0)
      log.info(`ended ${formatCounted(swept, "upload")} that killed runs left unfinished below ${database}/`)
  } catch (error) {
    signal.throwIfAborted()
    log.warn(`unfinished uploads below ${database}/ stay, and may cost money: ${errorText(error)}`)
  }
}

/** Dumps, proves and commits. The snapshot is held no longer than the dump and the proof need it. */
async function writeSet(
  client: Client,
  order: LockedOrder,
  checked: Preflight,
  elapsed: () => number,
): Promise<BackupOutcome> {
  const time = () => new Date(order.now.getTime() + elapsed())
  return withSetFolder({ ...order, at: time() }, async (folder) => {
    const { settings, log } = order
    const captured = await withSnapshot(
      client,
      { excluded: settings.excluded, lockTimeoutMs: tableLockTimeoutMs, log },
      (snapshot) => capture(snapshot, { ...order, ...checked, folder, snapshotAt: time() }),
    )
    const small = await putSmallObjects(order, checked, captured, folder)
    const manifest = describeSet(order, checked, captured, small, {
      set: folder.id,
      finishedAt: time(),
      totalMs: elapsed(),
    })
    const bytes = renderManifest(manifest)
    await folder.commit(bytes)
    const warnings = [...checked.warnings, ...olderThanNewest(manifest, checked.previous)]
    const shrunk = checked.previous ? compareWithPrevious(checked.previous, manifest, settings.shrinkPercent) : []
    return { manifest, manifestSha256: sha256(bytes), warnings, shrunk }
  })
}

async function putSmallObjects(
  order: BackupOrder,
  checked: Preflight,
  captured: Captured,
  folder: OpenFolder,
): Promise<SmallObjects> {
  const { excluded } = order.settings
  const dumped = await dumpRoles(checked.programs.pg_dumpall, order.address, order.signal)
  const roles = "sql" in dumped ? await folder.seal(objectNames.roles, dumped.sql) : undefined
  const proof = await folder.seal(objectNames.proof, JSON.stringify(captured.proof))
  const config = { configuration: order.configuration, migration: captured.migration }
  const recovery = renderRecovery({
    database: order.database,
    snapshotAt: captured.snapshotAt,
    server: checked.server,
    dump: captured.dump,
    roles,
    recipients: order.recipients.fingerprints,
    excluded: [...excluded.schemas, ...excluded.tables],
  })
  const recoveryBytes = new TextEncoder().encode(recovery)
  await folder.put(objectNames.recovery, recoveryBytes, "text/markdown; charset=utf-8")
  return {
    ...(roles && { roles }),
    proof,
    config: await folder.seal(objectNames.config, JSON.stringify(config)),
    recovery: { name: objectNames.recovery, bytes: recoveryBytes.length, sha256: sha256(recoveryBytes) },
    leftOut: "reason" in dumped ? [`roles: ${dumped.reason}`] : [],
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex")
}
