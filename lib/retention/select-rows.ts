import type { CellValue } from "../config/cell-value.ts"
import type { CleanupConfig } from "../config/cleanup-schema.ts"
import { ConfigError } from "../core/config-error.ts"
import { quoteName, quoteTable } from "../postgres/name.ts"
import { columnOf, type Table } from "../postgres/table.ts"
import { olderThan } from "./age.ts"
import type { Twins } from "./contract.ts"
import type { Parameters } from "./parameters.ts"
import { bracket } from "./team-sql.ts"

/** A rule with the tables that it names, as the catalogue has them. */
export type RuleTables = { config: CleanupConfig; table: Table; parent?: Table }

const yearOneMs = Date.parse("0001-01-01T00:00:00Z")

/** The point in time that makes a row old; absent where age has no say. Throws `ConfigError` when it lies before the year 1. */
export function cutoffOf({ olderThan, stuck }: CleanupConfig, slot: Date): Date | undefined {
  const age = olderThan ?? stuck?.longerThan
  if (!age) return undefined
  const cutoffMs = slot.getTime() - age.ms
  if (cutoffMs >= yearOneMs) return new Date(cutoffMs)
  const setting = olderThan ? "olderThan" : "stuck.longerThan"
  throw new ConfigError(`${setting} is ${age.text}, which reaches back before the year 1: no row is so old`)
}

/** Conditions on `t`, all of which are true for a row of the rule. Throws `ConfigError` for columns that do not fit. */
export function conditionsOf(rule: RuleTables, slot: Date, parameters: Parameters): string[] {
  const { config, table } = rule
  const conditions: string[] = []
  const cutoff = cutoffOf(config, slot)
  if (cutoff) {
    const { column = "", timezone } = config
    conditions.push(olderThan({ table, column, timezone }, cutoff, parameters))
  }
  if (config.stuck) conditions.push(bracket(config.stuck.where))
  if (config.where) conditions.push(bracket(config.where))
  if (config.orphans) conditions.push(isOrphan(rule, config.orphans))
  if (config.duplicates) conditions.push(isDuplicate(rule, config.duplicates))
  return conditions
}

/** The column of the parent table that an orphan's column refers to. */
export function parentKey(parent: Table, { key }: NonNullable<CleanupConfig["orphans"]>): string {
  if (key !== undefined) return columnOf(parent, key).name
  const [only, ...more] = parent.primaryKey
  if (only !== undefined && more.length === 0) return only
  const what = only === undefined ? "no primary key" : "a primary key of several columns"
  throw new ConfigError(`table ${parent.schema}.${parent.name} has ${what}: say which column orphans.key is`)
}

function isOrphan({ table, parent }: RuleTables, orphans: NonNullable<CleanupConfig["orphans"]>): string {
  if (!parent) throw new Error("the parent of orphans was not read")
  const child = `t.${quoteName(columnOf(table, orphans.column).name)}`
  const key = quoteName(parentKey(parent, orphans))
  return `${child} is not null and not exists (select from ${quoteTable(parent)} p where p.${key} = ${child})`
}

/** A row that has the same values as a better one. */
function isDuplicate(rule: RuleTables, duplicates: NonNullable<CleanupConfig["duplicates"]>): string {
  const { rows, isTwin, isBetter } = twinsOf(rule, duplicates)
  return `exists (select from ${rows} o where ${isTwin} and ${isBetter})`
}

/** What SQL says of a rule's row `t` and another one, `o`, with the same values. Newer (or older) by `column`, then by key, is better; a row without a time is the oldest. */
export function twinsOf({ config, table }: RuleTables, { by, keep }: NonNullable<CleanupConfig["duplicates"]>): Twins {
  const same = by.map((name) => quoteName(columnOf(table, name).name))
  const key = table.primaryKey.length > 0 ? table.primaryKey.map(quoteName) : ["tableoid", "ctid"]
  const than = keep === "newest" ? ">" : "<"
  const direction = keep === "newest" ? "desc nulls last" : "asc nulls first"
  const age = config.column === undefined ? [] : [quoteName(columnOf(table, config.column).name)]
  const row = (alias: string) => `(${key.map((column) => `${alias}.${column}`).join(", ")})`
  const tie = `${row("o")} ${than} ${row("t")}`
  return {
    columns: same.map((column) => `t.${column}`),
    rows: `(select t.tableoid, t.ctid, t.* from ${quoteTable(table)} t${config.where ? ` where ${bracket(config.where)}` : ""})`,
    isTwin: same.map((column) => `o.${column} = t.${column}`).join(" and "),
    isBetter: `(${age[0] === undefined ? tie : betterBy(age[0], than, tie)})`,
    bestFirst: [...age, ...key].map((column) => `o.${column} ${direction}`).join(", "),
  }
}

function betterBy(column: string, than: string, tie: string): string {
  const [late, early] = than === ">" ? ["o", "t"] : ["t", "o"]
  const isBetter = `${late}.${column} > ${early}.${column} or (${late}.${column} is not null and ${early}.${column} is null)`
  return `${isBetter} or (o.${column} is not distinct from t.${column} and ${tie})`
}

/** Types whose values cannot be compared. */
const incomparable = ["json", "xml", "point", "polygon"]

/** A column in SQL, quoted, and the SQL of what is written into it. */
export type Assignment = { column: string; sql: string }

/** What is written into which columns, and the condition that a row is not so already. Throws `ConfigError` for columns that cannot be written. */
export function assignmentsOf(
  table: Table,
  cells: Record<string, CellValue>,
  parameters: Parameters,
): { assignments: Assignment[]; isUndone: string } {
  const entries = Object.entries(cells).map(([name, cell]) => {
    const column = columnOf(table, name)
    const title = `column ${name} of ${table.schema}.${table.name}`
    if (column.isGenerated) throw new ConfigError(`${title} is computed from other columns: set those`)
    if (column.isIdentity) throw new ConfigError(`${title} is "generated always as identity", which nothing can set`)
    if (cell === null && !column.isNullable) throw new ConfigError(`${title} takes no null: set it to another value`)
    const sql = sqlOf(cell, column.type, parameters)
    const [now, then] = incomparable.includes(column.baseType)
      ? [`t.${quoteName(name)}::text`, `${sql}::text`]
      : [`t.${quoteName(name)}`, sql]
    return { column: quoteName(name), sql, isUndone: `${now} is distinct from ${then}` }
  })
  return {
    assignments: entries.map(({ column, sql }) => ({ column, sql })),
    isUndone: `(${entries.map(({ isUndone }) => isUndone).join(" or ")})`,
  }
}

function sqlOf(cell: CellValue, type: string, parameters: Parameters): string {
  if (cell === null) return `null::${type}`
  if (typeof cell === "object") return `${bracket(cell.sql)}::${type}`
  return parameters.add(String(cell), type)
}
