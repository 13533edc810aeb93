import type { Client } from "pg"
import { z } from "zod"
import type { Excluded } from "./proof.ts"

/**
 * Relations, functions and other named objects that are the team's own: outside the system schemas,
 * no members of an extension or makings of a range type, and not excluded. `$1` are schema names, `$2` tables as `schema.table`.
 */
const inScope = `
  member as (select classid, objid from pg_catalog.pg_depend where deptype = 'e'),
  space as (
    select oid, nspname, nspowner, nspacl from pg_catalog.pg_namespace n
     where nspname !~ '^pg_' and nspname <> 'information_schema' and nspname <> all($1::text[])
       and not exists (select from member where classid = 'pg_catalog.pg_namespace'::regclass and objid = n.oid)),
  relation as (
    select c.*, s.nspname from pg_catalog.pg_class c join space s on s.oid = c.relnamespace
     where c.relkind in ('r', 'p', 'v', 'm', 'S', 'f') and c.relpersistence <> 't'
       and (s.nspname || '.' || c.relname) <> all($2::text[])
       and not exists (select from member where classid = 'pg_catalog.pg_class'::regclass and objid = c.oid)),
  routine as (
    select p.* from pg_catalog.pg_proc p join space s on s.oid = p.pronamespace
     where not exists (select from pg_catalog.pg_depend d
                        where d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = p.oid and d.deptype in ('e', 'i')))`

/** An index whose making failed or goes on is in no dump; one that waits for those of the partitions is. */
const isDumped = "indisready and (indisvalid or relkind = 'p')"

/** Each part gives rows of a key that a person can read and a number. */
const parts = [
  `select 'kind ' || case relkind when 'r' then 'table' when 'p' then 'partitioned table' when 'v' then 'view'
          when 'm' then 'materialized view' when 'S' then 'sequence' else 'foreign table' end, count(*) from relation group by 1`,
  `select case when indisvalid then 'kind index' else 'invalid index' end, count(*)
     from pg_catalog.pg_index join relation on relation.oid = indrelid where ${isDumped} group by 1`,
  `select 'kind constraint ' || contype::text || case when convalidated then '' else ' not valid' end, count(*)
     from pg_catalog.pg_constraint where conrelid in (select oid from relation) and contype <> 'n' group by 1`,
  `select 'kind trigger', count(*) from pg_catalog.pg_trigger where tgrelid in (select oid from relation) and not tgisinternal`,
  `select 'disabled trigger', count(*) from pg_catalog.pg_trigger
    where tgrelid in (select oid from relation) and not tgisinternal and tgenabled = 'D'`,
  `select 'kind rule', count(*) from pg_catalog.pg_rewrite where ev_class in (select oid from relation) and rulename <> '_RETURN'`,
  `select 'kind policy', count(*) from pg_catalog.pg_policy where polrelid in (select oid from relation)`,
  `select 'kind column default', count(*) from pg_catalog.pg_attrdef where adrelid in (select oid from relation)`,
  `select 'kind inheritance link', count(*) from pg_catalog.pg_inherits where inhrelid in (select oid from relation)`,
  `select 'kind routine ' || prokind::text, count(*) from routine group by 1`,
  `select 'kind type ' || t.typtype::text, count(*) from pg_catalog.pg_type t join space s on s.oid = t.typnamespace
    where t.typelem = 0 and (t.typrelid = 0 or exists (select from pg_catalog.pg_class c where c.oid = t.typrelid and c.relkind = 'c'))
      and t.typtype <> 'm' and not exists (select from member where classid = 'pg_catalog.pg_type'::regclass and objid = t.oid) group by 1`,
  `select 'kind schema', count(*) from space where nspname <> 'public'`,
  `select 'kind event trigger', count(*) from pg_catalog.pg_event_trigger e
    where not exists (select from member where classid = 'pg_catalog.pg_event_trigger'::regclass and objid = e.oid)`,
  `select 'kind publication', count(*) from pg_catalog.pg_publication`,
  `select 'kind foreign server', count(*) from pg_catalog.pg_foreign_server`,
  `select 'kind extended statistics', count(*) from pg_catalog.pg_statistic_ext where stxrelid in (select oid from relation)`,
  `select 'kind collation', count(*) from pg_catalog.pg_collation c join space s on s.oid = c.collnamespace
    where not exists (select from member where classid = 'pg_catalog.pg_collation'::regclass and objid = c.oid)`,
  `select 'kind extension', count(*) from pg_catalog.pg_extension where extname <> 'plpgsql'`,
  `select 'default privileges', count(*) from pg_catalog.pg_default_acl`,
  `select 'row security ' || case when relforcerowsecurity then 'forced' else 'enabled' end, count(*)
     from relation where relrowsecurity group by 1`,
  `select 'owner ' || pg_catalog.pg_get_userbyid(relowner) || ' of relations', count(*) from relation group by 1`,
  `select 'owner ' || pg_catalog.pg_get_userbyid(proowner) || ' of routines', count(*) from routine group by 1`,
  `select 'grant on relations to ' || coalesce(nullif(a.grantee, 0)::regrole::text, 'public') || ': ' || a.privilege_type, count(*)
     from relation r, lateral aclexplode(coalesce(r.relacl, acldefault(case r.relkind when 'S' then 's'::"char" else 'r'::"char" end, r.relowner))) a
    group by 1`,
  `select 'grant on routines to ' || coalesce(nullif(a.grantee, 0)::regrole::text, 'public') || ': ' || a.privilege_type, count(*)
     from routine p, lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a group by 1`,
  `select 'grant on columns to ' || coalesce(nullif(a.grantee, 0)::regrole::text, 'public') || ': ' || a.privilege_type, count(*)
     from pg_catalog.pg_attribute t, lateral aclexplode(t.attacl) a where t.attrelid in (select oid from relation) group by 1`,
]

