import type { Client } from "pg"
import type { CleanupAction, CleanupConfig } from "../config/cleanup-schema.ts"
import { ConfigError } from "../core/config-error.ts"
import { quoteName, quoteTable, renderTableName } from "../postgres/name.ts"
import { columnOf, describeTable, type Table } from "../postgres/table.ts"
import { allBranches, type Branch, holdsOneBelow, isReferredTo, readBranches } from "./cascade.ts"
import { isHeld, namesOf, noHolds } from "./holds.ts"
import { partitioningProblems } from "./old-partitions.ts"
import { newParameters } from "./parameters.ts"
import { actionOf, isDestructive, isOfPartitions, isRemoving, isWriting } from "./rule.ts"
import { type Assignment, assignmentsOf, conditionsOf, cutoffOf, parentKey } from "./select-rows.ts"
import { bracket, problemOf, problemOfTeamSql } from "./team-sql.ts"

/** A rule that fits its tables: conditions on the alias `t` of its table, in brackets. */
export type PreparedRule = {
  config: CleanupConfig
  action: CleanupAction
  table: Table
  /** The table that orphans refer to. */
  parent?: Table
  branches: Branch[]
  /** Rows that the rule is about. */
  base: string
  /** No key keeps them. */
  isFree: string
  /** No legal hold does. */
  isNotHeld: string
  values: unknown[]
  /** Always true, and names all values: for a query that uses some of the conditions. */
  mention: string
  assignments?: Assignment[]
  cutoff?: Date
  hasHolds: boolean
  orderColumns: string[]
}

/**
 * Holds a rule against the database, which is asked and not changed; inside of a transaction. `hasHolds` tells whether there is a table of
 * holds. Throws `ConfigError` with every problem found.
 */
export async function prepareRule(
  client: Client,
  config: CleanupConfig,
  { slot, hasHolds }: { slot: Date; hasHolds: boolean },
): Promise<PreparedRule> {
  const action = actionOf(config)
  const table = await describeTable(client, config.table)
  refuseKind(table, action)
  const parent = config.orphans && (await describeTable(client, config.orphans.of))
  const problems = await Promise.all([
    ...columnProblems(config, table, parent),
    ...(await teamSqlProblems(client, config, table)),
  ])
  if (isOfPartitions(action)) problems.push(...(await partitioningProblems(client, table, config.column ?? "")))
  if (problems.length > 0) throw new ConfigError([...new Set(problems)])
  const branches = isRemoving(action) ? await readBranches(client, table) : []
  const names = await namesOf(client, table)
  const prepared = compose({ config, action, table, branches, names, slot, hasHolds, ...(parent && { parent }) })
  const { base, isFree, isNotHeld, values } = prepared
  const statement = `select from ${quoteTable(table)} t where ${base} and ${isFree} and ${isNotHeld}`
  const problem =
    (await problemOf(client, statement, values)) ??
    (await changeProblem(client, prepared)) ??
    (await rightsProblem(client, prepared))
  if (problem) throw new ConfigError(`the server refuses its query of ${renderTableName(table)}: ${problem}`)
  return prepared
}

type Parts = Pick<PreparedRule, "config" | "action" | "table" | "branches" | "parent" | "hasHolds"> & {
  names: string[]
  slot: Date
}

function compose({ names, slot, ...rule }: Parts): PreparedRule {
  const { config, action, table, branches } = rule
  const parameters = newParameters()
  const hasHolds = rule.hasHolds && isDestructive(config)
  const conditions = conditionsOf(rule, slot, parameters)
  const written = config.set && isWriting(action) ? assignmentsOf(table, config.set, parameters) : undefined
  if (written) conditions.push(written.isUndone)
  const kept = isReferredTo(branches)
  const isNotHeld = hasHolds ? notHeld() : "true"
  const cutoff = cutoffOf(config, slot)
  return {
    ...rule,
    hasHolds,
    base: `(${[parameters.mention(), ...conditions].join("\n and ")})`,
    mention: parameters.mention(),
    isFree: kept ? `(not (${kept}))` : "true",
    isNotHeld,
    values: parameters.values,
    ...(written && { assignments: written.assignments }),
    ...(cutoff && { cutoff }),
    orderColumns: [...new Set([...(cutoff && config.column ? [config.column] : []), ...table.primaryKey])],
  }

  function notHeld(): string {
    const at = parameters.add(slot.toISOString(), "timestamptz")
    const below = holdsOneBelow(branches, names, at, parameters)
    const held = isHeld("t", names, at, parameters)
    return `(${noHolds(at)} or not (${below ? `${held} or ${below}` : held}))`
  }
}

