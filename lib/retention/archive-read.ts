import type { Client } from "pg"
import { to as copyTo } from "pg-copy-streams"
import { z } from "zod"
import { quoteName, quoteTable, type TableName } from "../postgres/name.ts"
import { pinnedSettings } from "../postgres/pinned-settings.ts"
import { withTransaction } from "../postgres/transaction.ts"
import { type Counts, sealStream } from "../seal/seal.ts"
import type { ArchivedColumn } from "./archive-manifest.ts"
import {
  choosePart,
  orderNames,
  type PartSize,
  type Position,
  partTable,
  preferPlaces,
  type Walk,
} from "./archive-walk.ts"

/** For reading, which locks nobody out: a table that is locked against it is waited for, but not for ever. */
export const readLimits = { lockTimeoutMs: 10_000, statementTimeoutMs: 10 * 60_000 }

/** Rows of one part, sealed. Which they are stands in the session's table of the part, for the delete that follows. */
export type SealedPart = {
  rows: number
  /** As they were when the rows were read. */
  columns: ArchivedColumn[]
  last: Position
  /** Age of the first and the last row, where the rule goes by one. */
  ages?: { column: string; first: string; last: string }
  readAt: Date
  chunks: Uint8Array[]
  counts: Counts
}

/**
 * Reads the next rows behind `after` in one snapshot and seals them for `keys`. Sealed they stay in memory until they are stored: so the
 * snapshot, which keeps VACUUM from its work, lasts as long as the reading and not as long as a slow store takes. `undefined` when
 * there are no more.
 */
export async function readPart(
  client: Client,
  walk: Walk,
  after: Position | undefined,
  size: PartSize,
  keys: string[],
): Promise<SealedPart | undefined> {
  await client.query(`truncate ${partTable}`)
  const read = await withTransaction(
    client,
    { ...readLimits, isolation: "repeatable read", readOnly: true },
    async () => {
      await client.query(preferPlaces)
      const rows = await choosePart(client, walk, after, size)
      if (rows === 0) return undefined
      await client.query(`select ${pins("true")}`)
      const bounds = await readBounds(client, walk)
      const columns = await listColumns(client, walk.target)
      return { rows, columns, ...bounds, ...(await sealRows(client, walk.target, columns, keys)) }
    },
  )
  if (read === undefined) return undefined
  const { copied, ...part } = read
  if (copied() === part.rows) return part
  throw new Error(`${part.rows} rows were chosen for a part of the archive and ${copied()} were read`)
}

/** The pinned settings as calls, for one transaction (`true`) or the session (`false`). */
export function pins(isLocal: "true" | "false"): string {
  return Object.entries(pinnedSettings)
    .map(([name, value]) => `set_config('${name}', '${value}', ${isLocal})`)
    .join(", ")
}

const columnRow = z.object({ name: z.string(), type: z.string(), isGenerated: z.boolean(), isIdentity: z.boolean() })

/** Columns of a table as they are now, with types that mean the same whatever the search path is. */
export async function readColumns(client: Client, table: TableName): Promise<ArchivedColumn[]> {
  return withTransaction(client, { ...readLimits, readOnly: true }, async () => {
    await client.query(`select ${pins("true")}`)
    return listColumns(client, table)
  })
}

/** The same where settings are pinned already. */
async function listColumns(client: Client, table: TableName): Promise<ArchivedColumn[]> {
  const { rows } = await client.query(
    `select a.attname as name, format_type(a.atttypid, a.atttypmod) as type,
            a.attgenerated <> '' as "isGenerated", a.attidentity = 'a' as "isIdentity"
       from pg_attribute a where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped order by a.attnum`,
    [quoteTable(table)],
  )
  return z.array(columnRow).parse(rows)
}

const boundsRow = z.object({
  now: z.date(),
  place: z.string().nullable(),
  first: z.array(z.string()),
  last: z.array(z.string()),
})

/** First and last row of the part. Settings must be pinned: the values come back as text. */
async function readBounds(client: Client, { selection, isListed }: Walk) {
  const order = (row: string) => `array[${orderNames(selection).map((name) => `${row}.${name}::text`)}]::text[]`
  const { rows } = await client.query(
    `select now(), l.place::text, ${order("f")} as first, ${order("l")} as last
       from ${partTable} f, ${partTable} l
      where f.ordinal = 1 and l.ordinal = (select max(ordinal) from ${partTable})`,
  )
  const { now, place, first, last } = boundsRow.parse(rows[0])
  const { orderColumns, table } = selection
  const at = orderColumns.findIndex((name) => !table.primaryKey.includes(name))
  const [column, from, to] = [orderColumns[at], first[at], last[at]]
  return {
    readAt: now,
    last: isListed && place !== null ? [place] : last,
    ...(column !== undefined && from !== undefined && to !== undefined && { ages: { column, first: from, last: to } }),
  }
}

/** The rows of the part as CSV with a header, exact for every type: what COPY writes, COPY reads. */
async function sealRows(client: Client, target: TableName, columns: readonly ArchivedColumn[], keys: string[]) {
  const list = columns.map(({ name }) => `t.${quoteName(name)}`).join(", ")
  const copy = client.query(
    copyTo(
      `copy (select ${list} from ${partTable} p join only ${quoteTable(target)} t on t.ctid = p.row_id order by p.ordinal)
         to stdout (format csv, header, encoding 'UTF8')`,
    ),
  )
  const { sealed, counts } = sealStream(copy, { keys })
  const chunks: Uint8Array[] = []
  try {
    for await (const chunk of sealed) chunks.push(chunk)
  } catch (error) {
    // A COPY that is not read to its end leaves a session that no later statement gets through.
    if (!(error instanceof Error && "severity" in error)) client.connection.stream.destroy()
    throw error
  }
  // The server says how many rows there were behind the last one: known when the next statement was answered.
  return { copied: () => copy.rowCount, chunks, counts: counts() }
}
