import type { Client } from "pg"
import { z } from "zod"
import { formatCounted } from "../core/size.ts"
import { quoteName, quoteTable, renderTableName } from "../postgres/name.ts"
import { withTransaction } from "../postgres/transaction.ts"
import { renderAge } from "./age.ts"
import { capProblems, shareOf } from "./cap.ts"
import { type Branch, countBranchSql } from "./cascade.ts"
import type { CascadeCount, CleanupPlan, PlannedPartition, RowSelection, Target } from "./contract.ts"
import { countRows } from "./count.ts"
import { explain, largeOnes, lookupRefusal, scanRefusal, unindexedKeys } from "./gate.ts"
import { countIn, oldPartitions } from "./old-partitions.ts"
import { newParameters } from "./parameters.ts"
import { removalRefusals } from "./partition-refusals.ts"
import { orderOf, type PreparedRule, relatedTables } from "./prepare.ts"
import { isOfPartitions, isRemoving } from "./rule.ts"
import { parentKey, twinsOf } from "./select-rows.ts"

export type PlanOptions = {
  slot: Date
  /** A person said that it may take more than the caps allow. */
  allowLarge: boolean
  /** Rows that this run takes at most. */
  limit?: number
  /** Whether keys of a few rows are read: for the eyes of who runs a dry run by hand. */
  showsKeys: boolean
}

const countTimeoutMs = 10 * 60_000
const explainedRows = 1000
const sampledKeys = 5

/** What a rule would do now. Reads in one snapshot of its own, and changes nothing. */
export async function planRule(client: Client, rule: PreparedRule, options: PlanOptions): Promise<CleanupPlan> {
  const transaction = { isolation: "repeatable read", readOnly: true, statementTimeoutMs: countTimeoutMs } as const
  return withTransaction(client, transaction, async () => {
    await client.query("set local jit = off") // compiling the conditions takes longer than counting with them
    const hidden = hiddenRows(rule)
    if (hidden.length > 0) return emptyPlan(rule, hidden)
    return isOfPartitions(rule.action) ? planPartitions(client, rule, options) : planRows(client, rule, options)
  })
}

/** A role that is not shown all rows would find fewer than there are, or take the child of a hidden parent for an orphan. */
function hiddenRows(rule: PreparedRule): string[] {
  const hidden = [rule.table, ...relatedTables(rule)].filter(({ hidesRows }) => hidesRows)
  return [...new Set(hidden.map(renderTableName))].map(
    (name) =>
      `row security hides rows of ${name} from this role: let writeUrl connect as the table's owner, or run: alter role <role> bypassrls`,
  )
}

function emptyPlan(rule: PreparedRule, refusals: string[]): CleanupPlan {
  return {
    ...frame(rule, []),
    ...{ count: 0, tableRows: 0, share: 0, sampleKeys: [], cascades: [], heldBack: 0, referredTo: 0 },
    ...{ refusals, notes: [], explain: { statement: "", lines: [] } },
  }
}