/** Counts of every object kind, owner, grant and row-security flag of a database. Zero counts are left away. */
export async function readInventory(client: Client, excluded: Excluded): Promise<Record<string, string>> {
  const { rows } = await client.query(
    `with ${inScope} select key, count::text from (${parts.join("\nunion all ")}) as counted (key, count) where count > 0 order by key collate "C"`,
    [excluded.schemas, excluded.tables],
  )
  return Object.fromEntries(rows.map((row) => z.tuple([z.string(), z.string()]).parse([row.key, row.count])))
}

/** Roles that own anything in this database or that a grant, a default privilege or a policy names. */
export async function readReferencedRoles(client: Client): Promise<string[]> {
  const { rows } = await client.query(
    `select r.rolname::text as name from pg_catalog.pg_roles r
      where r.rolname !~ '^pg_' and (r.oid = ${bootstrapSuperuser} or r.oid in (
        select s.refobjid from pg_catalog.pg_shdepend s where s.refclassid = 'pg_catalog.pg_authid'::regclass
           and s.dbid = (select oid from pg_catalog.pg_database where datname = current_database())))
      order by 1`,
  )
  return rows.map((row) => z.string().parse(row.name))
}

/** The role that made the cluster owns what it owns without a record in pg_shdepend. */
const bootstrapSuperuser = 10

/** Tablespaces that a relation names: those of the database's default one name none. */
export async function readTablespaces(client: Client): Promise<string[]> {
  const { rows } = await client.query(
    `select spcname::text as name from pg_catalog.pg_tablespace
      where oid in (select reltablespace from pg_catalog.pg_class) and spcname !~ '^pg_' order by 1`,
  )
  return rows.map((row) => z.string().parse(row.name))
}

/** What a dump lacks when this role makes it, and pg_dump does not say. */
export async function readHidden(client: Client): Promise<string[]> {
  const { rows } = await client.query(
    `select count(*)::text as count from pg_catalog.pg_user_mappings
      where umoptions is null and not (select rolsuper from pg_catalog.pg_roles where rolname = current_user)`,
  )
  const count = z.string().parse(rows[0]?.count)
  return count === "0" ? [] : [`options of ${count} user mappings, if they have any: this role may not read them`]
}
