import type { CellValue } from "../config/cell-value.ts"
import { quoteName, renderTableName } from "../postgres/name.ts"
import type { Parameters } from "./parameters.ts"
import type { PreparedRule } from "./prepared.ts"
import { cell } from "./value-sql.ts"

export type Mark = { below: number; set: Record<string, CellValue> }

/** Thresholds at which columns of the row are set. */
export function marksOf({ config }: PreparedRule): Mark[] {
  return config.thresholds.flatMap(({ action, below, set }) => (action === "mark" && set ? [{ below, set }] : []))
}

/** Columns that do not exist, that cannot be written, and those on which the decay itself rests. Pure. */
export function markProblems(rule: PreparedRule): string[] {
  const { table, config, column, since, baseColumn, halfLife } = rule
  const own = new Map([
    [column.name, "column"],
    [since.name, "since"],
    ...(baseColumn ? [[baseColumn.name, "base"] as const] : []),
    ...(halfLife ? [[halfLife.by.name, "halfLife.by"] as const] : []),
    ...table.primaryKey.map((name) => [name, "the primary key"] as const),
  ])
  return config.thresholds.flatMap(({ action, set = {} }, index) =>
    action !== "mark"
      ? []
      : Object.entries(set).flatMap(([name, value]) => {
          const at = `thresholds[${index}].set`
          const found = table.columns.find((one) => one.name === name)
          if (!found)
            return [
              `${at}: table ${renderTableName(table)} has no column ${JSON.stringify(name)}: it has ${table.columns.map((one) => one.name).join(", ")}`,
            ]
          if (found.isGenerated || found.isIdentity) return [`${at}.${name} is generated and cannot be set`]
          if (own.has(name)) return [`${at}.${name} is ${own.get(name)} of the rule: setting it would undo the decay`]
          if (value === null && !found.isNullable) return [`${at}.${name} is null, which the column does not take`]
          return []
        }),
  )
}

/** What the columns are set to in SQL, each in the type of its column. */
export function markSql(
  { table }: PreparedRule,
  { set }: Mark,
  { bind }: Parameters,
): { column: string; value: string }[] {
  return Object.entries(set).map(([name, value]) => {
    const type = table.columns.find((one) => one.name === name)?.type ?? "text"
    const sql = isSql(value) ? `(\n${value.sql}\n)::${type}` : bind(value === null ? null : String(value), type)
    return { column: quoteName(name), value: sql }
  })
}

/** Rows at or under the threshold that do not have it yet. */
export function unmarkedSql(rule: PreparedRule, mark: Mark, parameters: Parameters): string {
  const cells = markSql(rule, mark, parameters)
  const differs = cells.map(({ column, value }) => `item.${column} is distinct from ${value}`).join(" or ")
  return `${cell(rule.column.name)}::double precision <= ${parameters.bind(mark.below, "double precision")} and (${differs})`
}

function isSql(value: CellValue): value is { sql: string } {
  return typeof value === "object" && value !== null
}
