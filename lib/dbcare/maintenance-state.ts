import type { Client } from "pg"
import { z } from "zod"
import { withTransaction } from "../postgres/transaction.ts"
import { indexQuery, indexRow } from "./index-bloat.ts"

/** Settings of the server by which autovacuum decides. */
const serverRow = z.object({
  versionNumber: z.number(),
  role: z.string(),
  isReplica: z.boolean(),
  databaseBytes: z.coerce.number(),
  vacuumThreshold: z.coerce.number(),
  vacuumScale: z.coerce.number(),
  /** PostgreSQL 18 and later. */
  vacuumMaxThreshold: z.coerce.number().nullable(),
  /** -1 switches it off; absent before PostgreSQL 13. */
  insertThreshold: z.coerce.number().nullable(),
  insertScale: z.coerce.number().nullable(),
  analyzeThreshold: z.coerce.number(),
  analyzeScale: z.coerce.number(),
  freezeMaxAge: z.coerce.number(),
  multixactFreezeMaxAge: z.coerce.number(),
  /** Bytes; -1 for no limit. */
  tempFileLimitBytes: z.coerce.number(),
})

const tableRow = z.object({
  oid: z.string(),
  schema: z.string(),
  name: z.string(),
  kind: z.enum(["r", "m", "p"]),
  owner: z.string(),
  /** The role is the owner, or may do all that the owner may. */
  owns: z.boolean(),
  /** The role may vacuum, analyze and reindex it: owner, owner of the database (not for reindex), or by MAINTAIN. */
  mayVacuum: z.boolean(),
  mayReindex: z.boolean(),
  /** The planner's idea; below 0 before the first ANALYZE or VACUUM. */
  estimatedRows: z.number(),
  liveRows: z.coerce.number(),
  deadRows: z.coerce.number(),
  changedRows: z.coerce.number(),
  /** Absent before PostgreSQL 13. */
  insertedRows: z.coerce.number().nullable(),
  wasAnalyzed: z.boolean(),
  /** For a partitioned table: one of its partitions was analysed over six days after it. */
  lagsBehindParts: z.boolean(),
  transactionAge: z.number(),
  multixactAge: z.number(),
  options: z.array(z.string()),
})

const constraintRow = z.object({
  oid: z.string(),
  tableOid: z.string(),
  name: z.string(),
  kind: z.enum(["c", "f"]),
  /** The expression of a CHECK. */
  expression: z.string().nullable(),
  /** Of a foreign key: its columns, the table that they refer to and that one's columns, side by side. */
  columns: z.array(z.string()),
  ofSchema: z.string().nullable(),
  ofName: z.string().nullable(),
  ofColumns: z.array(z.string()),
  isMatchFull: z.boolean(),
})

export type ServerFacts = z.output<typeof serverRow>
export type TableFacts = z.output<typeof tableRow>
export type ConstraintFacts = z.output<typeof constraintRow>
export type IndexFacts = z.output<typeof indexRow>

/** All that the plan is made of. */
export type MaintenanceState = {
  server: ServerFacts
  tables: TableFacts[]
  indexes: IndexFacts[]
  constraints: ConstraintFacts[]
}

/** Tables under heavy DDL must not hold the plan up. */
const planLockTimeoutMs = 10_000
const planTimeoutMs = 120_000

/** Reads the catalogue and the statistics, in a read-only transaction. Nothing of the team's rows is read. */
export async function readMaintenanceState(client: Client): Promise<MaintenanceState> {
  const limits = { readOnly: true, lockTimeoutMs: planLockTimeoutMs, statementTimeoutMs: planTimeoutMs }
  return withTransaction(client, limits, async () => {
    const server = serverRow.parse((await client.query(serverQuery)).rows[0])
    const tables = z.array(tableRow).parse((await client.query(tableQuery(server.versionNumber))).rows)
    const indexes = z.array(indexRow).parse((await client.query(indexQuery)).rows)
    const constraints = z.array(constraintRow).parse((await client.query(constraintQuery)).rows)
    return { server, tables, indexes, constraints }
  })
}

