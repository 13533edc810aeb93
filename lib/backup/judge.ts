import { formatDuration } from "../core/duration.ts"
import { errorText } from "../core/error-text.ts"
import type { Finding } from "../core/finding.ts"
import { formatBytes, formatCounted } from "../core/size.ts"
import type { LedgerRecord } from "../ledger/ledger.ts"
import type { BackupOutcome } from "./backup.ts"
import type { Manifest } from "./manifest.ts"
import { CommitUncertain } from "./open-folder.ts"
import { type Level, levelNames, type Receipt } from "./receipt.ts"
import { ledgerStream } from "./recorded.ts"

/** What a finished backup means for people. Pure. */
export function judgeBackup(database: string, { manifest, warnings, shrunk }: BackupOutcome): Finding[] {
  const subject = `database/${database}/backup`
  const findings: Finding[] = [
    { subject, outcome: "ok", detail: describeBackup(manifest), facts: backupFacts(manifest), runbook: "backup" },
  ]
  const cautions = [...warnings, ...manifest.leftOut.map((what) => `left out: ${what}`)]
  if (cautions.length > 0)
    findings.push({ subject: `${subject}/setup`, outcome: "warn", detail: cautions.join("; "), runbook: "backup" })
  if (shrunk.length > 0) {
    const detail = `the new set ${manifest.set} is kept, but it holds much less than the one before: ${shrunk.join("; ")}`
    findings.push({ subject: `${subject}/shrunk`, outcome: "fail", detail, runbook: "backup" })
  }
  return findings
}

function describeBackup({ set, totals, proof, objects, durationsMs }: Manifest): string {
  const proven =
    proof.tablesHashed > 0
      ? `${formatCounted(proof.tablesHashed, "table")} hashed`
      : `${formatCounted(proof.tablesCounted, "table")} counted`
  const size = `${formatBytes(objects.dump.plainBytes)} of dump sealed to ${formatBytes(objects.dump.sealedBytes)}`
  return `${set}: ${formatCounted(totals.tables, "table")}, ${formatCounted(totals.rows, "row")} (${proven}), ${size} in ${formatDuration(durationsMs.total)}`
}

function backupFacts({ set, totals, objects, durationsMs }: Manifest): Record<string, string | number> {
  return {
    set,
    tables: totals.tables,
    rows: totals.rows,
    plainBytes: objects.dump.plainBytes,
    sealedBytes: objects.dump.sealedBytes,
    totalMs: durationsMs.total,
  }
}

/** Two machines do not agree on the time to the minute. */
const clockToleranceHours = 1

/** What a restore test means for people: proof, age and time each have a say. Pure. */
export function judgeReceipt(receipt: Receipt): Finding {
  const { database, set, timingsMs, objectives } = receipt
  const bad = levelNames.filter((name) => receipt.levels[name].outcome === "failed")
  const complaints = bad.map((name) => `${name} failed: ${whatFailed(receipt.levels[name])}`)
  if (objectives.ageHours > objectives.rpoHours) {
    complaints.push(
      `the newest set is ${objectives.ageHours.toFixed(1)} h old, at most ${objectives.rpoHours} h are allowed`,
    )
  }
  if (objectives.ageHours < -clockToleranceHours) {
    complaints.push(
      `the newest set is from the future, by ${(-objectives.ageHours).toFixed(1)} h: until then newer ones are not tested: correct the clock, or move that set away`,
    )
  }
  if (timingsMs.recovery > objectives.rtoMinutes * 60_000) {
    complaints.push(
      `the restore took ${formatDuration(timingsMs.recovery)}, at most ${objectives.rtoMinutes} min are allowed`,
    )
  }
  const exceptions = levelNames.flatMap((name) => receipt.levels[name].exceptions.map((what) => `${name}: ${what}`))
  const facts = {
    set,
    verdict: receipt.verdict,
    recoveryMs: timingsMs.recovery,
    ageHours: Number(objectives.ageHours.toFixed(2)),
  }
  const subject = `database/${database}/restore-test`
  if (complaints.length > 0)
    return { subject, outcome: "fail", detail: `${set}: ${complaints.join("; ")}`, facts, runbook: "restore-test" }
  const told = receipt.totals
    ? `${formatCounted(receipt.totals.tables, "table")} and ${formatCounted(receipt.totals.rows, "row")} came back`
    : "it came back"
  const detail = `${set}: ${told} in ${formatDuration(timingsMs.recovery)}, verified in ${formatDuration(timingsMs.verify)}`
  if (exceptions.length === 0)
    return { subject, outcome: "ok", detail: `${detail}, equal to the snapshot`, facts, runbook: "restore-test" }
  return {
    subject,
    outcome: "warn",
    detail: `${detail}, equal but for ${formatCounted(exceptions.length, "exception")}: ${exceptions.slice(0, 5).join("; ")}`,
    facts,
    runbook: "restore-test",
  }
}

/** Differences say it all; the detail of a level is what it compared, and reads as if it had passed. */
function whatFailed({ differences, detail }: Level): string {
  return differences.length > 0 ? differences.join("; ") : detail
}

/** Finding for a database without any committed set. */
export function missingBackup(database: string, store: string): Finding {
  const detail = `there is no committed backup set of ${database} in ${store}: run the backup job, and look why it did not`
  return { subject: `database/${database}/restore-test`, outcome: "fail", detail, runbook: "restore-test" }
}

/** A backup that did not come to its end: no set was made of it. */
export function judgeFailure(database: string, error: unknown, { dryRun }: { dryRun: boolean }): Finding {
  const known = dryRun ? "a backup would fail" : "no new set"
  const detail = `${error instanceof CommitUncertain ? "perhaps no new set" : known}: ${errorText(error)}`
  return { subject: `database/${database}/backup`, outcome: "fail", detail, runbook: "backup" }
}

/** A restore test that could not be done says nothing about the backup, and nothing was proven. */
export function judgeFailedTest(database: string, error: unknown): Finding {
  const detail = `the restore test could not be done: ${errorText(error)}`
  return { subject: `database/${database}/restore-test`, outcome: "fail", detail, runbook: "restore-test" }
}

/** The ledger's row of a new set. Its manifest's SHA-256 is what a restore test compares with. */
export function backupRecord(database: string, { manifest, manifestSha256 }: BackupOutcome): LedgerRecord {
  const { set, snapshotAt, totals, objects, run } = manifest
  const sizes = { plainBytes: objects.dump.plainBytes, sealedBytes: objects.dump.sealedBytes }
  const row = { type: "set", set, snapshotAt, manifestSha256, ...sizes, tables: totals.tables, rows: totals.rows, run }
  return { stream: ledgerStream(database), row }
}

/** The ledger's row of a restore test. */
export function receiptRecord({ database, set, testedAt, verdict, timingsMs, run }: Receipt): LedgerRecord {
  const times = { recoveryMs: timingsMs.recovery, verifyMs: timingsMs.verify }
  return { stream: ledgerStream(database), row: { type: "receipt", set, testedAt, verdict, ...times, run } }
}