function frame(
  rule: PreparedRule,
  targets: Target[],
): Pick<CleanupPlan, "rule" | "action" | "selection" | "cutoff" | "set"> {
  const { config, action, table, base, isFree, isNotHeld, values, hasHolds, cutoff } = rule
  const selection: RowSelection = {
    table,
    alias: "t",
    condition: `(${base}\n and ${isFree}\n and ${isNotHeld})`,
    withoutHolds: `(${base}\n and ${isFree})`,
    values,
    orderBy: orderOf(rule),
    orderColumns: rule.orderColumns,
    walk: config.orphans || config.duplicates ? "listed" : "ordered",
    targets,
    hasHolds,
    asksElsewhere: /\(|\bselect\b/i.test(config.where ?? ""),
    ...(config.duplicates && { twins: twinsOf(rule, config.duplicates) }),
  }
  return { rule: config.name, action, selection, ...(cutoff && { cutoff }), ...(config.set && { set: config.set }) }
}

async function planRows(client: Client, rule: PreparedRule, options: PlanOptions): Promise<CleanupPlan> {
  const { config, action, table, branches } = rule
  const found = await countTargets(client, rule)
  const { rows: tableRows, isEstimate } = await countRows(client, table)
  const parts = frame(rule, found.targets)
  const cascades = isRemoving(action) && found.count > 0 ? await countCascades(client, rule, parts.selection) : []
  const plan: CleanupPlan = {
    ...parts,
    ...found.total,
    tableRows,
    share: shareOf(found.count, tableRows),
    sampleKeys: options.showsKeys ? await sampleKeys(client, parts.selection) : [],
    cascades: cascades.map(({ tableRows: _, ...cascade }) => cascade).filter(({ count }) => count > 0),
    refusals: [],
    notes: isEstimate ? [`the table's ${formatCounted(tableRows, "row")} are the planner's estimate`] : [],
    explain: { statement: "", lines: [] },
  }
  if (action === "report") return plan
  const { refusals, explained } = await gate(client, rule, parts.selection)
  plan.explain = explained
  const keys = isRemoving(action) ? unindexedKeys(branches) : []
  const tooMuch = capProblems({
    rows: Math.min(plan.count, options.limit ?? plan.count),
    tableRows,
    cascaded: cascades
      .filter(({ effect }) => effect === "deleted")
      .map((one) => ({ table: renderTableName(one), rows: one.count, tableRows: one.tableRows })),
    ...config,
  })
  plan.notes.push(...triggerNotes(rule))
  if (plan.count === 0) plan.notes.push(...refusals, ...keys)
  else plan.refusals.push(...refusals, ...keys, ...capRefusals(tooMuch, options, plan.notes))
  return plan
}

function capRefusals(problems: string[], { allowLarge }: PlanOptions, notes: string[]): string[] {
  if (!allowLarge) return problems.map((problem) => `${problem}: look at the plan, then start with --allow-large`)
  notes.push(...problems.map((problem) => `${problem}; allowed by --allow-large`))
  return []
}

function triggerNotes({ table, action }: PreparedRule): string[] {
  const event = isRemoving(action) ? "delete" : "update"
  const names = table.triggers.filter(({ on }) => on.includes(event)).map(({ name }) => name)
  return names.length > 0 ? [`each row runs the table's own ${event} triggers: ${names.join(", ")}`] : []
}

const targetRow = z.object({
  oid: z.string(),
  schema: z.string(),
  name: z.string(),
  count: z.number(),
  heldBack: z.number(),
  referredTo: z.number(),
  oldest: z.string().nullable(),
  newest: z.string().nullable(),
})

type Found = {
  targets: Target[]
  count: number
  total: Pick<CleanupPlan, "count" | "heldBack" | "referredTo" | "oldest" | "newest">
}

/** What matches in each table that holds rows, what does not because of holds and keys, and the ages in between. */
async function countTargets(client: Client, rule: PreparedRule): Promise<Found> {
  const { config, table, base, isFree, isNotHeld } = rule
  const { column, timezone } = config
  const parameters = newParameters(rule.values)
  const age = (end: "min" | "max") =>
    column !== undefined && rule.cutoff
      ? renderAge({ table, column, timezone }, `${end}_age`, parameters)
      : "null::text"
  const ages = column !== undefined && rule.cutoff ? `t.${quoteName(column)}` : "null::text"
  const matching = `filter (where is_free and is_not_held)`
  const { rows } = await client.query(
    `select c.oid::text, n.nspname as schema, c.relname as name, count, held as "heldBack", referred as "referredTo",
            ${age("min")} as oldest, ${age("max")} as newest
       from (select tableoid, count(*) ${matching}::float8 as count,
                    count(*) filter (where is_free and not is_not_held)::float8 as held,
                    count(*) filter (where not is_free)::float8 as referred,
                    min(age) ${matching} as min_age, max(age) ${matching} as max_age
               from (select t.tableoid, ${isFree} as is_free, ${isNotHeld} as is_not_held, ${ages} as age
                       from ${quoteTable(table)} t where ${base} offset 0) matched
              group by tableoid) counted
       join pg_catalog.pg_class c on c.oid = counted.tableoid
       join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      order by min_age, n.nspname, c.relname`,
    parameters.values,
  )
  const found = z.array(targetRow).parse(rows)
  const sum = (field: "count" | "heldBack" | "referredTo") => found.reduce((total, row) => total + row[field], 0)
  const times = (field: "oldest" | "newest") => found.flatMap((row) => row[field] ?? []).sort()
  const [oldest, newest] = [times("oldest").at(0), times("newest").at(-1)]
  return {
    targets: found
      .filter(({ count }) => count > 0)
      .map(({ oid, schema, name, count }) => ({ oid, schema, name, count })),
    count: sum("count"),
    total: {
      ...{ count: sum("count"), heldBack: sum("heldBack"), referredTo: sum("referredTo") },
      ...(oldest !== undefined && { oldest }),
      ...(newest !== undefined && { newest }),
    },
  }
}

type CountedCascade = CascadeCount & { tableRows: number }
const effects = { cascade: "deleted", "set null": "set null", "set default": "set default" } as const

async function countCascades(
  client: Client,
  { table, branches }: PreparedRule,
  selection: RowSelection,
): Promise<CountedCascade[]> {
  const counted: CountedCascade[] = []
  const descend = async (level: readonly Branch[], path: readonly Branch[]): Promise<void> => {
    for (const branch of level) {
      const { key } = branch
      if (key.onDelete === "no action" || key.onDelete === "restrict") continue
      const here = [...path, branch]
      const { rows } = await client.query(countBranchSql(table, selection.condition, here), selection.values)
      const { count } = z.object({ count: z.number() }).parse(rows[0])
      const { schema, name } = branch.table
      const { rows: tableRows } = await countRows(client, branch.table)
      counted.push({ schema, name, through: key.name, effect: effects[key.onDelete], count, tableRows })
      if (count > 0) await descend(branch.below, here)
    }
  }
  await descend(branches, [])
  return counted
}

async function sampleKeys(client: Client, { table, condition, values, orderBy }: RowSelection): Promise<string[]> {
  if (table.primaryKey.length === 0) return []
  const key = table.primaryKey.map((column) => `t.${quoteName(column)}::text`).join(`, `)
  const { rows } = await client.query(
    `select array_to_string(array[${key}], ', ') as key from ${quoteTable(table)} t where ${condition} order by ${orderBy.join(", ")} limit ${sampledKeys}`,
    values,
  )
  return z
    .array(z.object({ key: z.string() }))
    .parse(rows)
    .map(({ key }) => key)
}

/** No batch may read a large table from end to end. Asked for the largest of the tables that hold rows of the rule. */
async function gate(client: Client, rule: PreparedRule, selection: RowSelection) {
  const target = selection.targets.toSorted((a, b) => b.count - a.count)[0] ?? selection.table
  const from = `from only ${quoteTable(target)} t`
  const ordered = selection.walk === "ordered"
  const statement = ordered
    ? `select t.ctid ${from} where ${selection.condition}
        order by ${selection.orderBy.join(", ") || "t.ctid"} limit ${explainedRows} for update of t skip locked`
    : `select t.ctid ${from} where ${isListed(selection)} and ${selection.condition} for update of t skip locked`
  // Of a list the question is whether an index is there at all: for few rows of a table that is just large enough, reading it may be quicker.
  if (!ordered) await client.query("set local enable_seqscan = off")
  const { scanned, ...explained } = await explain(client, statement, selection.values)
  if (!ordered) await client.query("set local enable_seqscan = on")
  const refusals = (await largeOnes(client, scanned)).map((large) => scanRefusal(large, missingIndex(rule, large)))
  return { refusals: [...new Set([...refusals, ...lookups(rule)])], explained }
}

/** Tables in which the rule looks for another row to each of its own. */
function lookups({ config, table, parent }: PreparedRule): string[] {
  if (config.duplicates) return lookupRefusal(table, config.duplicates.by)
  if (parent && config.orphans) return lookupRefusal(parent, [parentKey(parent, config.orphans)])
  return []
}

/** Stands for the keys that a batch takes from the list. */
function isListed({ table }: RowSelection): string {
  const columns = table.primaryKey
  if (columns.length === 0) return "t.ctid = any(array_fill('(0,1)'::tid, '{100}'))"
  const types = columns.map((name) => table.columns.find((column) => column.name === name)?.type ?? "text")
  const nulls = types.map((type) => `array_fill(null::${type}, '{100}')`)
  return `(${columns.map((column) => `t.${quoteName(column)}`).join(", ")}) in (select * from unnest(${nulls.join(", ")}))`
}

/** The columns that an index must have for the rule not to read this table from end to end. */
function missingIndex({ config, table, parent, branches }: PreparedRule, large: { schema: string; name: string }) {
  const is = (one: { schema: string; name: string }) => one.schema === large.schema && one.name === large.name
  if (parent && config.orphans && is(parent)) return { table: parent, columns: [parentKey(parent, config.orphans)] }
  const branch = branches.find((one) => !one.key.hasIndex && is(one.table))
  if (branch) return { table: branch.table, columns: branch.key.columns }
  if (config.duplicates) return { table, columns: config.duplicates.by }
  return config.column === undefined ? undefined : { table, columns: [config.column] }
}

async function planPartitions(client: Client, rule: PreparedRule, options: PlanOptions): Promise<CleanupPlan> {
  const { config, table, cutoff, isNotHeld, values } = rule
  if (!cutoff || config.column === undefined) throw new Error("a rule for partitions has a column and an age")
  const found = await oldPartitions(client, table, { column: config.column, timezone: config.timezone, cutoff })
  const notes: string[] = []
  const partitions: PlannedPartition[] = []
  let heldBack = 0
  for (const partition of found) {
    const held = rule.hasHolds ? await countIn(client, partition, `${rule.mention} and not ${isNotHeld}`, values) : 0
    heldBack += held
    if (held === 0) partitions.push(partition)
    else
      notes.push(
        `${renderTableName(partition)} stays whole: ${formatCounted(held, "row")} of it ${held === 1 ? "is" : "are"} on legal hold`,
      )
  }
  const count = partitions.reduce((sum, { rows }) => sum + rows, 0)
  const { rows: tableRows, isEstimate } = await countRows(client, table)
  if (isEstimate) notes.push(`the table's ${formatCounted(tableRows, "row")} are the planner's estimate`)
  const { maxRows, maxShare } = config
  const tooMuch = capProblems({ rows: count, tableRows, cascaded: [], maxRows, maxShare })
  return {
    ...frame(rule, []),
    ...{ count, tableRows, share: shareOf(count, tableRows), sampleKeys: [], cascades: [], heldBack, referredTo: 0 },
    partitions,
    refusals: [
      ...(await removalRefusals(client, rule.action === "drop" ? "drop" : "detach", table, partitions)),
      ...capRefusals(tooMuch, options, notes),
    ],
    notes,
    explain: { statement: "", lines: [] },
  }
}
