import type { z } from "zod"
import { cellValues } from "./cell-value.ts"
import { choice, columnName, duration, fraction, list, section, tableName, text, timeZone, whole } from "./fields.ts"

/** What is done to the rows that a rule finds. */
export const cleanupActions = ["delete", "archive", "drop", "detach", "anonymise", "set", "report"] as const

/** Rows that are done with. Which they are is said by one of `olderThan`, `orphans`, `duplicates` and `stuck`. */
export const cleanupSchema = section({
  name: text("a short name").describe("Name of the rule."),
  table: tableName().describe("Table that the rule is about."),
  column: columnName()
    .optional()
    .describe("Time that says how old a row is, for `olderThan`, `stuck` and the order of `duplicates`."),
  olderThan: duration().optional().describe("Rows whose `column` is older than this."),
  orphans: section({
    column: columnName().describe("Column that refers to a row which no longer exists."),
    of: tableName().describe("Table that it refers to."),
    key: columnName().optional().describe("Column that is referred to; the primary key unless told."),
  })
    .optional()
    .describe("Rows whose parent is gone."),
  duplicates: section({
    by: list(columnName(), "columns")
      .refine((columns) => columns.length > 0, "a list of columns")
      .describe("Columns that are equal in rows that say the same."),
    keep: choice(["newest", "oldest"]).default("newest").describe("Which of them stays, by `column`, then by key."),
  })
    .optional()
    .describe("Rows that another row repeats."),
  stuck: section({
    longerThan: duration().describe("How long a healthy job is at most in this state."),
    where: text("an SQL condition").describe("The state, such as `status = 'running'`."),
  })
    .optional()
    .describe("Rows of a job table that nobody works on any more."),
  where: text("an SQL condition").optional().describe("Only rows for which this is true, such as `level = 'debug'`."),
  action: choice(cleanupActions)
    .optional()
    .describe(
      "`delete` (for `olderThan`, unless told), `archive` (sealed to the store, read back, then deleted), `drop` or `detach` whole partitions, `anonymise` or `set` columns, or `report` (for all others, unless told).",
    ),
  set: cellValues().optional().describe("What `anonymise` and `set` write into which columns."),
  timezone: timeZone().default("UTC").describe("Time zone of a `column` that has none, and of the day of a `date`."),
  maxRows: whole(1, 1_000_000_000, "a number of rows")
    .default(5_000_000)
    .describe("A run that would take more rows takes none, until it is started with `--allow-large`."),
  maxShare: fraction(0, 100, "a percentage").default(20).describe("The same for a share of the table, in percent."),
  warnAt: whole(1, 1_000_000_000, "a number of rows")
    .default(1)
    .describe("For `report`: from how many rows on people hear of it."),
})

export type CleanupConfig = z.output<typeof cleanupSchema>
export type CleanupAction = (typeof cleanupActions)[number]
