import { quoteName, quoteTable } from "../postgres/name.ts"
import { type Mark, markSql, unmarkedSql } from "./mark.ts"
import type { Parameters } from "./parameters.ts"
import type { PreparedRule } from "./prepared.ts"
import { cell, considered, type Span, valueSql } from "./value-sql.ts"

export type Statement = { text: string; values: unknown[] }

/** Part of a table by primary key: behind `after`, up to and with `through`. Cells as the server renders them; open where absent. */
export type KeyRange = { after?: string[] | undefined; through?: string[] | undefined }

/**
 * Changes the rows of a range whose value is another one now, and returns one row of counts. The rows are locked first and their new
 * values computed from what is then in them, so that nothing another session wrote is lost; what was written is compared with what
 * was computed, and the time of each row with what it was.
 */
export function writeStatement(rule: PreparedRule, span: Span, range: KeyRange, parameters: Parameters): Statement {
  const { table, column, since, config } = rule
  const { from, where } = considered(rule)
  const fresh = valueSql(rule, span, parameters)
  const keys = table.primaryKey.map((name, index) => ({ own: cell(name), picked: `picked.k${index}` }))
  const limits = config.thresholds.map(({ below }) => parameters.bind(below, "double precision"))
  const inRange = rangeSql(rule, range, parameters) // twice, so that the rows to write are found by key, not by reading the table again
  const crossed = limits.map((below) => `count(*) filter (where before > ${below} and after <= ${below})`)
  const text = `with picked as materialized (
      select ${keys.map(({ own }, index) => `${own} as k${index}`).join(", ")}, ${cell(since.name)} as since, ${cell(column.name)} as before, ${fresh} as fresh
        from ${from}
       where ${inRange} and ${where} and ${differsSql(rule, fresh)}
         for no key update of item),
    written as (
      update ${quoteTable(table)} as item set ${quoteName(column.name)} = picked.fresh
        from picked where ${inRange} and ${keys.map(({ own, picked }) => `${own} = ${picked}`).join(" and ")}
      returning picked.before::double precision as before, ${cell(column.name)}::double precision as after,
                ${cell(column.name)} is distinct from picked.fresh as is_other, ${cell(since.name)} is distinct from picked.since as is_moved)
    select (select count(*) from picked)::float8 as picked, count(*)::float8 as written,
           (count(*) filter (where is_other))::float8 as other, (count(*) filter (where is_moved))::float8 as moved,
           array[${crossed.join(", ")}]::float8[] as crossed
      from written`
  return { text, values: parameters.values }
}

/** The row has a new value, and it is another one. */
export function differsSql({ column }: PreparedRule, fresh: string): string {
  return `${cell(column.name)} is not null and ${cell(column.name)} is distinct from coalesce(${fresh}, ${cell(column.name)})`
}

/** Sets the columns of a threshold in a range's rows that have fallen that low and do not have them yet. Returns one row of counts. */
export function markStatement(rule: PreparedRule, mark: Mark, range: KeyRange, parameters: Parameters): Statement {
  const { table, since } = rule
  const { where } = considered(rule)
  const cells = markSql(rule, mark, parameters)
  const keys = table.primaryKey.map((name, index) => ({ own: cell(name), picked: `picked.k${index}` }))
  const inRange = rangeSql(rule, range, parameters)
  const text = `with picked as materialized (
      select ${keys.map(({ own }, index) => `${own} as k${index}`).join(", ")}, ${cell(since.name)} as since
        from ${quoteTable(table)} as item
       where ${inRange} and ${where} and ${unmarkedSql(rule, mark, parameters)}
         for no key update of item),
    written as (
      update ${quoteTable(table)} as item set ${cells.map(({ column, value }) => `${column} = ${value}`).join(", ")}
        from picked where ${inRange} and ${keys.map(({ own, picked }) => `${own} = ${picked}`).join(" and ")}
      returning ${where} is true and ${cell(since.name)} is distinct from picked.since as is_moved)
    select (select count(*) from picked)::float8 as picked, count(*)::float8 as written,
           (count(*) filter (where is_moved))::float8 as moved from written`
  return { text, values: parameters.values }
}

/** The primary key of the last row of the next range. Returns no row when fewer than `rows` are left. */
export function boundaryStatement(
  { table }: PreparedRule,
  range: KeyRange,
  rows: number,
  parameters: Parameters,
): Statement {
  const keys = table.primaryKey.map(cell)
  const where = afterSql(table, range.after, parameters)
  const text = `select array[${keys.map((key) => `${key}::text`).join(", ")}] as key from ${quoteTable(table)} as item
    where ${where} order by ${keys.join(", ")} offset ${parameters.bind(rows - 1, "bigint")} limit 1`
  return { text, values: parameters.values }
}

function rangeSql({ table }: PreparedRule, { after, through }: KeyRange, parameters: Parameters): string {
  const upTo = through ? `${keyRow(table)} <= ${boundRow(table, through, parameters)}` : "true"
  return `${afterSql(table, after, parameters)} and ${upTo}`
}

type KeyedTable = PreparedRule["table"]

function afterSql(table: KeyedTable, after: string[] | undefined, parameters: Parameters): string {
  return after ? `${keyRow(table)} > ${boundRow(table, after, parameters)}` : "true"
}

function keyRow({ primaryKey }: KeyedTable): string {
  return `(${primaryKey.map(cell).join(", ")})`
}

function boundRow({ primaryKey, columns }: KeyedTable, key: string[], { bind }: Parameters): string {
  const types = primaryKey.map((name) => columns.find((column) => column.name === name)?.type ?? "text")
  return `(${types.map((type, index) => bind(key[index], type)).join(", ")})`
}