function refuseKind(table: Table, action: CleanupAction): void {
  const title = `${renderTableName(table)} is a ${table.kind}`
  if (table.kind === "view" || table.kind === "materialized view")
    throw new ConfigError(`${title}, whose rows are those of other tables: name the table that holds the rows`)
  if (table.kind === "foreign table")
    throw new ConfigError(`${title}, whose rows are on another server: give that database a rule of its own`)
  if (action === "archive" && table.primaryKey.length === 0)
    throw new ConfigError(
      `table ${renderTableName(table)} has no primary key, by which archived rows are known again: give it one, or use the action "delete"`,
    )
}

function columnProblems(config: CleanupConfig, table: Table, parent: Table | undefined): string[] {
  const attempts: (() => unknown)[] = [
    ...[config.column, config.orphans?.column, ...(config.duplicates?.by ?? [])].flatMap((name) =>
      name === undefined ? [] : () => columnOf(table, name),
    ),
    ...Object.entries(config.set ?? {}).map(
      ([name, cell]) =>
        () =>
          assignmentsOf(table, { [name]: cell }, newParameters()),
    ),
  ]
  if (config.olderThan || config.stuck)
    attempts.push(() =>
      conditionsOf(
        { config: { ...config, orphans: undefined, duplicates: undefined }, table },
        new Date(0),
        newParameters(),
      ),
    )
  if (parent && config.orphans) {
    const { orphans } = config
    attempts.push(() => parentKey(parent, orphans))
  }
  return attempts.flatMap((attempt) => {
    try {
      attempt()
      return []
    } catch (error) {
      if (error instanceof ConfigError) return [...error.problems]
      throw error
    }
  })
}

async function teamSqlProblems(client: Client, config: CleanupConfig, table: Table): Promise<string[]> {
  const from = quoteTable(table)
  const problems: string[] = []
  const conditions = { where: config.where, "stuck.where": config.stuck?.where }
  for (const [name, sql] of Object.entries(conditions)) {
    if (sql === undefined) continue
    const problem =
      (await problemOfTeamSql(client, from, sql)) ??
      (await problemOf(client, `select from ${from} t where ${bracket(sql)}`))
    if (problem) problems.push(`${name} is no condition on ${renderTableName(table)}: ${problem}`)
  }
  for (const [column, cell] of Object.entries(config.set ?? {})) {
    if (typeof cell !== "object" || cell === null) continue
    const problem = await problemOfTeamSql(client, from, cell.sql)
    if (problem) problems.push(`set.${column}.sql is no expression on ${renderTableName(table)}: ${problem}`)
  }
  return problems
}

/** What the server says against the change, such as a right that the role lacks or a value that a column does not take. */
async function changeProblem(client: Client, rule: PreparedRule): Promise<string | undefined> {
  const { table, action, assignments, base, values } = rule
  const target = `${quoteTable(table)} t`
  if (isRemoving(action)) return problemOf(client, `delete from ${target} where ${base} returning 1`, values)
  if (!assignments) return undefined
  const sets = assignments.map(({ column, sql }) => `${column} = ${sql}`)
  return problemOf(client, `update ${target} set ${sets.join(", ")} where ${base} returning 1`, values)
}

/** Rows are locked before they change, and whole rows are held against the legal holds, those that go along included. */
async function rightsProblem(client: Client, rule: PreparedRule): Promise<string | undefined> {
  const { table, action, branches } = rule
  if (!isRemoving(action) && !isWriting(action)) return undefined
  const locking = await problemOf(client, `select t from ${quoteTable(table)} t for update`)
  if (locking)
    return `${locking}: rows are read whole and locked before they change, which takes: grant select, update on ${quoteTable(table)} to <role>`
  for (const { table: child } of allBranches(branches)) {
    const problem = await problemOf(client, `select t from ${quoteTable(child)} t`)
    if (problem)
      return `${problem}: rows of ${renderTableName(child)} refer to those of the rule and must be seen, which takes: grant select on ${quoteTable(child)} to <role>`
  }
  return undefined
}

/** Tables whose rows the plan must see all of, besides the rule's own. */
export function relatedTables({ branches, parent }: PreparedRule): Table[] {
  return [...allBranches(branches).map(({ table }) => table), ...(parent ? [parent] : [])]
}

/** The columns of a rule's order in SQL, on `t`. */
export function orderOf({ orderColumns }: PreparedRule): string[] {
  return orderColumns.map((column) => `t.${quoteName(column)}`)
}