const serverQuery = `
  select current_setting('server_version_num')::int as "versionNumber", current_user::text as role,
         pg_is_in_recovery() as "isReplica", pg_database_size(current_database()) as "databaseBytes",
         current_setting('autovacuum_vacuum_threshold') as "vacuumThreshold",
         current_setting('autovacuum_vacuum_scale_factor') as "vacuumScale",
         current_setting('autovacuum_vacuum_max_threshold', true) as "vacuumMaxThreshold",
         current_setting('autovacuum_vacuum_insert_threshold', true) as "insertThreshold",
         current_setting('autovacuum_vacuum_insert_scale_factor', true) as "insertScale",
         current_setting('autovacuum_analyze_threshold') as "analyzeThreshold",
         current_setting('autovacuum_analyze_scale_factor') as "analyzeScale",
         current_setting('autovacuum_freeze_max_age') as "freezeMaxAge",
         current_setting('autovacuum_multixact_freeze_max_age') as "multixactFreezeMaxAge",
         (select case when setting = '-1' then -1 else setting::bigint * 1024 end
            from pg_settings where name = 'temp_file_limit') as "tempFileLimitBytes"`

/** Tables of the team: not the system's, not temporary ones. */
const isOurs = `n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and c.relpersistence <> 't'`

function tableQuery(versionNumber: number): string {
  const owns = "pg_has_role(c.relowner, 'usage')"
  const maintains = versionNumber >= 170_000 ? "has_table_privilege(c.oid, 'maintain')" : "false"
  const ownsDatabase = "(select pg_has_role(d.datdba, 'usage') from pg_database d where d.datname = current_database())"
  return `
    select c.oid::text, n.nspname as schema, c.relname as name, c.relkind::text as kind, pg_get_userbyid(c.relowner)::text as owner,
           ${owns} as owns, ${owns} or ${maintains} or ${ownsDatabase} as "mayVacuum", ${owns} or ${maintains} as "mayReindex",
           c.reltuples::float8 as "estimatedRows", coalesce(s.n_live_tup, 0) as "liveRows", coalesce(s.n_dead_tup, 0) as "deadRows",
           coalesce(s.n_mod_since_analyze, 0) as "changedRows", to_jsonb(s) ->> 'n_ins_since_vacuum' as "insertedRows",
           coalesce(s.last_analyze, s.last_autoanalyze) is not null as "wasAnalyzed",
           c.relkind = 'p' and coalesce((select max(greatest(ps.last_analyze, ps.last_autoanalyze))
              from pg_partition_tree(c.oid) p join pg_stat_all_tables ps on ps.relid = p.relid where p.isleaf)
              > s.last_analyze + interval '6 days', false) as "lagsBehindParts",
           case when c.relkind = 'p' then 0 else greatest(age(c.relfrozenxid), age(t.relfrozenxid)) end as "transactionAge",
           case when c.relkind = 'p' then 0 else greatest(mxid_age(c.relminmxid), mxid_age(t.relminmxid)) end as "multixactAge",
           coalesce(c.reloptions, '{}') as options
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
      left join pg_class t on t.oid = c.reltoastrelid
      left join pg_stat_all_tables s on s.relid = c.oid
     where c.relkind in ('r', 'm', 'p') and ${isOurs}
     order by n.nspname collate "C", c.relname collate "C"`
}

/** Those that are somebody's own: an inherited one is validated with its parent's. */
const constraintQuery = `
  select k.oid::text, k.conrelid::text as "tableOid", k.conname as name, k.contype::text as kind,
         case when k.contype = 'c' then pg_get_expr(k.conbin, k.conrelid) end as expression,
         array(select a.attname::text from unnest(k.conkey) with ordinality u(num, pos)
                 join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.num order by u.pos) as columns,
         fn.nspname as "ofSchema", f.relname as "ofName",
         array(select a.attname::text from unnest(k.confkey) with ordinality u(num, pos)
                 join pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.num order by u.pos) as "ofColumns",
         k.confmatchtype = 'f' as "isMatchFull"
    from pg_constraint k
    join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
    left join pg_class f on f.oid = k.confrelid left join pg_namespace fn on fn.oid = f.relnamespace
   where not k.convalidated and k.contype in ('c', 'f') and k.coninhcount = 0 and k.conparentid = 0 and ${isOurs}
     and coalesce(to_jsonb(k) ->> 'conenforced', 'true') = 'true'
   order by k.oid`
