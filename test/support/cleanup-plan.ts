import type { Client } from "pg"
import type { CellValue } from "../../lib/config/cell-value.ts"
import type { Log } from "../../lib/core/log.ts"
import { quoteName, quoteTable } from "../../lib/postgres/name.ts"
import { describeTable } from "../../lib/postgres/table.ts"
import type { ApplyContext, CleanupPlan, RowSelection, Target } from "../../lib/retention/contract.ts"

/** Rows of a table, as a plan would select them. */
export type RowsOf = {
  table: string
  /** On the alias `t`. */
  where: string
  values?: unknown[]
  /** Columns in whose order batches go; the primary key unless told. */
  order?: string[]
  walk?: RowSelection["walk"]
  withoutHolds?: string
  hasHolds?: boolean
  set?: Record<string, CellValue>
}

/** A plan without the rule behind it: what an apply needs. */
export async function planOf(client: Client, rows: RowsOf): Promise<CleanupPlan> {
  const { where, values = [], walk = "ordered", set } = rows
  const table = await describeTable(client, rows.table)
  const orderColumns = rows.order ?? table.primaryKey
  const condition = `(\n${where}\n)`
  const targets = await targetsOf(client, table.oid, condition, values)
  const selection: RowSelection = {
    table,
    alias: "t",
    condition,
    values,
    orderBy: orderColumns.map((column) => `t.${quoteName(column)}`),
    orderColumns,
    walk,
    targets,
    withoutHolds: rows.withoutHolds ?? condition,
    hasHolds: rows.hasHolds ?? false,
  }
  const count = targets.reduce((sum, target) => sum + target.count, 0)
  return {
    rule: "old rows",
    action: set ? "set" : "delete",
    selection,
    count,
    tableRows: table.estimatedRows,
    share: 0,
    sampleKeys: [],
    ...(set ? { set } : {}),
    cascades: [],
    heldBack: 0,
    referredTo: 0,
    refusals: [],
    notes: [],
    explain: { statement: "", lines: [] },
  }
}

async function targetsOf(client: Client, oid: string, condition: string, values: unknown[]): Promise<Target[]> {
  const { rows } = await client.query<Omit<Target, "count">>(
    `with recursive family as (
       select $1::oid as oid union all select i.inhrelid from pg_inherits i join family on family.oid = i.inhparent)
     select c.oid::text, n.nspname as schema, c.relname as name from family join pg_class c using (oid)
       join pg_namespace n on n.oid = c.relnamespace where c.relkind = 'r' order by c.relname`,
    [oid],
  )
  const targets: Target[] = []
  for (const row of rows) {
    const counted = await client.query<{ count: number }>(
      `select count(*)::float8 as count from only ${quoteTable(row)} t where ${condition}`,
      values,
    )
    const count = counted.rows[0]?.count ?? 0
    if (count > 0) targets.push({ ...row, count })
  }
  return targets
}

/** A log that keeps every line. */
export function recordingLog(): Log & { lines: string[] } {
  const lines: string[] = []
  const add = (message: string) => void lines.push(message)
  return { lines, debug: add, info: add, warn: add, error: add, progress: () => ({ at() {}, done() {} }) }
}

export function applyContext<More extends object>(client: Client, more: More = {} as More): ApplyContext & More {
  return {
    client,
    slot: new Date("2026-03-01T04:00:00Z"),
    log: recordingLog(),
    signal: new AbortController().signal,
    run: "test-run",
    ...more,
  }
}
