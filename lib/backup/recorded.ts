import { z } from "zod"
import type { Ledger } from "../ledger/ledger.ts"
import type { BackupSet } from "./set.ts"

const setRow = z.looseObject({ type: z.literal("set"), set: z.string(), manifestSha256: z.string() })

/** The file of the ledger that backups and restore tests of a database are recorded in. */
export function ledgerStream(database: string): string {
  return `backups/${database}.jsonl`
}

/** The SHA-256 that the backup run recorded for a set's manifest; `undefined` when this ledger does not know the set. */
export async function recordedManifest(
  ledger: Pick<Ledger, "read">,
  set: Pick<BackupSet, "database" | "id">,
): Promise<string | undefined> {
  const rows = await ledger.read(ledgerStream(set.database))
  return rows.map((row) => setRow.safeParse(row).data).findLast((row) => row?.set === set.id)?.manifestSha256
}
