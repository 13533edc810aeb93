import type { Client } from "pg"
import type { DecayConfig } from "../config/decay-schema.ts"
import { errorText } from "../core/error-text.ts"
import type { Finding } from "../core/finding.ts"
import type { Log } from "../core/log.ts"
import type { Ledger, LedgerRecord } from "../ledger/ledger.ts"
import type { PostgresAddress } from "../postgres/address.ts"
import { withClient } from "../postgres/connect.ts"
import { withExclusiveSession } from "../postgres/exclusive.ts"
import { ensureOpsTables } from "../postgres/ops-schema.ts"
import { futureSlotProblem, refuseFutureSlot } from "../postgres/server-clock.ts"
import { withTransaction } from "../postgres/transaction.ts"
import { applyDecay, refuseAbove, usualLimits } from "./apply.ts"
import { auditRecords, type Recorded, readRecorded } from "./audit.ts"
import { describeWhen, judgeFailure, judgeOutcome, judgePlan } from "./judge.ts"
import { renderSection } from "./page.ts"
import { planDecay } from "./plan.ts"
import type { PreparedRule } from "./prepared.ts"
import { type DecayRule, parseRule } from "./rule.ts"
import { prepareRule } from "./validate.ts"
import { judgeSlot, readWatermarks } from "./watermark.ts"

export type DecayTarget = { database: string; address: PostgresAddress; rules: readonly DecayConfig[] }

export type RunOrder = {
  slot: Date
  now: Date
  runId: string
  ledger: Pick<Ledger, "read">
  /** Of the rules, the one to apply; all where absent. */
  only: string | undefined
  catchUp: boolean
  /** Rows that a rule may change at most. */
  limit: number | undefined
  /** A person runs it on a machine of their own: a dry run then shows keys of rows. */
  byHand: boolean
  lockWaitMs: number
  log: Log
  signal: AbortSignal
}

/** Findings, rows for the ledger, the sections of the page, and the names of rules that were neither applied nor done before. */
export type RuleReports = { findings: Finding[]; records: LedgerRecord[]; sections: string[]; failed: string[] }

type OneReport = Omit<RuleReports, "failed">

const applicationName = "nightshift/decay"

/** Problems of the rules of one database, held against it where it can be reached. Changes nothing; throws what is no problem of a rule. */
export async function checkRules(
  { database, address, rules }: DecayTarget,
  { slot, signal }: Pick<RunOrder, "slot" | "signal">,
): Promise<string[]> {
  const parsed = rules.map((config, index) => parseRule(database, index, config))
  const problems = parsed.flatMap((one) => one.problems)
  const sound = parsed.filter((one) => one.problems.length === 0)
  await withClient(address, { applicationName, signal }, async (client) => {
    const problem = await futureSlotProblem(client, slot)
    if (problem !== undefined) problems.push(`databases.${database}: ${problem}`)
    for (const { rule } of sound) problems.push(...(await prepareRule(client, rule)).problems)
  })
  return problems
}

/** Applies the rules of one database, one after the other; one that fails leaves the others to go on. */
export async function applyRules(target: DecayTarget, order: RunOrder): Promise<RuleReports> {
  const recorded = await recall(target, order)
  const exclusive = { ...target, ...order, job: "decay" }
  return withExclusiveSession(exclusive, async (client, signal) => {
    await refuseFutureSlot(client, order.slot)
    await ensureOpsTables(client, ["decay_watermark"])
    return eachRule(target, { ...order, signal }, async (found) => {
      const rule = await prepare(client, found)
      const outcome = await applyDecay(rule, { ...order, recorded, ruleNames: namesOf(target), client, signal })
      const findings = judgeOutcome({ ...target, rule }, outcome)
      const records = auditRecords({ ...order, ...target, rule: rule.config.name }, outcome)
      if (outcome.kind !== "applied") return { findings, records, sections: [] }
      const { plan, applied, verdict } = outcome
      return {
        findings,
        records,
        sections: [renderSection({ ...target, rule, plan, applied, showsKeys: false, lines: describeWhen(verdict) })],
      }
    })
  })
}

/** Says what `applyRules` would do. Reads only, and makes nothing, not even the schema `ops`. */
export async function rehearseRules(target: DecayTarget, order: RunOrder): Promise<RuleReports> {
  const recorded = await recall(target, order)
  const { signal } = order
  return withClient(target.address, { applicationName, signal }, (client) =>
    eachRule(target, order, async (found) => {
      const rule = await prepare(client, found)
      return withTransaction(client, { ...usualLimits, readOnly: true }, async () => {
        const watermarks = await readWatermarks(client)
        const verdict = judgeSlot(rule, { ...order, recorded, watermarks, ruleNames: namesOf(target) })
        const plan = verdict.kind === "apply" ? await planDecay(client, rule, verdict.span) : undefined
        if (plan) refuseAbove(order.limit, plan)
        const findings = judgePlan({ ...target, rule }, verdict, plan)
        if (verdict.kind !== "apply" || !plan) return { findings, records: [], sections: [] }
        const lines = ["dry run: nothing was changed", ...describeWhen(verdict)]
        return {
          findings,
          records: [],
          sections: [renderSection({ ...target, rule, plan, applied: undefined, showsKeys: order.byHand, lines })],
        }
      })
    }),
  )
}

/** Says of all rules of a database that could not be begun why. */
export function failRules({ database, rules }: DecayTarget, only: string | undefined, error: unknown): Finding[] {
  const wanted = rules.filter(({ name }) => only === undefined || name === only)
  return wanted.map((config) => judgeFailure({ database, rule: { config } }, error, usualLimits))
}

/** What the ledger knows guards against a loss that is rare: where it cannot be read, the run goes on. */
async function recall({ database }: DecayTarget, { ledger, log }: RunOrder): Promise<Recorded> {
  try {
    return await readRecorded(ledger, database)
  } catch (error) {
    log.warn(`cannot see in the ledger whether rules were applied before: ${errorText(error)}`)
    return new Map()
  }
}

function namesOf({ rules }: DecayTarget): string[] {
  return rules.map(({ name }) => name)
}

async function eachRule(
  target: DecayTarget,
  { only, signal }: RunOrder,
  fn: (rule: DecayRule) => Promise<OneReport>,
): Promise<RuleReports> {
  const reports: RuleReports = { findings: [], records: [], sections: [], failed: [] }
  for (const [index, config] of target.rules.entries()) {
    if (only !== undefined && config.name !== only) continue
    const { rule } = parseRule(target.database, index, config)
    try {
      const { findings, records, sections } = await fn(rule)
      reports.findings.push(...findings)
      reports.records.push(...records)
      reports.sections.push(...sections)
      if (findings.some(({ outcome }) => outcome === "fail")) reports.failed.push(config.name)
    } catch (error) {
      reports.findings.push(judgeFailure({ database: target.database, rule }, error, usualLimits))
      reports.failed.push(config.name)
      if (signal.aborted) break
    }
  }
  return reports
}

/** The rules were sound when the run began; what became wrong since then is a failure of this one. */
async function prepare(client: Client, rule: DecayRule): Promise<PreparedRule> {
  const { prepared, problems } = await prepareRule(client, rule)
  if (prepared) return prepared
  throw new Error(`the database is not any more what it was when the run began: ${problems.join("; ")}`)
}
