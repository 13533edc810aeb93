import type { Client } from "pg"
import { z } from "zod"
import { quoteTable } from "../postgres/name.ts"
import { withTransaction } from "../postgres/transaction.ts"
import type { RowSelection } from "./contract.ts"

/**
 * Counts in one new snapshot what matches a selection, and what would but for a legal hold. The server compiles nothing: for the many
 * parts of such a condition that takes longer than the count.
 */
export async function countMatching(
  client: Client,
  { targets, condition, withoutHolds, values }: RowSelection,
  statementTimeoutMs: number,
): Promise<{ left: number; heldBack: number }> {
  const counts = { left: 0, heldBack: 0 }
  const options = { isolation: "repeatable read", readOnly: true, statementTimeoutMs } as const
  await withTransaction(client, options, async () => {
    await client.query("set local jit = off")
    for (const target of targets) {
      const { rows } = await client.query(
        `select count(*) filter (where ${condition})::float8 as matching, count(*)::float8 as all
           from only ${quoteTable(target)} t where ${withoutHolds}`,
        values,
      )
      const { matching, all } = z.object({ matching: z.number(), all: z.number() }).parse(rows[0])
      counts.left += matching
      counts.heldBack += all - matching
    }
  })
  return counts
}
