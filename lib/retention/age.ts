import { ConfigError } from "../core/config-error.ts"
import { quoteName, renderTableName } from "../postgres/name.ts"
import { columnOf, type Table } from "../postgres/table.ts"
import type { Parameters } from "./parameters.ts"

/** A column with a time, and the zone that a time without one is in. */
export type AgeColumn = { table: Table; column: string; timezone: string }

/**
 * Condition on `t`: its time lies before the cutoff. Never true too early: a local time that the clock shows twice is read as the later
 * one, and a `date` is over when its day is. A row without a time has no age.
 */
export function olderThan({ table, column, timezone }: AgeColumn, cutoff: Date, parameters: Parameters): string {
  const { baseType } = columnOf(table, column)
  const value = `t.${quoteName(column)}`
  const moment = parameters.add(cutoff.toISOString(), "timestamptz")
  if (baseType === "timestamp with time zone") return `${value} < ${moment}`
  const zone = () => parameters.add(timezone, "text")
  if (baseType === "timestamp without time zone") {
    const [local, again] = [zone(), zone()]
    return `${value} < (${moment} at time zone ${local}) and (${value} at time zone ${again}) < ${moment}`
  }
  if (baseType === "date") return `${value} < (${moment} at time zone ${zone()})::date`
  throw new ConfigError(unfit(table, column))
}

/** The time of a row as an ISO 8601 text in UTC, for people; a `date` as it is. */
export function renderAge({ table, column, timezone }: AgeColumn, sql: string, parameters: Parameters): string {
  const { baseType } = columnOf(table, column)
  if (baseType === "date") return `${sql}::text`
  const inUtc =
    baseType === "timestamp with time zone"
      ? `${sql} at time zone 'UTC'`
      : `${sql} at time zone ${parameters.add(timezone, "text")} at time zone 'UTC'`
  return `case when isfinite(${sql}) then to_char(${inUtc}, 'YYYY-MM-DD"T"HH24:MI:SS"Z"') else ${sql}::text end`
}

function unfit(table: Table, column: string): string {
  const { type, baseType } = columnOf(table, column)
  const what = `column ${column} of ${renderTableName(table)} is of type ${type}, which is no time`
  if (!/^(bigint|integer|smallint|numeric|double precision|real)$/.test(baseType))
    return `${what}: name a column of type timestamptz, timestamp or date`
  const sql = `alter table ${renderTableName(table)} add column ${column}_at timestamptz generated always as (to_timestamp(${column})) stored`
  return `${what}: name a timestamptz, timestamp or date, such as one made from seconds by: ${sql}`
}
