import { resolve } from "node:path"
import { z } from "zod"
import { backupDatabase } from "../lib/backup/backup.ts"
import type { BackupOrder } from "../lib/backup/backup-order.ts"
import { chooseDatabases } from "../lib/backup/choose.ts"
import { backupRecord, judgeBackup, judgeFailure } from "../lib/backup/judge.ts"
import { rehearseBackup } from "../lib/backup/rehearse.ts"
import { newestSetTime } from "../lib/backup/set.ts"
import type { Environment } from "../lib/config/environment.ts"
import { duration } from "../lib/config/fields.ts"
import type { OpsConfig } from "../lib/config/schema.ts"
import { type Finding, summarizeFindings } from "../lib/core/finding.ts"
import { defineJob } from "../lib/job/job.ts"
import type { LedgerRecord } from "../lib/ledger/ledger.ts"
import { parsePostgresUrl } from "../lib/postgres/address.ts"
import { parseRecipients } from "../lib/seal/recipients.ts"
import { openStore } from "../lib/store/open.ts"

const options = z.strictObject({
  database: z.string().optional().describe("back up this database only"),
  lockWait: duration().prefault("15 minutes").describe("how long to wait for another job on the same database"),
})

/**
 * Nightly: one encrypted set per database, in one consistent snapshot, with a proof of what it must come back with.
 * Holds public keys only: it writes backups that it cannot read. A set exists when its manifest does, and that is written last.
 */
export default defineJob({
  name: "backup",
  about: "Dump each database in one snapshot, encrypted on the way, with a proof of its content",
  impact: "tonight's backup is missing or in doubt: until it is made good, a restore brings back older data",
  options,
  config: (ops, env) => ({
    databases: targets(ops, env),
    configuration: ops,
    storeUrl: env.storeUrl("write"),
    binDirectories: env.optional("OPS_PG_BIN")?.split(":") ?? [],
  }),

  async run({ config, options, dryRun, log, signal, ...run }) {
    const store = openStore(config.storeUrl, { variable: "BACKUP_STORE" })
    const findings: Finding[] = []
    const records: LedgerRecord[] = []
    for (const target of chooseDatabases(config.databases, options.database)) {
      const order: BackupOrder = { ...config, ...target, ...run, store, lockWaitMs: options.lockWait.ms, log, signal }
      try {
        if (dryRun) findings.push(await rehearseBackup(order))
        else {
          const outcome = await backupDatabase(order)
          findings.push(...judgeBackup(target.database, outcome))
          records.push(backupRecord(target.database, outcome))
        }
      } catch (error) {
        findings.push(judgeFailure(target.database, error, { dryRun }))
        if (signal.aborted) break
      }
    }
    return { summary: summarizeFindings(findings), findings, records }
  },
  lastSuccess: (config) => newestSetTime(openStore(config.storeUrl, { variable: "BACKUP_STORE" }), config.databases),
})

type Target = Pick<BackupOrder, "database" | "address" | "recipients" | "settings">

function targets(ops: OpsConfig, env: Environment): Target[] {
  return Object.entries(ops.databases).flatMap(([database, { url, caFile, backup }]) => {
    if (!backup) return []
    const ca = caFile === undefined ? {} : { caFile: resolve(caFile) }
    const { proof, proofTimeLimit, shrinkPercent, compressionLevel, jobMinutes, exclude: excluded } = backup
    return {
      database,
      address: env.parsedSecret(url, (text, name) => parsePostgresUrl(text, name, ca)),
      recipients: env.variable(backup.recipients, parseRecipients),
      settings: { proof, proofLimitMs: proofTimeLimit.ms, shrinkPercent, compressionLevel, jobMinutes, excluded },
    }
  })
}
