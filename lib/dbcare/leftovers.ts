import type { Client } from "pg"
import { formatBytes } from "../core/size.ts"
import { quoteTable, renderTableName } from "../postgres/name.ts"
import type { ActionResult, IndexRef } from "./actions.ts"
import { indexQuery, indexRow } from "./index-bloat.ts"
import type { IndexFacts } from "./maintenance-state.ts"

const suffix = /_cc(?:new|old)\d*$/

/** A name of the catalogue has at most so many bytes: a long one is cut before the suffix. */
const longestName = 63

/**
 * The index that an interrupted REINDEX CONCURRENTLY was rebuilding when it left this one behind: invalid, with the suffix that the server
 * gives, beside a valid index of the same definition that has its name without it. `undefined` for all other indexes.
 */
export function leftoverBase(
  index: Pick<IndexFacts, "name" | "isValid" | "tableOid" | "definition">,
  indexes: readonly Pick<IndexFacts, "name" | "isValid" | "tableOid" | "definition">[],
): string | undefined {
  if (index.isValid || !suffix.test(index.name)) return undefined
  const stem = index.name.replace(suffix, "")
  const isCut = Buffer.byteLength(index.name) >= longestName - 4
  const base = indexes.find(
    (other) =>
      other.isValid &&
      other.tableOid === index.tableOid &&
      other.definition === index.definition &&
      (other.name === stem || (isCut && other.name.startsWith(stem))),
  )
  return base?.name
}

/** Drops one leftover beside readers and writers, and sees that it is gone. Throws what the server answers. */
export async function dropLeftover(client: Client, index: IndexRef, sizeBytes: number): Promise<ActionResult> {
  if (!(await isStillInvalid(client, index)))
    return { end: "gone", detail: "it is gone, or was made valid, since the plan was made" }
  await client.query(`DROP INDEX CONCURRENTLY ${quoteTable(index)}`)
  if (await exists(client, index))
    return { end: "failed", detail: "it was dropped without an error, and is still there" }
  return { end: "done", detail: `dropped, ${formatBytes(sizeBytes)} freed`, beforeBytes: sizeBytes, afterBytes: 0 }
}

/** All indexes of the table of an index, whatever their state. */
export async function siblingsOf(client: Client, { table }: { table: { oid: string } }): Promise<IndexFacts[]> {
  const { rows } = await client.query(`select * from (${indexQuery}) i where "tableOid" = $1`, [table.oid])
  return rows.map((row) => indexRow.parse(row))
}

/**
 * Drops what rebuilding an index left: what looks like a leftover of it, and what was not there `before`, even where the index itself is
 * invalid still. Returns the names of what was dropped.
 */
export async function sweepAfter(
  client: Client,
  order: { table: { oid: string }; index: IndexRef; before: readonly IndexFacts[] },
): Promise<string[]> {
  const all = await siblingsOf(client, order)
  const isNew = ({ oid, name, isValid }: IndexFacts) =>
    !isValid && suffix.test(name) && order.before.every((one) => one.oid !== oid)
  const left = all.filter((one) => !one.isBeingBuilt && (isNew(one) || leftoverBase(one, all) === order.index.name))
  for (const one of left) await client.query(`DROP INDEX CONCURRENTLY ${quoteTable(one)}`)
  return left.map(renderTableName)
}

async function isStillInvalid(client: Client, { oid, name }: IndexRef): Promise<boolean> {
  const { rows } = await client.query(
    "select from pg_index i join pg_class c on c.oid = i.indexrelid where c.oid = $1 and c.relname = $2 and not i.indisvalid",
    [oid, name],
  )
  return rows.length > 0
}

async function exists(client: Client, { oid }: IndexRef): Promise<boolean> {
  return (await client.query("select from pg_class where oid = $1", [oid])).rows.length > 0
}
