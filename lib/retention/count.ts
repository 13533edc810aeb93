import type { Client } from "pg"
import { z } from "zod"
import { quoteTable, type TableName } from "../postgres/name.ts"

/** Above this many rows a table is not counted: the planner's idea of it is good enough for a share. */
const countedRows = 1_000_000

/** How many rows a table has: counted, or for a large one estimated. */
export async function countRows(
  client: Client,
  table: TableName & { estimatedRows: number },
): Promise<{ rows: number; isEstimate: boolean }> {
  if (table.estimatedRows >= countedRows) return { rows: table.estimatedRows, isEstimate: true }
  const { rows } = await client.query(`select count(*)::float8 as rows from ${quoteTable(table)}`)
  return { ...z.object({ rows: z.number() }).parse(rows[0]), isEstimate: false }
}
