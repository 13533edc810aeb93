import type { Client } from "pg"
import { z } from "zod"
import { errorText } from "../core/error-text.ts"
import type { Log } from "../core/log.ts"
import { formatCount, formatCounted } from "../core/size.ts"
import { renderTableName } from "../postgres/name.ts"
import { retryConflicts, withTransaction } from "../postgres/transaction.ts"
import { type Mark, marksOf } from "./mark.ts"
import { newParameters } from "./parameters.ts"
import { type DecayPlan, planDecay } from "./plan.ts"
import type { PreparedRule } from "./prepared.ts"
import {
  boundaryStatement,
  differsSql,
  type KeyRange,
  markStatement,
  type Statement,
  writeStatement,
} from "./statements.ts"
import { cell, considered, type Span, stepsSql, valueSql } from "./value-sql.ts"
import {
  judgeSlot,
  leaveWatermark,
  lockWatermark,
  moveWatermark,
  type Question,
  readWatermarks,
  type Verdict,
} from "./watermark.ts"

export type DecayLimits = {
  /** How long one statement waits for a lock, and how long it may take. */
  lockTimeoutMs: number
  statementTimeoutMs: number
  /** How often the whole is tried when another session was in the way, and the first wait between; it doubles. */
  attempts: number
  retryWaitMs: number
}

export const usualLimits: DecayLimits = {
  lockTimeoutMs: 10_000,
  statementTimeoutMs: 600_000,
  attempts: 4,
  retryWaitMs: 1000,
}

export type DecayOrder = Omit<Question, "watermarks"> & {
  /** In the exclusive session, outside of a transaction; `ops.decay_watermark` exists. */
  client: Client
  runId: string
  now: Date
  log: Log
  signal: AbortSignal
  limits?: DecayLimits
  /** Rows that may change at most; more are refused. */
  limit?: number | undefined
}

/** What really changed. Counts of rows. */
export type Applied = {
  changed: number
  /** By threshold, rows that fell to it. */
  crossed: number[]
  /** Rows of which a threshold set columns. */
  marked: number
}

export type DecayOutcome =
  | { kind: "applied"; verdict: Extract<Verdict, { kind: "apply" }>; plan: DecayPlan; applied: Applied }
  | Exclude<Verdict, { kind: "apply" }>

/** Closed forms look again at what other sessions wrote meanwhile, so often at most. */
const maxPasses = 3

/**
 * Applies one rule for the steps that are due: all of it or nothing, in one transaction with the watermark, which is locked first. Rows
 * are written in ranges of the primary key, and what was written is read back before it counts.
 */
export async function applyDecay(rule: PreparedRule, order: DecayOrder): Promise<DecayOutcome> {
  const { client, log, signal, limits = usualLimits } = order
  const onRetry = (error: unknown) => log.info(`${rule.config.name}: trying again: ${errorText(error)}`)
  const outcome = await retryConflicts({ times: limits.attempts, waitMs: limits.retryWaitMs, signal, onRetry }, () =>
    withTransaction(client, limits, () => applyOnce(rule, order)),
  )
  if (outcome.kind === "applied") await confirmWatermark(rule, order, outcome.verdict.through)
  return outcome
}

async function applyOnce(rule: PreparedRule, order: DecayOrder): Promise<DecayOutcome> {
  const { client, log } = order
  await lockWatermark(client, rule.config.name)
  const verdict = judgeSlot(rule, { ...order, watermarks: await readWatermarks(client) })
  if (verdict.kind !== "apply") {
    await leaveWatermark(client, rule.config.name)
    return verdict
  }
  const plan = await planDecay(client, rule, verdict.span)
  refuseAbove(order.limit, plan)
  log.info(`${rule.config.name}: ${formatCounted(plan.changed, "row")} of ${formatCount(plan.considered)} to change`)
  const applied = await write(rule, verdict.span, plan, order)
  applied.marked = await mark(rule, order)
  await moveWatermark(client, rule, { ...order, through: verdict.through })
  return { kind: "applied", verdict, plan, applied }
}

