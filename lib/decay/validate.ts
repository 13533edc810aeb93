import type { Client } from "pg"
import { z } from "zod"
import { ConfigError } from "../core/config-error.ts"
import { quoteName, quoteTable, renderTableName } from "../postgres/name.ts"
import { columnOf, describeTable, type Table, type TableColumn } from "../postgres/table.ts"
import { withTransaction } from "../postgres/transaction.ts"
import { explainRule } from "./explain.ts"
import { markProblems } from "./mark.ts"
import type { PreparedRule } from "./prepared.ts"
import type { DecayRule, JoinedHalfLife } from "./rule.ts"

const numbers = ["smallint", "integer", "bigint", "numeric", "real", "double precision"]
const times = ["timestamp with time zone", "timestamp without time zone", "date"]
const statementTimeoutMs = 60_000

/**
 * Holds a rule against the database, in a transaction that can only read. Returns it with what the catalogue says, or every problem that
 * was seen, each beginning with the rule's path. What is no mistake of the rule, such as a lost connection, is thrown.
 */
export async function prepareRule(
  client: Client,
  rule: DecayRule,
): Promise<{ prepared: PreparedRule; problems: [] } | { prepared?: undefined; problems: string[] }> {
  const problems: string[] = []
  const note = (problem: string) => problems.push(`${rule.path}: ${problem}`)
  const prepared = await withTransaction(client, { readOnly: true, statementTimeoutMs }, async () => {
    const found = await collect(note, () => look(client, rule, note))
    if (!found || problems.length > 0) return undefined
    for (const problem of await explainRule(client, found)) note(problem)
    return found
  })
  return prepared && problems.length === 0 ? { prepared, problems: [] } : { problems }
}

type Note = (problem: string) => void

/** What `fn` comes to; a mistake of the configuration becomes problems instead. */
async function collect<T>(note: Note, fn: () => T | Promise<T>): Promise<T | undefined> {
  try {
    return await fn()
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    for (const problem of error.problems) note(problem)
    return undefined
  }
}

async function look(client: Client, rule: DecayRule, note: Note): Promise<PreparedRule | undefined> {
  const { config, base } = rule
  const table = await describeTable(client, config.table)
  tableProblems(table, note)
  const column = await collect(note, () => columnOf(table, config.column))
  const since = await collect(note, () => columnOf(table, config.since))
  const baseName = base && "column" in base ? base.column : undefined
  const baseColumn = baseName === undefined ? undefined : await collect(note, () => columnOf(table, baseName))
  const source = rule.shape.kind === "joined half-life" ? rule.shape.source : undefined
  const halfLife = source && (await collect(note, () => lookAtSource(client, table, source)))
  if (!column || !since || (baseName !== undefined && !baseColumn) || (source && !halfLife)) return undefined
  const prepared: PreparedRule = { ...rule, table, column, since, baseColumn, halfLife }
  for (const problem of [...columnProblems(prepared), ...markProblems(prepared)]) note(problem)
  const scale = await scaleOf(client, prepared)
  const inexact = rule.base === undefined && scale !== undefined ? roundingProblem(prepared, scale) : undefined
  if (inexact) note(inexact)
  return prepared
}

function tableProblems(table: Table, note: Note): void {
  const name = `table ${renderTableName(table)}`
  if (table.kind !== "table" && table.kind !== "partitioned table") {
    note(`${renderTableName(table)} is a ${table.kind}: name the table that its rows are in`)
  } else if (table.primaryKey.length === 0) {
    note(`${name} has no primary key, by which its rows are told apart: alter table … add primary key (…)`)
  }
  if (table.hidesRows) note(hiding(table))
}

function hiding(table: Table): string {
  const name = renderTableName(table)
  return `row security would hide rows of ${name} from this role: use its owner, ${table.owner}, or a role with BYPASSRLS`
}

