import type { Client } from "pg"
import type { CleanupConfig } from "../config/cleanup-schema.ts"
import { ConfigError } from "../core/config-error.ts"
import { errorText } from "../core/error-text.ts"
import type { Finding } from "../core/finding.ts"
import type { Log } from "../core/log.ts"
import { formatCounted } from "../core/size.ts"
import type { LedgerRecord } from "../ledger/ledger.ts"
import type { PostgresAddress } from "../postgres/address.ts"
import { withClient } from "../postgres/connect.ts"
import { isConnectionLoss } from "../postgres/connect-error.ts"
import { withExclusiveSession } from "../postgres/exclusive.ts"
import { renderTableName } from "../postgres/name.ts"
import { ensureOpsTables } from "../postgres/ops-schema.ts"
import { refuseFutureSlot } from "../postgres/server-clock.ts"
import { withTransaction } from "../postgres/transaction.ts"
import type { Recipients } from "../seal/recipients.ts"
import type { Store } from "../store/store.ts"
import { applyRows } from "./apply.ts"
import { archiveRefusals, archiveRows } from "./archive.ts"
import { resumeArchives } from "./archive-finish.ts"
import type { CleanupPlan } from "./contract.ts"
import { cleanupSubject, type Ended, judgeApplied, judgeBroken, judgePlan, judgeReport } from "./findings.ts"
import { readHolds } from "./holds.ts"
import { type PlannedRule, renderCleanupPage } from "./page.ts"
import { planRule } from "./plan.ts"
import { type PreparedRule, prepareRule } from "./prepare.ts"
import { removePartitions } from "./remove-partitions.ts"
import { isDestructive, isOfPartitions, rulePath } from "./rule.ts"

/** A rule with its place in the configuration. */
export type ListedRule = { index: number; config: CleanupConfig }

export type CleanupOrder = {
  /** Name of the database in the configuration. */
  database: string
  address: PostgresAddress
  rules: readonly ListedRule[]
  slot: Date
  now: Date
  dryRun: boolean
  /** A person reads the plan on a machine of their own. */
  byHand: boolean
  allowLarge: boolean
  /** Rows that each rule takes at most in this run. */
  limit?: number
  lockWaitMs: number
  /** Why rules that change rows must not run: no fresh verified backup. */
  backupRefusal?: string
  /** Where archives go; needed when a rule archives. */
  archive?: { store: Store; recipients: Recipients }
  run: string
  log: Log
  signal: AbortSignal
}

export type CleanupOutcome = { findings: Finding[]; records: LedgerRecord[]; page: string }

const questionTimeoutMs = 60_000

/** What is wrong with the rules of a database, each with the path of its rule. The database is asked and not changed. */
export async function checkRules({ database, address, rules, slot, signal }: CleanupOrder): Promise<string[]> {
  return withClient(address, { applicationName: "nightshift/cleanup", signal }, async (client) => {
    const problems = await problemsOf(`databases.${database}`, () => refuseFutureSlot(client, slot))
    for (const { index, config } of rules)
      problems.push(...(await problemsOf(rulePath(database, index, config), () => prepare(client, config, slot))))
    return problems
  })
}

/** What cannot be found out now, behind a lock perhaps, is no problem yet: the rule is held against the database again in its turn, and fails alone. */
async function problemsOf(place: string, check: () => Promise<unknown>): Promise<string[]> {
  try {
    await check()
    return []
  } catch (error) {
    if (isConnectionLoss(error)) throw error
    return error instanceof ConfigError ? error.problems.map((problem) => `${place}: ${problem}`) : []
  }
}

/**
 * Plans and, unless this is a dry run, applies the rules of a database, one after the other. Does not reject for what befalls a rule or the
 * database: findings say it, and other rules go on.
 */
export async function cleanDatabase(order: CleanupOrder): Promise<CleanupOutcome> {
  const { database, address, dryRun, signal } = order
  const findings: Finding[] = []
  const records: LedgerRecord[] = []
  const planned: PlannedRule[] = []
  try {
    const work = (client: Client, ending: AbortSignal) =>
      cleanRules(client, { ...order, signal: ending }, { findings, records, planned })
    if (dryRun)
      await withClient(address, { applicationName: "nightshift/cleanup", signal }, (client) => work(client, signal))
    else await withExclusiveSession({ ...order, job: "cleanup" }, work)
  } catch (error) {
    const detail = [errorText(error), ...leftOut(order, findings)].join("; ")
    findings.push({ subject: cleanupSubject(database), outcome: "fail", detail, runbook: "cleanup" })
  }
  return { findings, records, page: renderCleanupPage(database, planned) }
}

/** Rules of which nothing was said although others had their turn. */
function leftOut({ database, rules }: CleanupOrder, findings: readonly Finding[]): string[] {
  const said = new Set(findings.map(({ subject }) => subject))
  const silent = rules.filter(({ config }) => !said.has(cleanupSubject(database, config.name)))
  if (silent.length === 0 || silent.length === rules.length) return []
  return [`these rules had no turn: ${silent.map(({ config }) => config.name).join(", ")}`]
}

type Outcomes = { findings: Finding[]; records: LedgerRecord[]; planned: PlannedRule[] }

