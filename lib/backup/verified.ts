import { z } from "zod"
import type { Duration } from "../config/fields.ts"
import { formatDuration } from "../core/duration.ts"
import type { Ledger } from "../ledger/ledger.ts"
import { ledgerStream } from "./recorded.ts"

/** A set that was restored and found equal to its source. */
export type VerifiedSet = { set: string; snapshotAt: Date; testedAt: Date }

const time = z.iso.datetime().transform((text) => new Date(text))
const setRow = z.looseObject({ type: z.literal("set"), set: z.string(), snapshotAt: time })
const receiptRow = z.looseObject({
  type: z.literal("receipt"),
  set: z.string(),
  testedAt: time,
  verdict: z.enum(["passed", "passed with exceptions", "failed"]),
})

/** Two machines do not agree on the time to the second. */
const clockToleranceMs = 5 * 60_000

/**
 * The newest set whose last restore test passed, with or without exceptions, as the ledger has it; `undefined` when there is none. A set
 * counts with both its own row and that of its test. The rows of a public ledger, which keep outcomes and times, are enough; rows of
 * another form are skipped.
 */
export async function newestVerified(ledger: Pick<Ledger, "read">, database: string): Promise<VerifiedSet | undefined> {
  return (await readHistory(ledger, database)).verified.at(-1)
}

export type BackupGate = {
  ledger: Pick<Ledger, "read">
  database: string
  /** `verifiedBackupWithin` of the database. */
  within: Duration | false
  now: Date
  /** Whether a person said `--without-backup`. */
  allowed: boolean
}

/**
 * Why the data of this database may not be changed yet, with the remedy; `undefined` when a set of the age allowed or younger came back in
 * a restore test, or when none is asked for. A set from the future does not count: its age says nothing.
 */
export async function refuseWithoutBackup(gate: BackupGate): Promise<string | undefined> {
  const { ledger, database, within, now, allowed } = gate
  if (within === false || allowed) return undefined
  const history = await readHistory(ledger, database)
  const present = history.verified.filter(({ snapshotAt }) => snapshotAt.getTime() <= now.getTime() + clockToleranceMs)
  const newest = present.at(-1)
  if (newest && now.getTime() - newest.snapshotAt.getTime() <= within.ms) return undefined
  return `${missing(history, newest, gate)}: ${remedy(history, database)}`
}

type History = { verified: VerifiedSet[]; newestSet: string | undefined; newestFailed: string | undefined }

/** Verified sets, oldest snapshot first, and what came of the newest set of all. */
async function readHistory(ledger: Pick<Ledger, "read">, database: string): Promise<History> {
  const rows = await ledger.read(ledgerStream(database))
  const sets = rows.flatMap((row) => setRow.safeParse(row).data ?? [])
  const receipts = rows.flatMap((row) => receiptRow.safeParse(row).data ?? [])
  const newestReceipts = new Map<string, z.output<typeof receiptRow>>()
  for (const receipt of receipts) {
    const known = newestReceipts.get(receipt.set)
    if (!known || receipt.testedAt >= known.testedAt) newestReceipts.set(receipt.set, receipt)
  }
  const snapshots = new Map(sets.map(({ set, snapshotAt }) => [set, snapshotAt]))
  const inOrder = [...snapshots].sort(([, a], [, b]) => a.getTime() - b.getTime())
  const verified = inOrder.flatMap(([set, snapshotAt]) => {
    const receipt = newestReceipts.get(set)
    return receipt && receipt.verdict !== "failed" ? { set, snapshotAt, testedAt: receipt.testedAt } : []
  })
  const newestSet = inOrder.at(-1)?.[0]
  const isFailed = newestSet !== undefined && newestReceipts.get(newestSet)?.verdict === "failed"
  return { verified, newestSet, newestFailed: isFailed ? newestSet : undefined }
}

function missing({ newestSet, newestFailed }: History, newest: VerifiedSet | undefined, gate: BackupGate): string {
  const { database, within, now } = gate
  const wanted = `a verified backup of ${database} not older than ${within === false ? "ever" : within.text} is needed`
  if (newestSet === undefined) return `${wanted}, and the ledger knows of none`
  const last = newest
    ? `the newest one, ${newest.set}, is ${formatDuration(now.getTime() - newest.snapshotAt.getTime())} old`
    : "none of its sets has passed a restore test"
  if (newestFailed) return `${wanted}, and ${last}: the restore test of ${newestFailed} failed`
  const isUntested = newestSet !== newest?.set
  return `${wanted}, and ${last}${isUntested ? ` (${newestSet} is not tested yet, or from the future)` : ""}`
}

function remedy({ newestSet, newestFailed }: History, database: string): string {
  const elsewhere = `set databases.${database}.verifiedBackupWithin to false where backups are made elsewhere`
  const anyway = "or start again with --without-backup to go on without one"
  if (newestFailed) return `see the runbook restore-test; then run backup and restore-test again, ${anyway}`
  const configure = newestSet === undefined ? `give databases.${database} a \`backup\` in ops.config.ts, then ` : ""
  return `${configure}run backup and then restore-test, ${elsewhere}, ${anyway}`
}
