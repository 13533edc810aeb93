import { z } from "zod"
import { formatBytes } from "../core/size.ts"
import { quoteTable } from "../postgres/name.ts"
import type { CareCheck, Remedy } from "./check.ts"
import { dropIndex, makeIndex } from "./index-statements.ts"
import { ask, isOfTeam, isOpen, noteClosed, ownBytes } from "./team-relations.ts"
import { noteOf, type Weighed, worstFirst } from "./worst-first.ts"

const indexRow = z.object({
  looked: z.coerce.number(),
  schema: z.string(),
  name: z.string(),
  table: z.string(),
  isUnique: z.boolean(),
  isPartitioned: z.boolean(),
  guards: z.boolean(),
  isBuilding: z.boolean(),
  bytes: z.coerce.number(),
  definition: z.string(),
})

type InvalidIndex = z.output<typeof indexRow>

const noIndex = z.object({ looked: z.coerce.number(), schema: z.null() })

/** Indexes that cost every write and answer no query. */
export const invalidIndexesCheck: CareCheck = {
  name: "invalid-indexes",
  about: "indexes that a cut CREATE or REINDEX CONCURRENTLY left, which cost writes and serve nobody",
  needs: "nothing",
  threshold: {},
  severity: "P3",
  async run({ client }) {
    const rows = await ask(client, z.union([indexRow, noIndex]), query)
    const indexes = rows.filter((row): row is InvalidIndex => row.schema !== null)
    const found = indexes.filter(({ isBuilding }) => !isBuilding).map(describe)
    const notes = [
      ...noteOf(indexes.length - found.length, "index build", "left alone: still going on"),
      ...(await noteClosed(client)),
    ]
    return worstFirst(rows[0]?.looked ?? 0, found, { notes })
  },
}

/**
 * Indexes of toast tables count as well: a cut rebuild of a table leaves them. Who builds one concurrently holds SHARE UPDATE EXCLUSIVE on its
 * table meanwhile, and is in the view of progress; both can be seen by every role.
 */
const query = `
  with team as materialized (
    select x.indexrelid, x.indrelid, x.indisunique, x.indisvalid and x.indisready and x.indislive as is_whole, i.relnamespace, i.relname,
           i.relkind, c.relname as table_name, n.nspname as table_schema
      from pg_catalog.pg_index x
      join pg_catalog.pg_class i on i.oid = x.indexrelid
      join (select oid as holder, oid from pg_catalog.pg_class
            union all select reltoastrelid, oid from pg_catalog.pg_class where reltoastrelid <> 0) own on own.holder = x.indrelid
      join pg_catalog.pg_class c on c.oid = own.oid
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where ${isOpen} and ${isOfTeam})
  select (select pg_catalog.count(*) from team) as looked, bad.*
    from (select) one
    left join (
      select n.nspname as schema, c.relname as name, t.table_schema || '.' || t.table_name as "table", t.indisunique as "isUnique",
             t.relkind = 'I' as "isPartitioned",
             exists (select from pg_catalog.pg_constraint k where k.conindid = t.indexrelid) as guards,
             exists (select from pg_catalog.pg_locks l join pg_catalog.pg_stat_progress_create_index p on p.pid = l.pid
                      where l.locktype = 'relation' and l.relation = t.indrelid and l.mode = 'ShareUpdateExclusiveLock') as "isBuilding",
             ${ownBytes("c")} as bytes, pg_catalog.pg_get_indexdef(c.oid) as definition
        from team t
        join pg_catalog.pg_class c on c.oid = t.indexrelid
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
       where not t.is_whole) bad on true`

function describe(index: InvalidIndex): Weighed {
  return {
    item: `${index.schema}.${index.name}`,
    outcome: "warn",
    weight: index.bytes,
    detail: `an invalid ${index.isUnique ? "unique " : ""}index on ${index.table}, ${formatBytes(index.bytes)}: ${
      index.isPartitioned ? "some partitions have no such index" : "every write pays for it and no query uses it"
    }`,
    evidence: { table: index.table, bytes: index.bytes, unique: index.isUnique ? "yes" : "no" },
    remedy: remedyOf(index),
  }
}

function remedyOf(index: InvalidIndex): Remedy {
  const rebuild = `reindex index concurrently ${quoteTable(index)}`
  if (index.isPartitioned)
    return {
      advice:
        "make the index on each partition that lacks it, then attach it: alter index … attach partition …; it becomes valid with the last one",
    }
  if (!index.guards && /_cc(new|old)\d*$/.test(index.name))
    return {
      advice:
        "what a cut REINDEX CONCURRENTLY left beside the index that is in use: drop it. The weekly maintenance sweeps it",
      run: [dropIndex(index)],
      undo: [makeIndex(index.definition)],
    }
  const cause = index.isUnique
    ? "a unique index mostly fails to build because of duplicates: find and remove them first"
    : "its build was cut or failed"
  if (index.guards) return { advice: `${cause}; it belongs to a constraint: rebuild it, never drop it`, run: [rebuild] }
  return {
    advice: `${cause}; rebuild it, or drop it when nobody wants it (${dropIndex(index)})`,
    run: [rebuild],
    undo: [dropIndex(index)],
  }
}