/** Throws when the plan would change more rows than whoever started the run wants: all of a rule is applied, or nothing. */
export function refuseAbove(limit: number | undefined, { changed }: Pick<DecayPlan, "changed">): void {
  if (limit === undefined || changed <= limit) return
  throw new Error(
    `nothing was changed: it would change ${formatCounted(changed, "row")}, and --limit is ${formatCount(limit)}: look at the plan (--dry-run), then start with a higher one`,
  )
}

const writtenRow = z.object({
  picked: z.number(),
  written: z.number(),
  other: z.number(),
  moved: z.number(),
  crossed: z.array(z.number()),
})

async function write(rule: PreparedRule, span: Span, plan: DecayPlan, order: DecayOrder): Promise<Applied> {
  const applied: Applied = { changed: 0, crossed: rule.config.thresholds.map(() => 0), marked: 0 }
  let writtenFirst = 0 // a later pass may write a row again
  for (let pass = 1; ; pass++) {
    await eachRange(rule, order, async (range) => {
      const result = writtenRow.parse(await one(order.client, writeStatement(rule, span, range, newParameters())))
      refuseInterference(rule, result)
      applied.changed += result.written
      applied.crossed = applied.crossed.map((count, index) => count + (result.crossed[index] ?? 0))
      tell(rule, plan, applied.changed - result.written, applied.changed, order)
    })
    const left = rule.base ? await countLeft(rule, span, order.client) : await countReset(rule, span, order.client)
    if (pass === 1) writtenFirst = applied.changed
    if (left === 0) break
    if (!rule.base) throw new Error(reset(rule, left))
    if (pass === maxPasses) {
      throw new Error(
        `${formatCounted(left, "row")} still had another value after ${maxPasses} passes; all was rolled back: a trigger of ${renderTableName(rule.table)} undoes the change (${triggersOf(rule)}), or another session rewrites the rows all the time`,
      )
    }
  }
  const found = await countOwn(rule, order.client)
  if (found >= writtenFirst) return applied
  throw new Error(
    `${formatCounted(writtenFirst, "row")} were written and ${formatCount(found)} of them found afterwards; all was rolled back: look at the triggers of ${renderTableName(rule.table)} (${triggersOf(rule)})`,
  )
}

/** A line for each tenth of the plan. */
function tell(
  rule: PreparedRule,
  { changed: planned }: DecayPlan,
  before: number,
  now: number,
  { log }: DecayOrder,
): void {
  const tenth = (count: number) => Math.floor((count * 10) / Math.max(1, planned))
  if (tenth(now) > tenth(before))
    log.info(`${rule.config.name}: ${formatCount(now)} of ${formatCounted(planned, "row")} changed`)
}

function refuseInterference(rule: PreparedRule, { picked, written, other, moved }: z.output<typeof writtenRow>): void {
  if (moved > 0) throw new Error(reset(rule, moved))
  if (written === picked && other === 0) return
  const what = written < picked ? picked - written : other
  throw new Error(
    `a trigger of ${renderTableName(rule.table)} keeps ${formatCounted(what, "row")} from getting the new value; all was rolled back: let it pass updates of ${rule.column.name} (${triggersOf(rule)})`,
  )
}

function reset(rule: PreparedRule, rows: number): string {
  const { table, since, column } = rule
  return `an update of ${renderTableName(table)}.${column.name} moves ${since.name}, from which the age is counted, in ${formatCounted(rows, "row")}; all was rolled back: let the trigger leave out updates of ${column.name} (before update of <the other columns>), or use another since (${triggersOf(rule)})`
}

function triggersOf({ table }: PreparedRule): string {
  const names = table.triggers.filter(({ on }) => on.includes("update")).map(({ name }) => name)
  return names.length > 0 ? `its triggers on update: ${names.join(", ")}` : "it has no trigger of its own on update"
}

