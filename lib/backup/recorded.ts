import { z } from "zod"
import type { Ledger } from "../ledger/ledger.ts"
import type { BackupSet } from "./set.ts"

const setRow = z.looseObject({ type: z.literal("set"), set: z.string(), manifestSha256: z.string() })

/** The file of the ledger that backups and restore tests of a database are recorded in. */
export function ledgerStream(database: string): string {
  return `backups/${database}.jsonl`
}

/** What the ledger knows of a set's manifest, and of how many sets of the database it knows in all. */
export type Recorded = { manifestSha256: string | undefined; sets: number }

/** What the backup runs recorded. */
export async function readRecorded(
  ledger: Pick<Ledger, "read">,
  set: Pick<BackupSet, "database" | "id">,
): Promise<Recorded> {
  const rows = (await ledger.read(ledgerStream(set.database))).flatMap((row) => setRow.safeParse(row).data ?? [])
  return { manifestSha256: rows.findLast((row) => row.set === set.id)?.manifestSha256, sets: rows.length }
}
