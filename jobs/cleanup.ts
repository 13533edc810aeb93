import { resolve } from "node:path"
import { z } from "zod"
import { refuseWithoutBackup } from "../lib/backup/verified.ts"
import type { Environment } from "../lib/config/environment.ts"
import { duration } from "../lib/config/fields.ts"
import type { OpsConfig } from "../lib/config/schema.ts"
import { ConfigError } from "../lib/core/config-error.ts"
import { errorText } from "../lib/core/error-text.ts"
import { type Finding, summarizeFindings } from "../lib/core/finding.ts"
import { defineJob } from "../lib/job/job.ts"
import type { LedgerRecord } from "../lib/ledger/ledger.ts"
import { parsePostgresUrl } from "../lib/postgres/address.ts"
import { chooseRules } from "../lib/retention/choose-rules.ts"
import { type CleanupOrder, checkRules, cleanDatabase } from "../lib/retention/cleanup.ts"
import { cleanupSubject } from "../lib/retention/findings.ts"
import { actionOf } from "../lib/retention/rule.ts"
import { parseRecipients } from "../lib/seal/recipients.ts"
import { openStore } from "../lib/store/open.ts"

const options = z.strictObject({
  database: z.string().optional().describe("clean this database only"),
  rule: z.array(z.string()).default([]).describe("apply this rule only; may be given several times"),
  limit: z.int().min(1).max(1_000_000_000).optional().describe("rows that each rule takes at most"),
  allowLarge: z.boolean().default(false).describe("go on where a rule would take more than maxRows or maxShare"),
  withoutBackup: z.boolean().default(false).describe("go on without a fresh verified backup"),
  lockWait: duration().prefault("15 minutes").describe("how long to wait for another job on the same database"),
})

/**
 * Nightly: removes what the rules say is done with. Each rule is planned, held against its caps, and applied in short transactions; rows on
 * legal hold stay. Nothing is changed before all rules were found to fit, and without a fresh backup that was restored.
 */
export default defineJob({
  name: "cleanup",
  about: "Delete, archive, drop or anonymise rows by rule, planned first and in small steps",
  impact: "data that should be gone is still there; tables grow until it is made good",
  options,
  config: (ops, env) => ({ databases: targets(ops, env) }),

  async run({ config, options, now, slot, trigger, dryRun, ledger, log, signal, run }) {
    const targets = chooseRules(config.databases, options)
    const orders: CleanupOrder[] = []
    for (const { database, address, rules, within, archive } of targets) {
      const gate = { ledger, database, within, now, allowed: options.withoutBackup }
      const backupRefusal = await refuseWithoutBackup(gate)
      orders.push({
        ...{ database, address, rules, slot, now, dryRun, log, signal, run: run.id },
        ...{ byHand: trigger === "hand", allowLarge: options.allowLarge, lockWaitMs: options.lockWait.ms },
        ...(options.limit !== undefined && { limit: options.limit }),
        ...(backupRefusal !== undefined && { backupRefusal }),
        ...(archive && {
          archive: { store: openStore(archive.storeUrl, { variable: "BACKUP_STORE" }), recipients: archive.recipients },
        }),
      })
    }
    const { checked, findings } = await checkAll(orders)
    const records: LedgerRecord[] = []
    const pages: string[] = []
    for (const order of checked) {
      const outcome = await cleanDatabase(order)
      findings.push(...outcome.findings)
      records.push(...outcome.records)
      pages.push(outcome.page)
      if (signal.aborted) break
    }
    const page = pages.filter((text) => text !== "").join("\n\n")
    const shown = dryRun && trigger === "hand" && page !== "" ? { output: `${page}\n` } : {}
    return { summary: summarizeFindings(findings), findings, records, page, ...shown }
  },
})

/** Holds all rules against their databases before anything is changed. Throws `ConfigError` with every problem; a database that cannot be asked is a finding. */
async function checkAll(orders: readonly CleanupOrder[]): Promise<{ checked: CleanupOrder[]; findings: Finding[] }> {
  const checked: CleanupOrder[] = []
  const findings: Finding[] = []
  const problems: string[] = []
  for (const order of orders) {
    try {
      problems.push(...(await checkRules(order)))
      checked.push(order)
    } catch (error) {
      order.signal.throwIfAborted()
      const detail = `nothing was changed: ${errorText(error)}`
      findings.push({ subject: cleanupSubject(order.database), outcome: "fail", detail, runbook: "cleanup" })
    }
  }
  if (problems.length > 0) throw new ConfigError(problems)
  return { checked, findings }
}

function targets(ops: OpsConfig, env: Environment) {
  return Object.entries(ops.databases).flatMap(
    ([database, { writeUrl, caFile, cleanup, archive, backup, ...more }]) => {
      if (!writeUrl || cleanup.length === 0) return []
      const ca = caFile === undefined ? {} : { caFile: resolve(caFile) }
      const recipients = archive?.recipients ?? backup?.recipients
      const isArchiving = cleanup.some((rule) => actionOf(rule) === "archive")
      return {
        database,
        address: env.parsedSecret(writeUrl, (text, name) => parsePostgresUrl(text, name, ca)),
        rules: cleanup.map((config, index) => ({ index, config })),
        within: more.verifiedBackupWithin,
        ...(isArchiving &&
          recipients && {
            archive: { storeUrl: env.storeUrl("write"), recipients: env.variable(recipients, parseRecipients) },
          }),
      }
    },
  )
}
