import type { Client } from "pg"
import { z } from "zod"
import { ask, isOfTeam, isOpen, ownBytes } from "./team-relations.ts"

/**
 * SQL: valid indexes of the team. One of a partitioned table stands for all of its parts: their bytes and scans are its own.
 * `guards` means that something is enforced by it, or depends on it, so that it must stay however little it is read.
 */
export const teamIndexes = `
  select x.indexrelid as oid, x.indrelid, n.nspname as schema, i.relname as name, c.relname as table_name, i.relam, m.amname,
         i.relkind = 'I' as is_partitioned, x.indkey, x.indclass, x.indcollation, x.indoption, x.indnkeyatts, x.indisunique,
         x.indimmediate, coalesce((pg_catalog.to_jsonb(x)->>'indnullsnotdistinct')::bool, false) as nulls_equal,
         pg_catalog.pg_get_expr(x.indpred, x.indrelid) as predicate,
         x.indisprimary or x.indisexclusion or x.indisreplident or x.indisclustered
           or exists (select from pg_catalog.pg_constraint k where k.conindid = x.indexrelid) as guards
    from pg_catalog.pg_index x
    join pg_catalog.pg_class i on i.oid = x.indexrelid and not i.relispartition
    join pg_catalog.pg_am m on m.oid = i.relam
    join pg_catalog.pg_class c on c.oid = x.indrelid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
   where x.indisvalid and x.indisready and x.indislive and ${isOpen} and ${isOfTeam}`

/** SQL: bytes and scans of each index with those of its partitions, by the oid of the topmost, for those that `among` selects. */
export function indexUse(among: string): string {
  return `
  select r.root as oid, pg_catalog.sum(${ownBytes("i")}) as bytes,
         pg_catalog.sum(coalesce(pg_catalog.pg_stat_get_numscans(i.oid), 0)) as scans
    from (select oid, coalesce(pg_catalog.pg_partition_root(oid)::pg_catalog.oid, oid) as root
            from pg_catalog.pg_class where relkind in ('i', 'I')) r
    join pg_catalog.pg_class i on i.oid = r.oid
   where r.root in (${among}) group by 1`
}

/** The statements that made indexes, by their oid. */
export async function readDefinitions(client: Client, oids: readonly number[]): Promise<Map<number, string>> {
  if (oids.length === 0) return new Map()
  const row = z.object({ oid: z.coerce.number(), definition: z.string() })
  const sql = `select i.oid::bigint, pg_catalog.pg_get_indexdef(i.oid) as definition from pg_catalog.pg_class i where i.oid = any($1::pg_catalog.oid[])`
  return new Map((await ask(client, row, sql, [oids])).map(({ oid, definition }) => [oid, definition]))
}

/** The fields of `indexUse` in a row. */
export const useFields = { bytes: z.coerce.number(), scans: z.coerce.number() }