async function cleanRules(client: Client, order: CleanupOrder, outcomes: Outcomes): Promise<void> {
  const { database, dryRun, signal, backupRefusal, log } = order
  const { findings } = outcomes
  await refuseFutureSlot(client, order.slot)
  const isChanging = order.rules.some(({ config }) => isDestructive(config))
  if (isChanging && backupRefusal !== undefined) {
    const detail = dryRun
      ? `a real run would change nothing: ${backupRefusal}`
      : `nothing was changed: ${backupRefusal}`
    findings.push({ subject: cleanupSubject(database), outcome: dryRun ? "warn" : "fail", detail, runbook: "cleanup" })
  }
  const rules = order.rules.filter(({ config }) => dryRun || backupRefusal === undefined || !isDestructive(config))
  if (!dryRun && rules.some(({ config }) => isDestructive(config))) await ensureOpsTables(client, ["legal_hold"])
  findings.push(...(await holdWarnings(client, order)), ...(await finishArchives(client, order)))
  for (const { config } of rules) {
    if (signal.aborted) break
    try {
      await cleanRule(client, config, order, outcomes)
    } catch (error) {
      if (isConnectionLoss(error)) throw error // every other rule would fail for the same reason
      log.error(`${config.name}: ${errorText(error)}`)
      findings.push(judgeBroken(database, config, error))
    }
  }
  signal.throwIfAborted()
}

async function holdWarnings(client: Client, { database, slot }: CleanupOrder): Promise<Finding[]> {
  const { warnings } = await readHolds(client, slot)
  if (warnings.length === 0) return []
  const detail = warnings.join("; ")
  return [{ subject: `${cleanupSubject(database)}/legal-holds`, outcome: "warn", detail, runbook: "cleanup" }]
}

/** Parts of archives that an earlier run left unfinished. */
async function finishArchives(client: Client, order: CleanupOrder): Promise<Finding[]> {
  const { database, archive, dryRun, log } = order
  if (!archive || dryRun) return []
  const { closed, abandoned, problems } = await resumeArchives({ ...order, ...archive, client })
  if (closed + abandoned > 0)
    log.info(`archives that earlier runs left unfinished: ${closed} finished, ${abandoned} given up, to be made anew`)
  if (problems.length === 0) return []
  const detail = `parts of archives need a person: ${problems.join("; ")}`
  return [{ subject: `${cleanupSubject(database)}/archives`, outcome: "fail", detail, runbook: "restore-archive" }]
}

async function cleanRule(
  client: Client,
  config: CleanupConfig,
  order: CleanupOrder,
  outcomes: Outcomes,
): Promise<void> {
  const { database, log, dryRun } = order
  const rule = await prepare(client, config, order.slot)
  const plan = await planRule(client, rule, { ...order, showsKeys: dryRun && order.byHand })
  if (plan.action === "archive" && order.archive) plan.refusals.push(...archiveRefusals(plan, order.archive.recipients))
  const planned: PlannedRule = { plan }
  outcomes.planned.push(planned)
  if (plan.action === "report") {
    outcomes.findings.push(judgeReport(database, plan, config))
    return
  }
  const rows = `${formatCounted(plan.count, "row")} of ${renderTableName(plan.selection.table)}`
  log.info(`${config.name}: ${plan.action} of ${rows} planned`)
  if (dryRun || plan.refusals.length > 0) {
    outcomes.findings.push(judgePlan(database, plan))
    return
  }
  const ended = await apply(client, plan, order)
  planned.ended = ended
  outcomes.findings.push(judgeApplied(database, plan, ended, order.limit))
  outcomes.records.push(auditRecord(order, plan, ended))
}

async function prepare(client: Client, config: CleanupConfig, slot: Date): Promise<PreparedRule> {
  const options = { isolation: "repeatable read", readOnly: true, statementTimeoutMs: questionTimeoutMs } as const
  return withTransaction(client, options, async () => {
    const holds = await readHolds(client, slot)
    if (holds.exists && !holds.isUsable && isDestructive(config))
      throw new ConfigError(
        "this role may not read all of ops.legal_hold and lock it, and so cannot honour it: run: grant usage on schema ops to <role>; grant select, update on ops.legal_hold to <role>",
      )
    return prepareRule(client, config, { slot, hasHolds: holds.exists })
  })
}

async function apply(client: Client, plan: CleanupPlan, order: CleanupOrder): Promise<Ended> {
  const { archive, address, slot, log, signal, run, limit } = order
  const context = { client, address, slot, log, signal, run, ...(limit !== undefined && { limit }) }
  if (isOfPartitions(plan.action)) return removePartitions(plan, context)
  if (plan.action !== "archive") return applyRows(plan, context)
  if (!archive) throw new Error("there is no store to archive to")
  return archiveRows(plan, { ...context, ...archive, database: order.database })
}

/** What really changed, for who asks later. */
function auditRecord({ database, slot, now, run }: CleanupOrder, plan: CleanupPlan, ended: Ended): LedgerRecord {
  const { rule, action, count: matched, selection, referredTo } = plan
  const { removed, left, heldBack } = ended
  const table = renderTableName(selection.table)
  return {
    stream: `audit/cleanup-${database}.jsonl`,
    row: {
      ...{ type: "cleanup", at: now.toISOString(), slot: slot.toISOString(), rule, action, table },
      ...{ matched, removed, left, heldBack, referredTo, run },
      ...(ended.failure !== undefined && { failed: true }),
    },
  }
}