/** Rows of the rule that do not have the value that they should have at the slot. */
async function countLeft(rule: PreparedRule, span: Span, client: Client): Promise<number> {
  const parameters = newParameters()
  const { from, where } = considered(rule)
  const fresh = valueSql(rule, span, parameters)
  return counted(
    client,
    `select count(*)::float8 as count from ${from} where ${where} and ${differsSql(rule, fresh)}`,
    parameters.values,
  )
}

const own = "item.xmin = pg_current_xact_id()::xid"

/** Rows that this transaction wrote. */
async function countOwn(rule: PreparedRule, client: Client): Promise<number> {
  return counted(client, `select count(*)::float8 as count from ${considered(rule).from} where ${own}`, [])
}

/** Rows that this transaction wrote, and whose age begins anew. */
async function countReset(rule: PreparedRule, { to }: Span, client: Client): Promise<number> {
  const parameters = newParameters()
  const { from, where } = considered(rule)
  const steps = stepsSql(rule, { from: undefined, to }, parameters.bind)
  const { ceiling } = rule.config
  const value = `${cell(rule.column.name)}::double precision`
  // A value that was brought down to the ceiling may be of any age.
  const lower = ceiling === undefined ? "true" : `${value} < ${parameters.bind(ceiling, "double precision")}`
  return counted(
    client,
    `select count(*)::float8 as count from ${from} where ${own} and ${where} and ${lower} and ${steps} = 0`,
    parameters.values,
  )
}

async function counted(client: Client, text: string, values: unknown[]): Promise<number> {
  return z.object({ count: z.number() }).parse(await one(client, { text, values })).count
}

const markedRow = writtenRow.pick({ picked: true, written: true, moved: true })

async function mark(rule: PreparedRule, order: DecayOrder): Promise<number> {
  let marked = 0
  for (const threshold of marksOf(rule)) marked += await markOne(rule, threshold, order)
  return marked
}

async function markOne(rule: PreparedRule, threshold: Mark, order: DecayOrder): Promise<number> {
  let marked = 0
  await eachRange(rule, order, async (range) => {
    const result = markedRow.parse(await one(order.client, markStatement(rule, threshold, range, newParameters())))
    if (result.moved > 0) throw new Error(reset(rule, result.moved))
    if (result.written < result.picked) {
      throw new Error(
        `a trigger of ${renderTableName(rule.table)} keeps rows under ${threshold.below} from being marked; all was rolled back (${triggersOf(rule)})`,
      )
    }
    marked += result.written
  })
  return marked
}

/** Calls `fn` for one range of the primary key after the other, each with at most `batchRows` rows as the table now is. */
async function eachRange(
  rule: PreparedRule,
  { client, signal }: DecayOrder,
  fn: (range: KeyRange) => Promise<void>,
): Promise<void> {
  let after: string[] | undefined
  for (;;) {
    signal.throwIfAborted()
    const { text, values } = boundaryStatement(rule, { after }, rule.config.batchRows, newParameters())
    const { rows } = await client.query(text, values)
    const through = z.array(z.object({ key: z.array(z.string()) })).parse(rows)[0]?.key
    await fn({ after, through })
    if (!through) return
    after = through
  }
}

async function one(client: Client, { text, values }: Statement): Promise<unknown> {
  const { rows } = await client.query(text, values)
  return rows[0]
}

/** What was committed is read again: an answer that said so is not enough. */
async function confirmWatermark(rule: PreparedRule, { client, runId }: DecayOrder, through: Date): Promise<void> {
  const found = (await readWatermarks(client)).find(({ rule: name }) => name === rule.config.name)
  if (found?.runId === runId && found.appliedThrough.getTime() === through.getTime()) return
  throw new Error(
    `the watermark of ${JSON.stringify(rule.config.name)} is not where this run put it, at ${through.toISOString()}: somebody else moved it`,
  )
}
