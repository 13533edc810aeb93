import { resolve } from "node:path"
import { z } from "zod"
import { refuseWithoutBackup } from "../lib/backup/verified.ts"
import type { Environment } from "../lib/config/environment.ts"
import { choice, duration, tableName } from "../lib/config/fields.ts"
import type { OpsConfig } from "../lib/config/schema.ts"
import { ConfigError } from "../lib/core/config-error.ts"
import { type Finding, summarizeFindings } from "../lib/core/finding.ts"
import {
  judgeMaintenance,
  judgeNoMaintenance,
  judgeRehearsal,
  maintenanceRecords,
} from "../lib/dbcare/judge-maintenance.ts"
import { maintain, rehearseMaintenance } from "../lib/dbcare/maintain.ts"
import { renderMaintenancePage } from "../lib/dbcare/maintenance-page.ts"
import { wantedKinds } from "../lib/dbcare/plan-maintenance.ts"
import { defineJob } from "../lib/job/job.ts"
import type { LedgerRecord } from "../lib/ledger/ledger.ts"
import { parsePostgresUrl } from "../lib/postgres/address.ts"
import { parseTableName, renderTableName } from "../lib/postgres/name.ts"
import { startTimer } from "../lib/system/clock.ts"

const options = z.strictObject({
  database: z.string().optional().describe("care for this database only"),
  action: z
    .array(choice(["analyze", "vacuum", "reindex", "validate"]))
    .optional()
    .describe("do this kind of action only: analyze, vacuum, reindex or validate"),
  table: tableName().optional().describe("care for this table only, such as public.events"),
  limit: z
    .int()
    .min(1)
    .max(100_000)
    .optional()
    .describe("do so many actions at most; the rest is left for the next run"),
  timeLimit: duration().prefault("2 hours").describe("what is not begun by then is left for the next run"),
  lockWait: duration().prefault("15 minutes").describe("how long to wait for another job on the same database"),
  withoutBackup: z.boolean().default(false).describe("go on without a fresh verified backup"),
})

/**
 * Weekly: does for each database what autovacuum leaves undone. Every action is planned, run alone, and looked at afterwards; no row of
 * the team's is changed, and readers and writers go on meanwhile.
 */
export default defineJob({
  name: "maintenance",
  about: "Analyse, vacuum and rebuild what is due, validate constraints, and sweep what broke off",
  impact: "the databases were not cared for this week: queries may become slower, nothing is lost",
  options,
  config: (ops, env) => ({ databases: targets(ops, env) }),

  async run({ config, options, now, dryRun, ledger, log, signal, run }) {
    const { action: kinds, withoutBackup: allowed } = options
    const table = options.table && renderTableName(parseTableName(options.table))
    const elapsed = startTimer()
    const remainingMs = () => options.timeLimit.ms - elapsed()
    const findings: Finding[] = []
    const records: LedgerRecord[] = []
    const pages: string[] = []
    for (const { within, ...target } of choose(config.databases, options)) {
      const { database, care } = target
      const order = {
        ...target,
        limit: options.limit,
        wishes: { kinds, table },
        lockWaitMs: options.lockWait.ms,
        remainingMs,
        log,
        signal,
      }
      const wanted = wantedKinds(care.actions, kinds)
      try {
        const refusal = await refuseWithoutBackup({ ledger, database, within, now, allowed })
        if (refusal) findings.push(judgeNoMaintenance(database, refusal))
        if (refusal && !dryRun) continue
        const done = dryRun ? await rehearseMaintenance(order) : await maintain(order)
        findings.push(...(dryRun ? judgeRehearsal : judgeMaintenance)(database, done, wanted))
        records.push(...maintenanceRecords(database, done, { now, run: run.id }))
        pages.push(renderMaintenancePage(database, done, dryRun))
      } catch (error) {
        if (error instanceof ConfigError) throw error
        findings.push(judgeNoMaintenance(database, error))
      }
      if (signal.aborted) break
    }
    return { summary: summarizeFindings(findings), findings, records, page: pages.join("\n") }
  },
})

type Target = {
  database: string
  address: ReturnType<typeof parsePostgresUrl>
  care: OpsConfig["databases"][string]["care"]
  within: OpsConfig["databases"][string]["verifiedBackupWithin"]
}

function targets(ops: OpsConfig, env: Environment): Target[] {
  return Object.entries(ops.databases).flatMap(([database, { writeUrl, caFile, care, verifiedBackupWithin }]) => {
    if (!writeUrl || care.actions.length === 0) return []
    const ca = caFile === undefined ? {} : { caFile: resolve(caFile) }
    const address = env.parsedSecret(writeUrl, (text, name) => parsePostgresUrl(text, name, ca))
    return { database, address, care, within: verifiedBackupWithin }
  })
}

/** The databases that a run is about. A table is one database's. */
function choose(databases: readonly Target[], { database, table }: z.output<typeof options>): Target[] {
  const found = databases.filter((one) => database === undefined || one.database === database)
  const known = databases.map((one) => one.database).join(", ") || "none"
  if (found.length === 0) {
    const which = database === undefined ? "no database" : `--database ${database}: no database of that name`
    throw new ConfigError(`${which} has a writeUrl and care.actions in ops.config.ts (there is ${known})`)
  }
  if (table !== undefined && found.length > 1)
    throw new ConfigError(`--table ${table}: add --database, one of ${known}`)
  return found
}
