import type { Client } from "pg"
import { z } from "zod"
import { quoteName, quoteTable, renderTableName } from "../postgres/name.ts"
import { blockedCountSql } from "../postgres/pressure.ts"
import { describeTable, type ForeignKey } from "../postgres/table.ts"
import { withTransaction } from "../postgres/transaction.ts"
import { usualBatchLimits } from "./apply.ts"
import { movePart } from "./archive-state.ts"
import { orderNames, partTable, preferPlaces, type Walk } from "./archive-walk.ts"
import type { RowSelection, Target } from "./contract.ts"

export type DeleteOrder = {
  walk: Walk
  target: Target
  /** Its row in `ops.archive_part`. */
  id: string
  rows: number
  sealedSha256: string
  /** Keys that would take rows of other tables along: a row that they refer to stays. */
  cascading: readonly ForeignKey[]
  /** Waits for rows that others have locked, instead of leaving them. */
  waitsForLocks: boolean
}

/** What left the table, and which rows of the part (counted from 1) did not. `waiting`: sessions that waited for this one. */
export type DeletedPart = { rowsDeleted: number; rowsKept: number[]; waiting: number }

/**
 * Deletes the rows of a verified part and notes that in the same transaction. Of each row exactly the version that was archived: one that
 * was changed since, is locked by others, held, or matches the rule no longer stays where it is, and is named. First all rows
 * are locked, then a statement with a newer view of everything else deletes them: nobody can hold or refer to one in between.
 */
export async function deletePart(client: Client, order: DeleteOrder): Promise<DeletedPart> {
  const { lockTimeoutMs, patientLockTimeoutMs, statementTimeoutMs } = usualBatchLimits
  const limits = { lockTimeoutMs: order.waitsForLocks ? patientLockTimeoutMs : lockTimeoutMs, statementTimeoutMs }
  return withTransaction(client, limits, async () => {
    await client.query(preferPlaces)
    await guard(client, order)
    await lockRows(client, order)
    const deleted = await deleteRows(client, order)
    const { waiting, ...facts } = deleted
    if (facts.rowsDeleted + facts.rowsKept.length !== order.rows)
      throw new Error(
        `of ${order.rows} archived rows ${facts.rowsDeleted} were deleted and ${facts.rowsKept.length} kept`,
      )
    await movePart(client, order.id, "verified", "deleted", { ...facts, sealedSha256: order.sealedSha256 })
    return deleted
  })
}

/** Foreign keys through which a deleted row of the target takes rows of other tables along, which nothing would archive. */
export async function cascadingKeys(client: Client, { table }: RowSelection, target: Target): Promise<ForeignKey[]> {
  const own = target.oid === table.oid ? [] : (await describeTable(client, renderTableName(target))).incoming
  return [...table.incoming, ...own].filter(({ onDelete }) => onDelete === "cascade")
}

const guarded = z.object({ holdsExist: z.boolean(), oid: z.string().nullable() })

/** Nobody places a hold before this transaction is over. The table must be the one of the plan. */
async function guard(client: Client, { walk, target }: DeleteOrder): Promise<void> {
  const { rows } = await client.query(
    `select to_regclass('ops.legal_hold') is not null as "holdsExist", to_regclass($1)::oid::text as oid`,
    [quoteTable(target)],
  )
  const { holdsExist, oid } = guarded.parse(rows[0])
  if (oid !== target.oid)
    throw new Error(
      `table ${renderTableName(target)} is gone or was replaced since this run was planned: the next run plans anew`,
    )
  if (holdsExist !== walk.selection.hasHolds)
    throw new Error("ops.legal_hold was made or removed since this run was planned: the next run plans anew")
  if (holdsExist) await client.query("lock table ops.legal_hold in share mode")
}

async function lockRows(client: Client, { walk, target, waitsForLocks }: DeleteOrder): Promise<void> {
  const { condition, values } = walk.selection
  await client.query(
    `with locked as materialized (
       select p.ordinal from ${partTable} p join only ${quoteTable(target)} t on t.ctid = p.row_id
        where t.xmin::text = p.version and ${condition}
        order by p.ordinal for update of t ${waitsForLocks ? "" : "skip locked"})
     update ${partTable} p set is_ours = true from locked where p.ordinal = locked.ordinal`,
    values,
  )
}

const deletedRow = z.object({ rowsDeleted: z.number(), rowsKept: z.array(z.number()), waiting: z.number() })

async function deleteRows(client: Client, { walk, target, cascading }: DeleteOrder): Promise<DeletedPart> {
  const { selection } = walk
  const { rows } = await client.query(
    `with gone as (
       delete from only ${quoteTable(target)} t using ${partTable} p
        where p.is_ours and t.ctid = p.row_id and t.xmin::text = p.version ${sameKey(selection)}
          and ${selection.condition} ${cascading.map(withoutChildren).join(" ")}
        returning p.ordinal)
     select (select count(*)::int from gone) as "rowsDeleted",
            array(select p.ordinal from ${partTable} p
                   where not exists (select from gone where gone.ordinal = p.ordinal) order by p.ordinal) as "rowsKept",
            ${blockedCountSql} as waiting`,
    selection.values,
  )
  return deletedRow.parse(rows[0])
}

/** Place and version say already which row it is. The key is compared byte by byte, by a function that is found on any search path. */
function sameKey(selection: RowSelection): string {
  const { table, orderColumns } = selection
  if (table.primaryKey.length === 0) return ""
  const names = orderNames(selection)
  const own = table.primaryKey.map((column) => `t.${quoteName(column)}`)
  const archived = table.primaryKey.map((column) => `p.${names[orderColumns.indexOf(column)]}`)
  return `and pg_catalog.record_image_eq(row(${own.join(", ")}), row(${archived.join(", ")}))`
}

function withoutChildren({ from, columns, toColumns }: ForeignKey): string {
  const pairs = columns.map((column, index) => `child.${quoteName(column)} = t.${quoteName(toColumns[index] ?? "")}`)
  return `and not exists (select from ${quoteTable(from)} child where ${pairs.join(" and ")})`
}
