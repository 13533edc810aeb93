import type { Client, QueryConfigValues } from "pg"
import { z } from "zod"
import { noteOf } from "./worst-first.ts"

/** Roles of providers: what they own came with the service, and the team can change nothing about it. */
const providerRoles = [
  "supabase_admin",
  "supabase_auth_admin",
  "supabase_storage_admin",
  "supabase_realtime_admin",
  "supabase_functions_admin",
  "supabase_replication_admin",
  "supabase_read_only_user",
  "cloud_admin",
  "neon_superuser",
  "rdsadmin",
  "cloudsqladmin",
  "azuresu",
]

/**
 * SQL: whether relation `c` of schema `n` is the team's own: none of the system, of a provider, of an extension, of the schema `ops`, and
 * none that is temporary.
 */
export const isOfTeam = `n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'ops') and c.relpersistence <> 't'
  and pg_catalog.pg_get_userbyid(c.relowner) <> all ('{${providerRoles.join(",")}}')
  and not exists (select from pg_catalog.pg_depend part where part.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                     and part.objid = c.oid and part.objsubid = 0 and part.deptype = 'e')`

/** SQL: relations that a session has, or wants, for itself alone. Asking for the size of such a one would wait for that session. */
export const closedRelations = `select l.relation from pg_catalog.pg_locks l
  where l.locktype = 'relation' and l.mode = 'AccessExclusiveLock' and l.relation is not null
    and l.database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())`

/** SQL: whether asking about table `c` waits for nobody: the words of its indexes and conditions are read under a lock. */
export const isOpen = `c.oid not in (${closedRelations})`

/** A note about tables of the team that `isOpen` leaves out just now, or nothing. */
export async function noteClosed(client: Client): Promise<string[]> {
  const sql = `select pg_catalog.count(*) as count from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
   where c.relkind in ('r', 'p', 'm') and c.oid in (${closedRelations}) and ${isOfTeam}`
  const [row] = await ask(client, z.object({ count: z.coerce.number() }), sql)
  return noteOf(row?.count ?? 0, "table", "not looked at: somebody holds a lock that lets nobody else in")
}

/** SQL: bytes of the relation of a row of pg_class, without what belongs to it; from the disk where that does not wait, else by the catalogue. */
export function ownBytes(relation: string): string {
  return `case when ${relation}.oid in (${closedRelations})
  then ${relation}.relpages::bigint * pg_catalog.current_setting('block_size')::bigint
  else coalesce(pg_catalog.pg_relation_size(${relation}.oid), 0) end`
}

/** Rows of a query as `row` reads them. */
export async function ask<T>(
  client: Client,
  row: z.ZodType<T>,
  sql: string,
  values: QueryConfigValues<unknown[]> = [],
): Promise<T[]> {
  const { rows } = await client.query(sql, values)
  return rows.map((one) => row.parse(one))
}
