import type { BackupOrder } from "./backup-order.ts"
import type { Captured } from "./capture.ts"
import type { Manifest } from "./manifest.ts"
import type { Preflight } from "./preflight.ts"

export type SmallObjects = Pick<Manifest["objects"], "proof" | "config" | "roles" | "recovery"> & { leftOut: string[] }

/** The manifest of a set whose objects are all stored. Pure. */
export function describeSet(
  order: Pick<BackupOrder, "database" | "run" | "slot" | "settings" | "recipients">,
  checked: Pick<Preflight, "server" | "clientVersion" | "databaseBytes">,
  captured: Captured,
  small: SmallObjects,
  end: { set: string; finishedAt: Date; totalMs: number },
): Manifest {
  const { proof, dump, snapshotAt, durationsMs } = captured
  const { leftOut, ...objects } = small
  const counted = proof.tables.filter((table) => table.rows !== undefined)
  return {
    format: "nightshift-backup/1",
    database: order.database,
    set: end.set,
    run: order.run.id,
    slot: order.slot.toISOString(),
    snapshotAt,
    finishedAt: end.finishedAt.toISOString(),
    server: checked.server,
    client: { pgDump: checked.clientVersion },
    objects: { dump, ...objects },
    totals: {
      tables: proof.tables.length,
      rows: Number(counted.reduce((sum, table) => sum + BigInt(table.rows ?? 0), 0n)),
      largeObjects: Number(proof.largeObjects.count),
      databaseBytes: checked.databaseBytes,
    },
    proof: {
      level: proof.level,
      tablesCounted: counted.length,
      tablesHashed: counted.filter((table) => table.hash !== undefined).length,
    },
    excluded: order.settings.excluded,
    leftOut: [...proof.leftOut, ...leftOut],
    recipients: order.recipients.fingerprints,
    durationsMs: { ...durationsMs, total: Math.round(end.totalMs) },
    tool: { name: "nightshift", ...(order.run.commit && { commit: order.run.commit }) },
  }
}
