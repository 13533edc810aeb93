import type { Client } from "pg"
import { z } from "zod"

/**
 * Where a part is on its way. `writing`: its object may or may not exist. `verified`: it was stored, read back and described. `deleted`: its rows
 * left the table in the transaction that said so. `closed`: its receipt is on the store. `abandoned`: none of its rows was deleted.
 */
export type PartState = "writing" | "verified" | "deleted" | "closed" | "abandoned"

/** What became of the rows of a part: kept beside the state, so that a later run can write the receipt. */
export type Deleted = { sealedSha256: string; rowsDeleted: number; rowsKept: number[] }

/** A part as the database knows it. `key` is that of its rows on the store. */
export type PartRow = {
  id: string
  rule: string
  key: string
  state: PartState
  run: string
  facts: unknown
  changedAt: Date
}

const partRow = z.object({
  id: z.string(),
  rule: z.string(),
  key: z.string(),
  state: z.enum(["writing", "verified", "deleted", "closed", "abandoned"]),
  run: z.string(),
  facts: z.unknown(),
  /** In milliseconds: how a time is written depends on the session's DateStyle. */
  changedAt: z.number().transform((ms) => new Date(ms)),
})

const columns = `id, rule, object_key as key, state, run_id as run, facts, extract(epoch from changed_at)::float8 * 1000 as "changedAt"`

/** Notes that a part is about to be written; returns its id. */
export async function beginPart(
  client: Client,
  part: { rule: string; table: string; key: string; run: string },
): Promise<string> {
  const { rows } = await client.query(
    `insert into ops.archive_part (rule, table_name, object_key, state, run_id) values ($1, $2, $3, 'writing', $4) returning id`,
    [part.rule, part.table, part.key, part.run],
  )
  return z.string().parse(rows[0]?.id)
}

/** Moves a part on. Rejects when it is not where it must come from: then somebody else has dealt with it. */
export async function movePart(
  client: Client,
  id: string,
  from: PartState,
  to: PartState,
  facts: Partial<Deleted> = {},
): Promise<void> {
  const { rowCount } = await client.query(
    `update ops.archive_part set state = $3, facts = facts || $4::jsonb, changed_at = clock_timestamp() where id = $1 and state = $2`,
    [id, from, to, JSON.stringify(facts)],
  )
  if (rowCount !== 1)
    throw new Error(`part ${id} of ops.archive_part is not ${from} any more: something else changed it`)
}

export async function readPartRow(client: Client, id: string): Promise<PartRow> {
  const { rows } = await client.query(`select ${columns} from ops.archive_part where id = $1`, [id])
  return partRow.parse(rows[0])
}

/** Parts below `prefix` that are neither closed nor abandoned, in the order in which they were begun. */
export async function unfinishedParts(client: Client, prefix: string): Promise<PartRow[]> {
  const parts = await partsBelow(client, prefix)
  return parts.filter(({ state }) => state !== "closed" && state !== "abandoned")
}

/** All parts whose rows are on the store below `prefix`, in the order in which they were begun. */
export async function partsBelow(client: Client, prefix: string): Promise<PartRow[]> {
  const { rows } = await client.query(
    `select ${columns} from ops.archive_part where starts_with(object_key, $1) order by id`,
    [prefix],
  )
  return z.array(partRow).parse(rows)
}

const deleted = z.object({ sealedSha256: z.string(), rowsDeleted: z.number(), rowsKept: z.array(z.number()) })

/** What a part that is `deleted` or `closed` says of its rows. */
export function deletedOf({ facts }: PartRow): Deleted {
  return deleted.parse(facts)
}
