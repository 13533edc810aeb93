import { z } from "zod"
import { chooseDatabases } from "../lib/backup/choose.ts"
import { judgeFailedTest, judgeReceipt, missingBackup, receiptRecord } from "../lib/backup/judge.ts"
import { renderReceiptPage } from "../lib/backup/receipt-page.ts"
import { newestReceiptTime, putReceipt } from "../lib/backup/receipt-store.ts"
import { readRecorded } from "../lib/backup/recorded.ts"
import { type RestoreTestOrder, testRestore } from "../lib/backup/restore-test.ts"
import { newestSetFolder, readSet } from "../lib/backup/set.ts"
import { secret } from "../lib/config/define.ts"
import type { OpsConfig } from "../lib/config/schema.ts"
import { type Finding, summarizeFindings } from "../lib/core/finding.ts"
import { defineJob } from "../lib/job/job.ts"
import type { LedgerRecord } from "../lib/ledger/ledger.ts"
import { parseIdentities } from "../lib/seal/recipients.ts"
import { openStore } from "../lib/store/open.ts"

const options = z.strictObject({
  database: z.string().optional().describe("test this database only"),
})

/** Proves that the newest backup restores. Holds the private key; never sees the live database. */
export default defineJob({
  name: "restore-test",
  about: "Restore the newest backup of each database into a scratch Postgres and compare it with its proof",
  impact: "the newest backup is not proven: it may be missing, damaged, too old or too slow to restore",
  options,
  config: (ops, env) => ({
    databases: targets(ops),
    storeUrl: env.storeUrl("read"),
    identities: env.parsedSecret(secret("BACKUP_IDENTITY"), parseIdentities),
    binDirectories: env.optional("OPS_PG_BIN")?.split(":") ?? [],
  }),

  async run({ config, options, now, dryRun, ledger, log, signal, run }) {
    const store = openStore(config.storeUrl, { variable: "BACKUP_STORE" })
    const findings: Finding[] = []
    const records: LedgerRecord[] = []
    const pages: string[] = []
    for (const { database, ...wishes } of chooseDatabases(config.databases, options.database)) {
      try {
        const folder = await newestSetFolder(store, database)
        if (!folder) {
          findings.push(missingBackup(database, store.name))
          continue
        }
        const set = await readSet(store, folder, signal)
        const recorded = await readRecorded(ledger, set)
        const receipt = await testRestore({
          ...config,
          ...wishes,
          set,
          store,
          recorded,
          now,
          run: run.id,
          log,
          signal,
        })
        if (!dryRun) await putReceipt(store, receipt, signal)
        findings.push(judgeReceipt(receipt))
        records.push(receiptRecord(receipt))
        pages.push(renderReceiptPage(receipt))
      } catch (error) {
        signal.throwIfAborted()
        findings.push(judgeFailedTest(database, error))
      }
    }
    return { summary: summarizeFindings(findings), findings, records, page: pages.join("\n") }
  },
  lastSuccess: (config) =>
    newestReceiptTime(openStore(config.storeUrl, { variable: "BACKUP_STORE" }), config.databases),
})

type Target = Pick<RestoreTestOrder, "assertions" | "packages" | "extraRoles" | "objectives"> & { database: string }

function targets(ops: OpsConfig): Target[] {
  return Object.entries(ops.databases).flatMap(([database, { backup, restore, assertions }]) => {
    if (!backup) return []
    const { rtoMinutes, rpoHours } = backup
    return {
      database,
      assertions,
      packages: restore.packages,
      extraRoles: restore.roles,
      objectives: { rtoMinutes, rpoHours },
    }
  })
}
