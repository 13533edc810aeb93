import type { Client } from "pg"
import { z } from "zod"
import type { Excluded } from "./proof.ts"

/**
 * Relations, functions and other named objects that are the team's own: outside the system schemas,
 * no members of an extension, and not excluded. `$1` are schema names, `$2` tables as `schema.table`.
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
     where not exists (select from member where classid = 'pg_catalog.pg_proc'::regclass and objid = p.oid))`

/** Each part gives rows of a key that a person can read and a number. */
const parts = [
  `select 'kind ' || case relkind when 'r' then 'table' when 'p' then 'partitioned table' when 'v' then 'view'
          when 'm' then 'materialized view' when 'S' then 'sequence' else 'foreign table' end, count(*) from relation group by 1`,
  `select 'kind index', count(*) from pg_catalog.pg_index where indrelid in (select oid from relation)`,
  `select 'invalid index', count(*) from pg_catalog.pg_index where indrelid in (select oid from relation) and not indisvalid`,
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

/** Roles that own anything here or that a grant, a default privilege or a policy names. */
export async function readReferencedRoles(client: Client, excluded: Excluded): Promise<string[]> {
  const { rows } = await client.query(
    `with ${inScope}
     select distinct r.rolname::text as name from pg_catalog.pg_roles r join (
       select relowner from relation
       union select proowner from routine
       union select nspowner from space
       union select a.grantee from relation c, lateral aclexplode(c.relacl) a
       union select a.grantee from routine p, lateral aclexplode(p.proacl) a
       union select a.grantee from space s, lateral aclexplode(s.nspacl) a
       union select a.grantee from pg_catalog.pg_attribute t, lateral aclexplode(t.attacl) a where t.attrelid in (select oid from relation)
       union select t.typowner from pg_catalog.pg_type t join space s on s.oid = t.typnamespace
       union select a.grantee from pg_catalog.pg_type t join space s on s.oid = t.typnamespace, lateral aclexplode(t.typacl) a
       union select d.defaclrole from pg_catalog.pg_default_acl d
       union select a.grantee from pg_catalog.pg_default_acl d, lateral aclexplode(d.defaclacl) a
       union select unnest(polroles) from pg_catalog.pg_policy where polrelid in (select oid from relation)
       union select evtowner from pg_catalog.pg_event_trigger
       union select pubowner from pg_catalog.pg_publication
       union select m.lomowner from pg_catalog.pg_largeobject_metadata m
     ) used (role) on used.role = r.oid where r.rolname !~ '^pg_' order by 1`,
    [excluded.schemas, excluded.tables],
  )
  return rows.map((row) => z.string().parse(row.name))
}
