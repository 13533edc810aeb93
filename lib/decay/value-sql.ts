import { quoteName, quoteTable } from "../postgres/name.ts"
import type { Parameters } from "./parameters.ts"
import type { PreparedRule } from "./prepared.ts"
import { stepMsOf } from "./slots.ts"

/** The steps that are to be counted: those after `from`, all from each row's own time where it is absent, up to `to`. */
export type Span = { from: number | undefined; to: number }

/**
 * Below this the arithmetic of the server ends in an error instead of zero: 0.5 ^ 1075 is one, and so is what `real` cannot hold.
 * https://www.postgresql.org/docs/current/datatype-numeric.html#DATATYPE-FLOAT
 */
const smallest = "1e-30"
/** So many half-lives leave 6e-61 of a value. */
const manyHalfLives = "200"

const unusual = `('NaN', 'Infinity', '-Infinity')`

/**
 * SQL for the new value of a row `item`, of the column's own type; null for a row that is left alone, because its value, base, time or
 * half-life is missing or not finite. It is one expression over the row and reads no other row of the table, so that an UPDATE which had
 * to wait for another writer computes it again from what that one wrote.
 */
export function valueSql(rule: PreparedRule, span: Span, { bind }: Parameters): string {
  const { config, column, base } = rule
  const own = cell(column.name)
  const floor = bind(config.floor, "double precision")
  const ceiling = config.ceiling === undefined ? undefined : bind(config.ceiling, "double precision")
  const start = base ? "base" : ceiling === undefined ? "value" : `least(${ceiling}, value)`
  const from = base && "column" in base ? cell(base.column) : base ? bind(base.number, "double precision") : own
  const clamped = base && ceiling !== undefined ? `least(${ceiling}, shaped)` : "shaped"
  const rounded = `case when abs(clamped) < ${smallest} then 0 else clamped end`
  // Without a base a value at or under the floor stays, and one that loses nothing keeps digits that double precision has not.
  const kept = base ? "when false then null" : `when value <= ${floor} or clamped = value then ${own}`
  // Each OFFSET keeps the server from copying what is below it into every place that uses it.
  return `(select case ${kept} else (${rounded})::${column.type} end
    from (select value, greatest(${floor}, ${clamped}) as clamped
      from (select value, ${shapeSql(rule, bind)} as shaped
        from (select value, ${start} as x, steps, half_life
          from (select ${own}::double precision as value, ${from}::double precision as base,
                       ${stepsSql(rule, span, bind)} as steps, ${halfLifeSql(rule)} as half_life offset 0) as raw
          where steps is not null and value not in ${unusual} and base not in ${unusual} offset 0) as given offset 0) as shape
      where shaped not in ${unusual} offset 0) as result)`
}

/** A column of the row in SQL. */
export function cell(name: string): string {
  return `item.${quoteName(name)}`
}

/** The rows that the rule is about, as the end of `… from`. A condition may end in a comment. */
export function considered({ table, config }: PreparedRule): { from: string; where: string } {
  return {
    from: `${quoteTable(table)} as item`,
    where: config.where === undefined ? "true" : `(\n${config.where}\n)`,
  }
}

type Bind = Parameters["bind"]

/** Whole steps that a row has behind it, as bigint: a step counts when it began at or after the row's time; null for no time. */
export function stepsSql(rule: PreparedRule, { from, to }: Span, bind: Bind): string {
  const begun = firstStepSql(rule, bind)
  const counted = from === undefined ? begun : `greatest(${bind(from, "bigint")}, ${begun})`
  return `case when isfinite(${cell(rule.since.name)}) then greatest(0, ${bind(to, "bigint")} - ${counted}) end`
}

function firstStepSql({ grid, since }: PreparedRule, bind: Bind): string {
  const own = cell(since.name)
  const zone = () => bind(grid.timezone, "text") // every value that is bound must be used
  const hasZone = since.baseType === "timestamp with time zone"
  if (grid.kind === "days") {
    const local = hasZone ? `(${own} at time zone ${zone()})` : `${own}::timestamp`
    const day = `(${local}::date - date '1970-01-01' + (${local}::time > time '00:00')::integer)::bigint`
    return grid.days === 1 ? day : ceilingOf(day, bind(grid.days, "bigint"))
  }
  const instant = hasZone ? own : `(${own}::timestamp at time zone ${zone()})`
  return ceilingOf(`(extract(epoch from ${instant}) * 1000000)::bigint`, bind(grid.stepMs * 1000, "bigint"))
}

/** Division of whole numbers, rounded up; the server's own rounds to zero. */
function ceilingOf(dividend: string, divisor: string): string {
  return `(${dividend} / ${divisor} + (${dividend} % ${divisor} > 0)::integer)`
}

/** Of the row, in milliseconds. */
function halfLifeSql({ shape, halfLife }: PreparedRule): string {
  if (shape.kind === "half-life") return `${shape.halfLifeMs}::double precision`
  if (!halfLife) return "null::double precision"
  const own = `source.${quoteName(halfLife.column.name)}`
  const ms =
    halfLife.column.baseType === "interval"
      ? `extract(epoch from ${own})::double precision * 1000`
      : `${own}::double precision * 86400000`
  const key = `source.${quoteName(halfLife.key.name)}`
  return `(select ${ms} from ${quoteTable(halfLife.table)} as source where ${key} = ${cell(halfLife.by.name)})`
}

/** The value that is left of `x` after `steps` steps. */
function shapeSql({ shape, grid }: PreparedRule, bind: Bind): string {
  const start = `case when abs(x) < ${smallest} then 0::double precision else x end`
  const age = () => `steps * ${bind(stepMsOf(grid), "double precision")}`
  switch (shape.kind) {
    case "half-life":
    case "joined half-life": {
      const halvings = `${age()} / half_life`
      return `case when half_life is null or half_life <= 0 or half_life in ${unusual} then null when steps = 0 then x
        when half_life < 1 or abs(x) < ${smallest} then 0 when ${halvings} >= ${manyHalfLives} then 0
        else x * power(0.5::double precision, ${halvings}) end`
    }
    case "linear":
      return `x - steps * ${bind(shape.lossPerStep, "double precision")}`
    case "steps": {
      const ageMs = age()
      const falls = shape.steps.toReversed().map(({ afterMs, share }) => {
        return `when ${ageMs} >= ${bind(afterMs, "double precision")} then ${bind(share, "double precision")}`
      })
      return `(${start}) * case ${falls.join(" ")} else 1 end`
    }
    case "expression":
      return `(select (\n${shape.sql}\n)::double precision
        from (select ${start} as base, ${age()} / 86400000 as age_days) as given_to_expression)`
  }
}
