import type { Client } from "pg"
import type { CellValue } from "../config/cell-value.ts"
import type { CleanupAction } from "../config/cleanup-schema.ts"
import type { Log } from "../core/log.ts"
import type { TableName } from "../postgres/name.ts"
import type { Table } from "../postgres/table.ts"

/** A table of its own storage that holds rows of the rule: the table itself, a leaf partition or a heir. Read it with `only`. */
export type Target = TableName & {
  oid: string
  /** Matching rows at the time of the plan; those with none are left out. */
  count: number
}

/**
 * Rows of a table as SQL on its alias `t`, for `from only <target> t where <condition>`. Evaluate it anew in each statement that
 * changes rows: it leaves out what is held, what is still referred to, and what was done already. Rows that others of the same rule refer
 * to match only when those are gone: begin again from the first row until a whole pass changes none.
 */
export type RowSelection = {
  table: Table
  alias: "t"
  /** In parentheses, spans lines. Uses `$1` to `$<values.length>`; further parameters come behind them. */
  condition: string
  values: unknown[]
  /** Quoted with alias, such as `t."created_at"`: the age, where there is one, then the primary key. None of them is null in a matching row. */
  orderBy: string[]
  /** Names of the columns of `orderBy`, as the catalogue has them. */
  orderColumns: string[]
  /**
   * How batches find rows. `ordered`: an index gives them in the order of `orderBy`, so each batch continues behind the last row of the one
   * before. `listed`: no index can (orphans, duplicates), so the keys (or, without a primary key, the ctids) of all matching rows are
   * written to a temporary table once and batches take theirs from it, with the condition checked again.
   */
  walk: "ordered" | "listed"
  targets: Target[]
  /** The same condition but for legal holds: what `heldBack` counts is this minus `condition`. */
  withoutHolds: string
  /** Whether `ops.legal_hold` is in the condition: each batch first takes `lock table ops.legal_hold in share mode` then. */
  hasHolds: boolean
  /** The condition may ask other tables, so that the answer for a row can change after a look at it and before its lock. */
  asksElsewhere?: boolean
  /** Of rows that repeat each other; each batch locks one that stays before it deletes the others, so that the last one is never lost. */
  twins?: Twins
}

/** SQL about a row `t` that is to go and another one, `o`, that says the same. */
export type Twins = {
  /** Columns of `t` that are equal in both. */
  columns: string[]
  /** What to read `o` from, with its `tableoid` and `ctid`. */
  rows: string
  isTwin: string
  /** `o` stays rather than `t`. */
  isBetter: string
  /** For `order by`: the one that stays comes first. */
  bestFirst: string
}

/** Rows of other tables that change with those of the rule, through foreign keys. */
export type CascadeCount = TableName & {
  /** Name of the foreign key that leads there. */
  through: string
  effect: "deleted" | "set null" | "set default"
  count: number
}

export type PlannedPartition = TableName & {
  oid: string
  /** Direct parent, which it is taken off. */
  parent: TableName
  /** `FOR VALUES FROM (…) TO (…)`, as the catalogue renders it. */
  bounds: string
  rows: number
  bytes: number
}

/** What an apply would do. A value: nothing was changed to make it. */
export type CleanupPlan = {
  rule: string
  action: CleanupAction
  selection: RowSelection
  /** Rows that match. For `drop` and `detach`: rows of the whole partitions. */
  count: number
  tableRows: number
  /** Percent of the table, with the rows that go by cascade counted in `count` only. */
  share: number
  /** Of the age column, in ISO 8601. */
  oldest?: string
  newest?: string
  /** Keys of a few rows, for the page of a dry run by hand alone. */
  sampleKeys: string[]
  /** For `drop` and `detach`, oldest first. */
  partitions?: PlannedPartition[]
  /** For `anonymise` and `set`: what is written into which columns. */
  set?: Record<string, CellValue>
  cascades: CascadeCount[]
  /** Rows that would match but for a legal hold. */
  heldBack: number
  /** Rows that would match but are still referred to by a key without an action. */
  referredTo: number
  /** Why it must not run; empty when it may. */
  refusals: string[]
  notes: string[]
  /** The statement that a batch would run, and how the server would run it. */
  explain: { statement: string; lines: string[] }
  cutoff?: Date
}

export type ApplyContext = {
  /** In the exclusive session; outside of a transaction. */
  client: Client
  slot: Date
  log: Log
  signal: AbortSignal
  /** Id of the run. */
  run: string
  /** Rows of this run at most, from `--limit`. */
  limit?: number
}

/** What really changed. */
export type Applied = {
  /** Rows deleted, archived or changed; of whole partitions what was in them. */
  removed: number
  batches: number
  /** Rows that still match `condition` afterwards, counted in a new snapshot. */
  left: number
  /** Rows that match but for a legal hold, counted with `left`. */
  heldBack: number
  notes: string[]
  /** Whether a VACUUM ran and was seen to have run; absent when none was due. */
  vacuumed?: boolean
}
