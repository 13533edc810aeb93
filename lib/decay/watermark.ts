import type { Client } from "pg"
import { z } from "zod"
import { formatCounted } from "../core/size.ts"
import { renderTableName } from "../postgres/name.ts"
import { missingTables } from "../postgres/ops-schema.ts"
import type { Recorded } from "./audit.ts"
import type { PreparedRule } from "./prepared.ts"
import { stepAt, stepBegin, stepMsOf } from "./slots.ts"
import type { Span } from "./value-sql.ts"

/** What the settings of a rule were that decide about values, by name. */
export type Definition = Record<string, unknown>

/** Up to when a rule was applied, as `ops.decay_watermark` has it. */
export type Watermark = { rule: string; appliedThrough: Date; definition: Definition; runId: string }

/** What is to be done at a slot. `through` is where the last whole step before it began. */
export type Verdict =
  | { kind: "apply"; span: Span; through: Date; steps: number | undefined; notes: string[] }
  | { kind: "done"; through: Date; reason: string }
  | { kind: "refuse"; reason: string }

/** The part of a rule's settings that decides about values, in the order and form in which it is kept. Pure. */
export function definitionOf({ config, table }: Pick<PreparedRule, "config" | "table">): Definition {
  const { column, since, base, halfLife, linear, steps, expression, floor, ceiling, where, every, timezone } = config
  const settings = {
    ...{ table: renderTableName(table), column, since, base },
    halfLife: halfLife && "ms" in halfLife ? halfLife.ms : halfLife,
    linear: linear && { amount: linear.amount, every: linear.every.ms },
    steps: steps?.map(({ after, share }) => ({ after: after.ms, share })),
    ...{ expression, floor, ceiling, where, every: every.ms, timezone },
  }
  return JSON.parse(JSON.stringify(settings))
}

export type Question = {
  slot: Date
  /** Of this database, this rule's own among them. */
  watermarks: readonly Watermark[]
  /** Names of all rules of the database. */
  ruleNames: readonly string[]
  catchUp: boolean
  /** What the ledger says of the rules. */
  recorded: Recorded
}

/** Decides by the watermarks whether, and for which steps, a rule is applied. Pure. */
export function judgeSlot(rule: PreparedRule, { slot, watermarks, ruleNames, catchUp, recorded }: Question): Verdict {
  const { grid, config } = rule
  const to = stepAt(grid, slot)
  const through = stepBegin(grid, to)
  const last = watermarks.find(({ rule: name }) => name === config.name)
  if (!last) return firstTime(rule, { to, through, watermarks, ruleNames, recorded })
  const isKnown = last.definition.table !== undefined // else the watermark was put there by hand
  const changed = isKnown ? changedSettings(last.definition, definitionOf(rule)) : []
  const from = stepAt(grid, last.appliedThrough)
  if (to < from) {
    const reason = `the slot ${slot.toISOString()} lies before ${last.appliedThrough.toISOString()}, up to which the rule was applied: values would rise again. Correct the clock, or the slot that was given; if the watermark is wrong: ${moveBack(config.name)}`
    return { kind: "refuse", reason }
  }
  const moved = changed.filter((name) => name === "table" || name === "column")
  if (!rule.base && moved.length > 0) {
    const reason = `the rule was about ${last.definition.table}.${last.definition.column} before, and its watermark says nothing about another column: give the rule a name of its own`
    return { kind: "refuse", reason }
  }
  const isSame = changed.length === 0 || !rule.base
  if (to === from && isSame) {
    return {
      kind: "done",
      through: last.appliedThrough,
      reason: `already applied through ${last.appliedThrough.toISOString()} by run ${last.runId}`,
    }
  }
  const lateMs = (to - from) * stepMsOf(grid)
  if (lateMs > config.maxCatchUp.ms && !catchUp) {
    const reason = `${formatCounted(to - from, "step")} are due since ${last.appliedThrough.toISOString()}, more than ${config.maxCatchUp.text}: look at the plan with --dry-run --catch-up, then run it with --catch-up`
    return { kind: "refuse", reason }
  }
  const notes =
    changed.length > 0
      ? [
          `settings changed since the last run: ${changed.join(", ")}${rule.base ? "" : " (they count for these steps)"}`,
        ]
      : []
  return { kind: "apply", span: { from: rule.base ? undefined : from, to }, through, steps: to - from, notes }
}

