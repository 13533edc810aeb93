import { z } from "zod"
import { formatBytes } from "../core/size.ts"
import type { CareCheck, Threshold } from "./check.ts"
import { dropIndex, makeIndex } from "./index-statements.ts"
import { indexUse, readDefinitions, teamIndexes, useFields } from "./team-indexes.ts"
import { ask, noteClosed } from "./team-relations.ts"
import { outcomeAt, type Weighed, worstFirst } from "./worst-first.ts"

/** An index as far as it matters whether another one does the same. */
export type ComparedIndex = {
  oid: number
  schema: string
  name: string
  tableOid: string
  table: string
  method: string
  isPartitioned: boolean
  /** The key columns in order, each with its operator class, collation and direction. */
  keys: string[]
  /** Columns that it only carries along. */
  included: string[]
  predicate: string | null
  isUnique: boolean
  isImmediate: boolean
  nullsEqual: boolean
  guards: boolean
  bytes: number
  scans: number
}

const indexRow = z.object({
  oid: z.coerce.number(),
  schema: z.string(),
  name: z.string(),
  tableOid: z.string(),
  table: z.string(),
  method: z.string(),
  isPartitioned: z.boolean(),
  keys: z.array(z.string()),
  included: z.array(z.string()),
  predicate: z.string().nullable(),
  isUnique: z.boolean(),
  isImmediate: z.boolean(),
  nullsEqual: z.boolean(),
  guards: z.boolean(),
  ...useFields,
})

/** Indexes that another index of the same table makes needless. */
export const duplicateIndexesCheck: CareCheck = {
  name: "duplicate-indexes",
  about: "indexes that are equal to another one, or whose columns another one begins with",
  needs: "nothing",
  unit: "bytes of an index that a longer one covers; equal ones count at any size",
  threshold: { warn: 1_048_576 },
  severity: "P3",
  async run({ client }, threshold) {
    const indexes = await ask(client, indexRow, query)
    const redundant = findRedundant(indexes)
    const definitions = await readDefinitions(
      client,
      redundant.map(({ index }) => index.oid),
    )
    const found = redundant.flatMap((one) => describe(one, definitions.get(one.index.oid) ?? "", threshold))
    return worstFirst(indexes.length, found, { notes: await noteClosed(client) })
  },
}

/** Only indexes that begin with the same column, or both with an expression, can cover each other. */
const query = `
  with everything as materialized (${teamIndexes}),
  team as materialized (
    select * from everything where (indrelid, relam, indkey[0]) in (
      select indrelid, relam, indkey[0] from everything group by 1, 2, 3 having pg_catalog.count(*) > 1)),
  use as (${indexUse("select oid from team")})
  select t.oid::bigint, t.schema, t.name, t.indrelid::text as "tableOid", t.table_name as "table", t.amname as method,
         t.is_partitioned as "isPartitioned", k.keys, k.included, t.predicate, t.indisunique as "isUnique",
         t.indimmediate as "isImmediate", t.nulls_equal as "nullsEqual", t.guards, u.bytes, u.scans
    from team t
    join use u using (oid)
    cross join lateral (
      select coalesce(pg_catalog.array_agg(pg_catalog.concat_ws(' ', c.attribute, t.indclass[at], t.indcollation[at], t.indoption[at])
               order by at) filter (where at < t.indnkeyatts), '{}') as keys,
             coalesce(pg_catalog.array_agg(c.attribute order by at) filter (where at >= t.indnkeyatts), '{}') as included
        from pg_catalog.generate_series(0, pg_catalog.array_length(t.indkey, 1) - 1) at
        cross join lateral (select case when t.indkey[at] = 0 then pg_catalog.pg_get_indexdef(t.oid, at + 1, false)
                                        else t.indkey[at]::text end as attribute) c) k`

type Redundant = { index: ComparedIndex; by: ComparedIndex; isEqual: boolean }

/**
 * The indexes that could go, each with one that stays and does its work. What guards something never goes; of two that are equal the one made
 * first stays. Pure.
 */
export function findRedundant(indexes: readonly ComparedIndex[]): Redundant[] {
  const byTable = Map.groupBy(indexes, ({ tableOid }) => tableOid)
  const found = [...byTable.values()].flatMap((all) =>
    all.flatMap((index) => {
      const coverers = all.filter((other) => covers(other, index))
      return coverers.length > 0 ? [{ index, coverers }] : []
    }),
  )
  const going = new Set(found.map(({ index }) => index.oid))
  return found.flatMap(({ index, coverers }) => {
    const by = coverers.find(({ oid }) => !going.has(oid))
    return by ? [{ index, by, isEqual: isSame(by.keys, index.keys) }] : []
  })
}

/** Whether `index` may go for `other`. Of two that could each go for the other, the one made first stays. */
function covers(other: ComparedIndex, index: ComparedIndex): boolean {
  return canReplace(other, index) && (!canReplace(index, other) || other.oid < index.oid)
}

/** Whether `other` does all that `index` does. */
function canReplace(other: ComparedIndex, index: ComparedIndex): boolean {
  if (other === index || index.guards || other.isPartitioned !== index.isPartitioned) return false
  if (other.method !== index.method || other.predicate !== index.predicate) return false
  const isEqual = isSame(other.keys, index.keys)
  const begins = index.method === "btree" && isSame(other.keys.slice(0, index.keys.length), index.keys)
  if (!isEqual && !begins) return false
  const carried = new Set([...other.keys.map((key) => key.split(" ", 1)[0]), ...other.included])
  if (!index.included.every((column) => carried.has(column))) return false
  return !index.isUnique || (isEqual && other.isUnique && other.isImmediate && other.nullsEqual === index.nullsEqual)
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((value, at) => value === b[at])
}

function describe({ index, by, isEqual }: Redundant, definition: string, threshold: Threshold): Weighed[] {
  const outcome = outcomeAt(index.bytes, isEqual ? { ...threshold, warn: 0 } : threshold)
  if (!outcome) return []
  const { schema, name, table, bytes, scans, isPartitioned } = index
  return [
    {
      item: `${schema}.${name}`,
      outcome,
      weight: bytes,
      detail: `${formatBytes(bytes)} on ${table}: ${isEqual ? "equal to" : "its columns are the first of"} ${by.name}, which stays`,
      evidence: { table: `${schema}.${table}`, covered_by: by.name, bytes, scans, coveringBytes: by.bytes },
      remedy: {
        advice: isEqual
          ? "drop one of the two: every write pays for both"
          : "the longer index answers the same queries, reading a little more; drop the shorter one unless it is much smaller and very busy",
        run: [dropIndex(index, isPartitioned)],
        undo: [makeIndex(definition, isPartitioned)],
      },
    },
  ]
}
