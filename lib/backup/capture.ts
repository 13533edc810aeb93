import type { Log } from "../core/log.ts"
import type { PostgresAddress } from "../postgres/address.ts"
import type { Recipients } from "../seal/recipients.ts"
import type { Store } from "../store/store.ts"
import { startTimer } from "../system/clock.ts"
import type { BackupSettings } from "./backup-order.ts"
import { dumpSealed } from "./dump.ts"
import type { ServerFacts, StoredObjectFacts } from "./manifest.ts"
import { latestMigration } from "./migration.ts"
import type { OpenFolder } from "./open-folder.ts"
import type { Proof } from "./proof.ts"
import { dumpSchema } from "./schema-dump.ts"
import { glanceAtSequences, pairReadings } from "./sequences.ts"
import { objectNames } from "./set.ts"
import type { Snapshot } from "./snapshot.ts"
import { type SnapshotProof, takeProof } from "./take-proof.ts"

export type CaptureOrder = {
  address: PostgresAddress
  store: Store
  folder: OpenFolder
  recipients: Recipients
  settings: BackupSettings
  server: ServerFacts
  databaseBytes: number
  programs: { pg_dump: string }
  snapshotAt: Date
  log: Log
  signal: AbortSignal
  /** Stops everything that belongs to this backup with the given error. */
  end: (error: unknown) => void
}

/** The dump in the store and the facts that it must come back with. */
export type Captured = {
  dump: StoredObjectFacts
  proof: Proof
  migration: Awaited<ReturnType<typeof latestMigration>>
  snapshotAt: string
  durationsMs: { dump: number; proof: number }
}

/**
 * Dumps and proves one snapshot, side by side. When one of the two fails the other is ended. The dump of the schema comes before both:
 * each pg_dump locks every table, and a server with default settings has room for two holders of 5,000 locks and not for three.
 */
export async function capture(snapshot: Snapshot, order: CaptureOrder): Promise<Captured> {
  const { excluded } = order.settings
  const before = await glanceAtSequences(snapshot.client, excluded)
  const schema = await dumpSchema(order.programs.pg_dump, order.address, {
    excluded,
    snapshot: snapshot.id,
    signal: order.signal,
  })
  const dumping = timed(() => dump(snapshot, order))
  const proving = timed(() => prove(snapshot, order))
  for (const work of [dumping, proving]) work.catch(order.end)
  const [dumped, proven] = await Promise.all([dumping, proving]).catch(async (error) => {
    await Promise.allSettled([dumping, proving])
    throw error
  })
  const after = await glanceAtSequences(snapshot.client, excluded)
  return {
    dump: dumped.value,
    proof: {
      ...proven.value,
      leftOut: [...proven.value.leftOut, ...schema.warnings],
      sequences: pairReadings(before, after),
      schema: schema.text,
    },
    migration: await latestMigration(snapshot.client),
    snapshotAt: order.snapshotAt.toISOString(),
    durationsMs: { dump: dumped.ms, proof: proven.ms },
  }
}

function dump(snapshot: Snapshot, order: CaptureOrder): Promise<StoredObjectFacts> {
  return dumpSealed({
    ...order,
    pgDump: order.programs.pg_dump,
    snapshot: snapshot.id,
    excluded: order.settings.excluded,
    compressionLevel: order.settings.compressionLevel,
    key: order.folder.key(objectNames.dump),
    expectedBytes: order.databaseBytes,
    jobMinutes: order.settings.jobMinutes,
  })
}

function prove(snapshot: Snapshot, order: CaptureOrder): Promise<SnapshotProof> {
  const { settings, server, log, signal } = order
  return takeProof(snapshot.client, {
    relations: snapshot.tables,
    level: settings.proof,
    serverMajor: server.major,
    excluded: settings.excluded,
    limitMs: settings.proofLimitMs,
    log,
    signal,
  })
}

async function timed<T>(fn: () => Promise<T>): Promise<{ value: T; ms: number }> {
  const elapsed = startTimer()
  const value = await fn()
  return { value, ms: Math.round(elapsed()) }
}
