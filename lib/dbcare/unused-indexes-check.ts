import type { Client } from "pg"
import { z } from "zod"
import { formatBytes, formatCounted } from "../core/size.ts"
import type { CareCheck, CareSample } from "./check.ts"
import { dropIndex, makeIndex } from "./index-statements.ts"
import { indexUse, teamIndexes, useFields } from "./team-indexes.ts"
import { ask, noteClosed } from "./team-relations.ts"
import { noteOf, outcomeAt, type Weighed, worstFirst } from "./worst-first.ts"

/** Smaller ones cost little and are not worth the question. */
const worthBytes = 1_048_576
const sampledIndexes = 20
const dayMs = 86_400_000

const indexRow = z.object({
  oid: z.coerce.number(),
  schema: z.string(),
  name: z.string(),
  table: z.string(),
  isPartitioned: z.boolean(),
  ...useFields,
  lastScan: z.date().nullable(),
  servesForeignKey: z.boolean(),
  definition: z.string(),
})

type ReadIndex = z.output<typeof indexRow>

const statisticsRow = z.object({
  since: z.date().nullable(),
  newestOid: z.coerce.number(),
  replicas: z.coerce.number(),
})

/** Indexes that no query of this server used for a long time. */
export const unusedIndexesCheck: CareCheck = {
  name: "unused-indexes",
  about: "indexes of 1 MB or more that nothing read for long, and that enforce nothing",
  needs: "nothing",
  unit: "days without use",
  threshold: { warn: 30 },
  severity: "P3",
  async run({ client, earlier, now }, threshold) {
    const { since, newestOid, replicas } = await readStatistics(client)
    const countedDays = since ? (now.getTime() - since.getTime()) / dayMs : 0
    const indexes = await ask(client, indexRow, query, [worthBytes])
    const numbers = {
      "indexes.newestOid": newestOid,
      ...Object.fromEntries(indexes.slice(0, sampledIndexes).map((index) => [scansNumber(index), index.scans])),
    }
    const wanted = threshold.warn ?? threshold.fail ?? 0
    const found = indexes.flatMap((index): Weighed[] => {
      if (index.servesForeignKey) return []
      const unusedDays = daysWithoutUse(index, { countedDays, earlier, now })
      const outcome = outcomeAt(unusedDays, threshold)
      return outcome ? [describe(index, unusedDays, outcome)] : []
    })
    const isNewKnown = earlier.some((sample) => "indexes.newestOid" in sample.numbers && ageDays(sample, now) >= wanted)
    const young =
      countedDays < wanted
        ? [`use is counted for ${formatCounted(Math.floor(countedDays), "day")} only, ${wanted} are wanted`]
        : []
    const notes = [
      ...(await noteClosed(client)),
      ...young,
      ...(found.length > 0 && !isNewKnown
        ? ["what was made lately cannot be told from the rest yet: see when each index was made"]
        : []),
      ...noteOf(
        replicas,
        "replica",
        "may use them too, and count by themselves: look there before anything is dropped",
      ),
    ]
    return worstFirst(indexes.length, found, { numbers, notes })
  },
}

/**
 * Days for which nothing read an index; 0 where that is not known. By the time of its last use (from Postgres 16), by counts that did not
 * grow between samples, or by a count of none since counting began. An index that is younger than the oldest sample is as old as the
 * newest sample that did not know it. Pure.
 */
export function daysWithoutUse(
  index: Pick<ReadIndex, "oid" | "schema" | "name" | "scans" | "lastScan">,
  { countedDays, earlier, now }: { countedDays: number; earlier: readonly CareSample[]; now: Date },
): number {
  const known = earlier.filter(
    (sample) => (sample.numbers["indexes.newestOid"] ?? Number.POSITIVE_INFINITY) < index.oid,
  )
  const oldest = known.length > 0 ? Math.min(...known.map((sample) => ageDays(sample, now))) : Number.POSITIVE_INFINITY
  if (index.scans === 0) return Math.min(countedDays, oldest)
  if (index.lastScan) return (now.getTime() - index.lastScan.getTime()) / dayMs
  const name = scansNumber(index)
  const sampled = earlier.filter((sample) => name in sample.numbers && ageDays(sample, now) <= countedDays)
  const steady = sampled.slice(sampled.findLastIndex((sample) => sample.numbers[name] !== index.scans) + 1)
  return steady[0] ? Math.min(ageDays(steady[0], now), oldest) : 0
}

function scansNumber({ schema, name }: Pick<ReadIndex, "schema" | "name">): string {
  return `index.${schema}.${name}.scans`
}

function ageDays({ at }: CareSample, now: Date): number {
  return (now.getTime() - at.getTime()) / dayMs
}

/** Counting began at the newest of the resets: a crash loses all counts, and then only those of the server tell when. */
async function readStatistics(client: Client): Promise<z.output<typeof statisticsRow>> {
  const rows = await ask(
    client,
    statisticsRow,
    `select greatest((select stats_reset from pg_catalog.pg_stat_database where datname = pg_catalog.current_database()),
                     (select stats_reset from pg_catalog.pg_stat_bgwriter)) as since,
            (select pg_catalog.max(indexrelid::bigint) from pg_catalog.pg_index) as "newestOid",
            (select pg_catalog.count(*) from pg_catalog.pg_stat_replication) as replicas`,
  )
  return z.tuple([statisticsRow]).parse(rows)[0]
}

/** The largest first. One whose first columns are those of a foreign key works only when a row that is referred to goes. */
const query = `
  with team as materialized (${teamIndexes}), use as (${indexUse("select oid from team where not guards and not indisunique")})
  select t.oid::bigint, t.schema, t.name, t.table_name as "table", t.is_partitioned as "isPartitioned", u.bytes, u.scans,
         (select pg_catalog.max((pg_catalog.to_jsonb(s)->>'last_idx_scan')::timestamptz) from pg_catalog.pg_stat_all_indexes s
           where s.indexrelid = t.oid) as "lastScan",
         exists (select from pg_catalog.pg_constraint k
                  where k.conrelid = t.indrelid and k.contype = 'f'
                    and k.conkey <@ (t.indkey::pg_catalog.int2[])[0:pg_catalog.cardinality(k.conkey) - 1]) as "servesForeignKey",
         pg_catalog.pg_get_indexdef(t.oid) as definition
    from team t
    join use u using (oid)
   where not t.guards and not t.indisunique and u.bytes >= $1
   order by u.bytes desc, t.oid`

function describe(index: ReadIndex, unusedDays: number, outcome: "warn" | "fail"): Weighed {
  const { schema, name, table, bytes, scans, isPartitioned, definition } = index
  const days = Math.floor(unusedDays)
  return {
    item: `${schema}.${name}`,
    outcome,
    weight: bytes,
    detail: `${formatBytes(bytes)} on ${table}, not read for ${formatCounted(days, "day")} or more`,
    evidence: { table: `${schema}.${table}`, bytes, scans, unusedDays: days },
    remedy: {
      advice:
        "ask whether a rare report or a quarterly job wants it, and look at the replicas; then drop it, and keep the statement that makes it again",
      run: [dropIndex(index, isPartitioned)],
      undo: [makeIndex(definition, isPartitioned)],
    },
  }
}