async function lookAtSource(client: Client, table: Table, source: JoinedHalfLife): Promise<PreparedRule["halfLife"]> {
  const other = await describeTable(client, source.table)
  const name = renderTableName(other)
  if (other.hidesRows) throw new ConfigError(hiding(other))
  const column = columnOf(other, source.column)
  if (column.baseType !== "interval" && !numbers.includes(column.baseType)) {
    throw new ConfigError(
      `halfLife.column ${name}.${column.name} is ${column.type}: it takes an interval, or a number of days`,
    )
  }
  const by = columnOf(table, source.by)
  const [first, ...more] = other.primaryKey
  if (source.key === undefined && (first === undefined || more.length > 0)) {
    throw new ConfigError(
      `halfLife.key is missing: ${name} has no primary key of one column that ${source.by} could refer to`,
    )
  }
  const key = columnOf(other, source.key ?? first ?? "")
  const isUnique =
    (first === key.name && more.length === 0) ||
    other.indexes.some(({ columns, isUnique, isValid, isPartial }) => {
      return isUnique && isValid && !isPartial && columns.length === 1 && columns[0] === key.name
    })
  if (!isUnique) {
    throw new ConfigError(
      `halfLife.key ${name}.${key.name} is not unique, so that a row could have two half-lives: refer to its primary key, or make a unique index`,
    )
  }
  return { table: other, column, by, key }
}

function columnProblems({ table, column, since, base, baseColumn }: PreparedRule): string[] {
  const problems: string[] = []
  const at = (one: TableColumn) => `${renderTableName(table)}.${one.name}`
  if (!numbers.includes(column.baseType)) problems.push(`column ${at(column)} is ${column.type}: it takes a number`)
  if (column.isGenerated)
    problems.push(`column ${at(column)} is generated from others and cannot be written: decay what it is computed from`)
  if (column.isIdentity || table.primaryKey.includes(column.name))
    problems.push(`column ${at(column)} tells rows apart: it cannot decay`)
  if (!times.includes(since.baseType)) {
    problems.push(`since ${at(since)} is ${since.type}: it takes a timestamptz, a timestamp or a date`)
  }
  if (baseColumn && !numbers.includes(baseColumn.baseType))
    problems.push(`base ${at(baseColumn)} is ${baseColumn.type}: it takes a number`)
  if (base && "column" in base && base.column === column.name) {
    problems.push(
      `base is ${at(column)}, which the rule itself changes: name a column that never changes, or leave base out`,
    )
  }
  return problems
}

/** Digits behind the point that the column rounds to; `undefined` where it does not round. */
async function scaleOf(client: Client, { table, column }: PreparedRule): Promise<number | undefined> {
  if (column.baseType === "real" || column.baseType === "double precision") return undefined
  const { rows } = await client.query(
    `with recursive typed as (
       select t.typtype, t.typbasetype, case when a.atttypmod >= 0 then a.atttypmod else t.typtypmod end as modifier
         from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid
        where a.attrelid = $1::oid and a.attname = $2 and not a.attisdropped
       union all
       select t.typtype, t.typbasetype, case when typed.modifier >= 0 then typed.modifier else t.typtypmod end
         from typed join pg_catalog.pg_type t on t.oid = typed.typbasetype where typed.typtype = 'd')
     select max(modifier)::integer as modifier from typed`,
    [table.oid, column.name],
  )
  if (column.baseType !== "numeric") return 0
  const { modifier } = z.object({ modifier: z.number() }).parse(rows[0])
  // The lower 11 bits of what is stored less 4 are the scale, which may be negative.
  return modifier < 4 ? undefined : (((modifier - 4) & 0x7ff) ^ 1024) - 1024
}

/** From the last value, each rounding would add up: 3 would stay 3 for ever, and two runs would come to something else than one. */
function roundingProblem({ table, column, since, shape }: PreparedRule, scale: number): string | undefined {
  const loss = shape.kind === "linear" ? shape.lossPerStep * 10 ** scale : Number.NaN
  if (Math.abs(loss - Math.round(loss)) < 1e-6 && Math.round(loss) > 0) return undefined
  const remedy = `alter table ${quoteTable(table)} alter column ${quoteName(column.name)} type double precision`
  return `column ${renderTableName(table)}.${column.name} is ${column.type}, which rounds what each step leaves, so that values would stop falling: give base, a column with the value at the time ${since.name}, or let it keep all digits: ${remedy}`
}
