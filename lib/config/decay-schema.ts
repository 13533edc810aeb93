import { z } from "zod"
import { cellValues } from "./cell-value.ts"
import {
  choice,
  columnName,
  duration,
  fraction,
  list,
  number,
  section,
  tableName,
  text,
  timeZone,
  whole,
} from "./fields.ts"

const joinedHalfLife = section({
  table: tableName().describe("Table that holds the half-life, such as `ingredients`."),
  column: columnName().describe("Its column with the half-life: an interval, or a number of days."),
  by: columnName().describe("Column of the decaying table that refers to it."),
  key: columnName().optional().describe("Column that is referred to; the primary key unless told."),
})

const threshold = section({
  below: number("a number").describe("Rows whose value is this or less have crossed it."),
  action: choice(["notify", "mark", "archive", "delete"])
    .default("notify")
    .describe(
      "What happens to them: people hear how many crossed it, columns are set (`set`), or they leave the table as cleanup's rows do.",
    ),
  set: cellValues().optional().describe('Columns that `mark` sets, such as { status: "spoiled" }.'),
})

/** A value that fades: `value(t) = clamp(shape(base, t - since), floor, ceiling)`. */
export const decaySchema = section({
  name: text("a short name").describe("Name of the rule."),
  table: tableName().describe("Table whose rows lose value over time."),
  column: columnName().describe("Number that decays."),
  since: columnName().describe("Time from which the age of a row is counted."),
  base: z
    .union([columnName(), z.number()], { error: "a column that never changes, or a number" })
    .optional()
    .meta({ takes: "a column or a number" })
    .describe(
      "The value at the time `since`: a column that never changes, or a number. With it the value is computed from there each time; without it, from the value of the last run.",
    ),
  halfLife: z
    .union([duration(), joinedHalfLife], { error: 'a time such as "3 days", or { table, column, by }' })
    .optional()
    .meta({ takes: 'a time such as "3 days", or { table, column, by }' })
    .describe("Time after which half of the value is left: one for all, or by row from another table."),
  linear: section({
    amount: number("a number").describe("How much is lost."),
    every: duration().describe("In which time."),
  })
    .optional()
    .describe("Loses the same amount in the same time."),
  steps: list(
    section({
      after: duration().describe("Age of the row."),
      share: fraction(0, 1, "a share").describe("Share of `base` that is left from then on."),
    }),
    "steps",
  )
    .optional()
    .describe("Falls in steps. Needs `base`."),
  expression: text("an SQL expression")
    .optional()
    .describe(
      "SQL for the value, from `base`, `age_days` (both double precision) and the row's columns as `item.column`. Needs `base`.",
    ),
  floor: number("a number").default(0).describe("Value below which nothing decays."),
  ceiling: number("a number").optional().describe("Value above which nothing is."),
  where: text("an SQL condition")
    .optional()
    .describe("Only rows for which this is true, such as `discarded_at is null`."),
  every: duration().prefault("1 day").describe("Length of a step. Ages are counted in whole steps."),
  timezone: timeZone().default("UTC").describe("Time zone in which steps of whole days begin at midnight."),
  thresholds: list(threshold, "thresholds").default([]).describe("What happens to rows that fall that low."),
  maxCatchUp: duration()
    .prefault("30 days")
    .describe("A run that is later than this asks first: it changes nothing until it is started with `--catch-up`."),
  batchRows: whole(100, 1_000_000, "a number of rows").default(20_000).describe("Rows that one statement looks at."),
})

export type DecayConfig = z.output<typeof decaySchema>
