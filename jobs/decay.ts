import { resolve } from "node:path"
import { z } from "zod"
import { refuseWithoutBackup } from "../lib/backup/verified.ts"
import type { Environment } from "../lib/config/environment.ts"
import { duration } from "../lib/config/fields.ts"
import type { OpsConfig } from "../lib/config/schema.ts"
import { ConfigError } from "../lib/core/config-error.ts"
import { type Finding, summarizeFindings } from "../lib/core/finding.ts"
import { chooseRules } from "../lib/decay/choose.ts"
import { aboutThresholds } from "../lib/decay/judge.ts"
import { leavingRules } from "../lib/decay/leaving.ts"
import { applyRules, checkRules, failRules, rehearseRules } from "../lib/decay/run.ts"
import { type Context, defineJob } from "../lib/job/job.ts"
import type { LedgerRecord } from "../lib/ledger/ledger.ts"
import { parsePostgresUrl } from "../lib/postgres/address.ts"
import { type CleanupOrder, checkRules as checkLeaving, cleanDatabase } from "../lib/retention/cleanup.ts"
import { parseRecipients } from "../lib/seal/recipients.ts"
import { openStore } from "../lib/store/open.ts"

const options = z.strictObject({
  database: z.string().optional().describe("apply the rules of this database only"),
  rule: z.string().optional().describe("apply the rule of this name only"),
  limit: z.int().min(0).max(1_000_000_000).optional().describe("refuse a rule that would change more rows than this"),
  catchUp: z.boolean().default(false).describe("go on when more is due than `maxCatchUp` of a rule"),
  allowLarge: z
    .boolean()
    .default(false)
    .describe("let a threshold delete or archive more than the caps of cleanup allow"),
  withoutBackup: z
    .boolean()
    .default(false)
    .describe("let a threshold delete or archive without a fresh verified backup"),
  lockWait: duration().prefault("15 minutes").describe("how long to wait for another job on the same database"),
})

/**
 * Daily: values fall as their rules say, for exactly the steps since the last run, however late it comes. Each rule is all or nothing,
 * and applied once: the watermark in the schema `ops` moves in the transaction that changes the rows. Rows that fell so low that they are
 * to leave then do, by the ways and under the caps of the cleanup.
 */
export default defineJob({
  name: "decay",
  about: "Let values fade by rule, once for each step, shown before with --dry-run",
  impact: "values stay as they were: nothing is lost, and the next run makes up for it",
  options,
  config: (ops, env) => ({ targets: targets(ops, env) }),

  async run(context) {
    const { config, options, dryRun, signal, trigger } = context
    const results: Results = { findings: [], records: [], pages: [] }
    const checked = await checkAll(chooseRules(config.targets, options), context, results.findings)
    for (const target of checked) {
      const failed = await decay(target, context, results)
      if (!signal.aborted) await leave(target, failed, context, results)
      if (signal.aborted) break
    }
    const { findings, records } = results
    const page = results.pages.filter((text) => text !== "").join("\n\n")
    const shown = dryRun && trigger === "hand" && page !== "" ? { output: `${page}\n` } : {}
    return { summary: summarizeFindings(findings), findings, records, page, about: aboutThresholds(findings), ...shown }
  },
})

type Target = ReturnType<typeof targets>[number]
type Run = Context<{ targets: Target[] }, z.output<typeof options>>
type Results = { findings: Finding[]; records: LedgerRecord[]; pages: string[] }

/** All rules are held against their databases before the first is applied. A database that does not answer fails for itself alone. */
async function checkAll(chosen: readonly Target[], context: Run, findings: Finding[]): Promise<Target[]> {
  const problems: string[] = []
  const checked: Target[] = []
  for (const target of chosen) {
    try {
      problems.push(...(await checkRules(target, context)))
      if (problems.length === 0) problems.push(...(await checkLeaving(leavingOrder(target, target.leaving, context))))
      checked.push(target)
    } catch (error) {
      findings.push(...failRules(target, context.options.rule, error))
      if (context.signal.aborted) break
    }
  }
  if (problems.length > 0)
    throw new ConfigError(problems.map((problem) => problem.replace(/^(databases\.[^.]+)\.cleanup\[/, "$1.decay[")))
  return checked
}

/** Returns the names of the rules that were not applied. */
async function decay(
  target: Target,
  { options, dryRun, run, trigger, ...context }: Run,
  results: Results,
): Promise<string[]> {
  const { rule: only, lockWait, catchUp, limit } = options
  const order = { ...context, runId: run.id, only, catchUp, limit, lockWaitMs: lockWait.ms, byHand: trigger === "hand" }
  try {
    const { findings, records, sections, failed } = await (dryRun
      ? rehearseRules(target, order)
      : applyRules(target, order))
    results.findings.push(...findings)
    results.records.push(...records)
    results.pages.push(...sections)
    return failed
  } catch (error) {
    results.findings.push(...failRules(target, only, error))
    return target.rules.map(({ name }) => name)
  }
}

/** Rows of rules that were applied, now or before, leave at their thresholds. A dry run shows those that are there already. */
async function leave(target: Target, failed: readonly string[], context: Run, results: Results): Promise<void> {
  const { options, ledger, now } = context
  const leaving = target.leaving.filter(({ decayRule }) => {
    return !failed.includes(decayRule) && (options.rule === undefined || options.rule === decayRule)
  })
  if (leaving.length === 0) return
  const gate = { ledger, database: target.database, within: target.within, now, allowed: options.withoutBackup }
  const backupRefusal = await refuseWithoutBackup(gate)
  const order = leavingOrder(target, leaving, context)
  const outcome = await cleanDatabase({ ...order, ...(backupRefusal !== undefined && { backupRefusal }) })
  results.findings.push(...outcome.findings)
  results.records.push(...outcome.records)
  results.pages.push(outcome.page)
}

function leavingOrder(
  { database, address, archive }: Target,
  rules: CleanupOrder["rules"],
  context: Run,
): CleanupOrder {
  const { options, slot, now, trigger, dryRun, run, log, signal } = context
  return {
    ...{ database, address, rules, slot, now, dryRun, log, signal, run: run.id, byHand: trigger === "hand" },
    ...{ allowLarge: options.allowLarge, lockWaitMs: options.lockWait.ms },
    ...(archive && {
      archive: { store: openStore(archive.storeUrl, { variable: "BACKUP_STORE" }), recipients: archive.recipients },
    }),
  }
}

function targets(ops: OpsConfig, env: Environment) {
  return Object.entries(ops.databases).flatMap(([database, { writeUrl, caFile, decay, archive, backup, ...more }]) => {
    if (decay.length === 0 || !writeUrl) return []
    const ca = caFile === undefined ? {} : { caFile: resolve(caFile) }
    const leaving = leavingRules(decay)
    const recipients = archive?.recipients ?? backup?.recipients
    const isArchiving = leaving.some(({ config }) => config.action === "archive")
    return {
      database,
      address: env.parsedSecret(writeUrl, (text, name) => parsePostgresUrl(text, name, ca)),
      rules: decay,
      leaving,
      within: more.verifiedBackupWithin,
      ...(isArchiving &&
        recipients && {
          archive: { storeUrl: env.storeUrl("write"), recipients: env.variable(recipients, parseRecipients) },
        }),
    }
  })
}