type First = Pick<Question, "watermarks" | "ruleNames" | "recorded"> & { to: number; through: Date }

/** Values that nothing decayed yet are those of the rows' own times, and fall from there. */
function firstTime(rule: PreparedRule, { to, through, watermarks, ruleNames, recorded }: First): Verdict {
  const { table, column } = definitionOf(rule)
  const former = watermarks.find(({ rule: name, definition }) => {
    return !ruleNames.includes(name) && definition.table === table && definition.column === column
  })
  if (former && !rule.base) {
    const rename = `update ops.decay_watermark set rule = ${literal(rule.config.name)} where rule = ${literal(former.rule)}`
    const reason = `it would count the age of every row again: the column decayed under the name ${JSON.stringify(former.rule)} through ${former.appliedThrough.toISOString()}, which no rule has any more. If it is the same rule: ${rename}; if not: delete from ops.decay_watermark where rule = ${literal(former.rule)}`
    return { kind: "refuse", reason }
  }
  const lost = rule.base ? undefined : recorded.get(rule.config.name)
  if (lost) {
    const put = `insert into ops.decay_watermark (rule, applied_through, definition, run_id) values (${literal(rule.config.name)}, '${lost.through.toISOString()}', '{}', 'by hand')`
    const reason = `it would count the age of every row again: the ledger says that run ${lost.runId} applied the rule through ${lost.through.toISOString()}, and the database has no watermark of it, as after a restore without the schema ops. Put it back with the time up to which the values are decayed: ${put}`
    return { kind: "refuse", reason }
  }
  const notes = [`first run: the age of each row counts from its ${rule.since.name}`]
  return { kind: "apply", span: { from: undefined, to }, through, steps: undefined, notes }
}

function moveBack(name: string): string {
  return `update ops.decay_watermark set applied_through = '<time>' where rule = ${literal(name)}`
}

/** For statements that are shown to people; what is run takes parameters. */
function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

function changedSettings(before: Definition, after: Definition): string[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])]
  return names.filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]))
}

const rows = z.array(
  z.object({
    rule: z.string(),
    through_ms: z.number(),
    definition: z.string().transform((text): Definition => {
      const parsed = z.record(z.string(), z.unknown()).safeParse(parseJson(text))
      return parsed.success ? parsed.data : {}
    }),
    run_id: z.string(),
  }),
)

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // written by hand: every setting then counts as changed
  }
}

/** All watermarks of the database; none where the table is not there yet. */
export async function readWatermarks(client: Client): Promise<Watermark[]> {
  if ((await missingTables(client, ["decay_watermark"])).length > 0) return []
  const result = await client.query(
    `select rule, extract(epoch from applied_through)::float8 * 1000 as through_ms, definition, run_id
       from ops.decay_watermark where isfinite(applied_through)`,
  )
  return rows.parse(result.rows).map((row) => ({
    rule: row.rule,
    appliedThrough: new Date(Math.round(row.through_ms)),
    definition: row.definition,
    runId: row.run_id,
  }))
}

/** Takes the rule's watermark for this transaction, whether or not there is one: whoever comes second waits here, and then sees what the first did. */
export async function lockWatermark(client: Client, rule: string): Promise<void> {
  await client.query(
    `insert into ops.decay_watermark (rule, applied_through, definition, run_id) values ($1, '-infinity', '', '')
       on conflict (rule) do nothing`,
    [rule],
  )
  await client.query("select from ops.decay_watermark where rule = $1 for update", [rule])
}

/** Takes back what `lockWatermark` put in place of a watermark, when the rule is not applied. */
export async function leaveWatermark(client: Client, rule: string): Promise<void> {
  await client.query("delete from ops.decay_watermark where rule = $1 and applied_through = '-infinity'", [rule])
}

export type Step = { through: Date; runId: string; now: Date }

/** Moves the watermark, in the transaction in which the values are changed. */
export async function moveWatermark(client: Client, rule: PreparedRule, { through, runId, now }: Step): Promise<void> {
  const { rowCount } = await client.query(
    "update ops.decay_watermark set applied_through = $2, definition = $3, run_id = $4, changed_at = $5 where rule = $1",
    [rule.config.name, through, JSON.stringify(definitionOf(rule)), runId, now],
  )
  if (rowCount !== 1)
    throw new Error(
      `the watermark of ${JSON.stringify(rule.config.name)} vanished from ops.decay_watermark while it was locked`,
    )
}
