import type { Client } from "pg"
import { z } from "zod"
import { ask, isOfTeam } from "./team-relations.ts"

/** Roles that everybody takes who comes over the API, as Supabase and PostgREST name them. */
const clientRoles = ["anon", "authenticated"]

/** What clients may do with an object: each privilege that one of their roles has, or that everybody has. */
const exposed = z.object({ roles: z.array(z.string()), mayRead: z.boolean(), mayWrite: z.boolean() })

const tableRow = exposed.extend({
  schema: z.string(),
  name: z.string(),
  kind: z.enum(["r", "p", "m", "f"]),
  isExposedSchema: z.boolean(),
  hasRowSecurity: z.boolean(),
  policies: z.coerce.number(),
})

const viewRow = exposed.extend({
  schema: z.string(),
  name: z.string(),
  owner: z.string(),
  tables: z.array(z.string()),
})

const functionRow = exposed.pick({ roles: true }).extend({
  schema: z.string(),
  name: z.string(),
  arguments: z.string(),
  isProcedure: z.boolean(),
  owner: z.string(),
})

export type ExposedTable = z.output<typeof tableRow>
export type ExposedView = z.output<typeof viewRow>
export type ExposedFunction = z.output<typeof functionRow>

/** Those of the schemas `$1` that there are. */
export async function existingSchemas(client: Client, schemas: readonly string[]): Promise<string[]> {
  const sql = "select nspname as name from pg_catalog.pg_namespace where nspname = any($1)"
  return (await ask(client, z.object({ name: z.string() }), sql, [schemas])).map(({ name }) => name)
}

/** SQL: the roles of clients, with 0 for everybody (`public`). */
const grantees = `select r.oid, r.rolname::text as name from pg_catalog.pg_roles r where r.rolname = any('{${clientRoles.join(",")}}')
  union all select 0, 'public'`

/**
 * SQL: which clients may do what with relation `c` of schema `n`, privileges on single columns included. What everybody may, `anon` and
 * `authenticated` may as well, so that `public` is named alone only where there are no such roles.
 */
const relationAccess = `
  select coalesce(pg_catalog.array_agg(g.name order by g.name) filter (where a.reads or a.writes), '{}') as roles,
         coalesce(pg_catalog.bool_or(a.reads), false) as "mayRead", coalesce(pg_catalog.bool_or(a.writes), false) as "mayWrite"
    from grantees g
    cross join lateral (
      select case when g.oid = 0 then p.reads
                  else pg_catalog.has_any_column_privilege(g.oid, c.oid, 'SELECT') end as reads,
             case when g.oid = 0 then p.writes
                  else pg_catalog.has_table_privilege(g.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
                    or pg_catalog.has_any_column_privilege(g.oid, c.oid, 'INSERT, UPDATE') end as writes
        from (select coalesce(pg_catalog.bool_or(acl.privilege_type = 'SELECT'), false) as reads,
                     coalesce(pg_catalog.bool_or(acl.privilege_type in ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE')), false) as writes
                from (select c.relacl as list union all
                      select a.attacl from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attacl is not null) lists
                cross join lateral pg_catalog.aclexplode(lists.list) acl
               where acl.grantee = 0) p) a
   where (case when g.oid = 0 then n.nspacl is not null and exists (
            select from pg_catalog.aclexplode(n.nspacl) u where u.grantee = 0 and u.privilege_type = 'USAGE')
          else pg_catalog.has_schema_privilege(g.oid, n.oid, 'USAGE') end)`

/** Tables of exposed schemas, and those of other schemas that have policies. */
export async function readTables(client: Client, schemas: readonly string[]): Promise<ExposedTable[]> {
  return ask(
    client,
    tableRow,
    `with grantees as materialized (${grantees})
     select n.nspname as schema, c.relname as name, c.relkind::text as kind, n.nspname = any($1) as "isExposedSchema",
            c.relrowsecurity as "hasRowSecurity", p.policies, access.*
       from pg_catalog.pg_class c
       join pg_catalog.pg_namespace n on n.oid = c.relnamespace
       cross join lateral (select pg_catalog.count(*) as policies from pg_catalog.pg_policy p where p.polrelid = c.oid) p
       cross join lateral (${relationAccess}) access
      where c.relkind in ('r', 'p', 'm', 'f') and (n.nspname = any($1) or p.policies > 0) and ${isOfTeam}`,
    [schemas],
  )
}

/**
 * Views of exposed schemas that clients may use and that read tables with row security as a role to which it does not apply: a superuser,
 * one with BYPASSRLS, or the tables' owner where row security is not forced. A view with `security_invoker` reads as who asks it.
 */
export async function readViews(client: Client, schemas: readonly string[]): Promise<ExposedView[]> {
  return ask(
    client,
    viewRow,
    `with recursive grantees as materialized (${grantees}),
     views as materialized (
       select c.oid, c.relowner, c.relnamespace,
              coalesce((select o.option_value::bool from pg_catalog.pg_options_to_table(c.reloptions) o
                         where o.option_name = 'security_invoker'), false) as asks_as_invoker
         from pg_catalog.pg_class c where c.relkind = 'v'),
     reads(view, relation, reader) as (
       select v.oid, v.oid, v.relowner from views v
         join pg_catalog.pg_namespace n on n.oid = v.relnamespace
        where n.nspname = any($1) and not v.asks_as_invoker
       union
       select r.view, d.refobjid, case when inner_view.asks_as_invoker is false then inner_view.relowner else r.reader end
         from reads r
         join views through on through.oid = r.relation
         join pg_catalog.pg_rewrite w on w.ev_class = r.relation
         join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and d.objid = w.oid
              and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid <> r.relation
         left join views inner_view on inner_view.oid = d.refobjid)
     select n.nspname as schema, c.relname as name, pg_catalog.pg_get_userbyid(c.relowner) as owner, access.*, holes.tables
       from (select r.view, pg_catalog.array_agg(distinct tn.nspname || '.' || t.relname) as tables
               from reads r
               join pg_catalog.pg_class t on t.oid = r.relation and t.relkind in ('r', 'p') and t.relrowsecurity
               join pg_catalog.pg_namespace tn on tn.oid = t.relnamespace
               join pg_catalog.pg_roles o on o.oid = r.reader
              where o.rolsuper or o.rolbypassrls
                 or (not t.relforcerowsecurity and pg_catalog.pg_has_role(r.reader, t.relowner, 'usage'))
              group by r.view) holes
       join pg_catalog.pg_class c on c.oid = holes.view
       join pg_catalog.pg_namespace n on n.oid = c.relnamespace
       cross join lateral (${relationAccess}) access
      where (access."mayRead" or access."mayWrite") and ${isOfTeam}`,
    [schemas],
  )
}

/** Functions of exposed schemas that run as their owner, with whatever search path the caller has. */
export async function readFunctions(client: Client, schemas: readonly string[]): Promise<ExposedFunction[]> {
  return ask(
    client,
    functionRow,
    `select n.nspname as schema, p.proname as name, pg_catalog.pg_get_function_identity_arguments(p.oid) as arguments,
            p.prokind = 'p' as "isProcedure", pg_catalog.pg_get_userbyid(p.proowner) as owner,
            (select coalesce(pg_catalog.array_agg(g.name order by g.name), '{}') from (${grantees}) g
              where case when g.oid = 0
                then p.proacl is null or exists (select from pg_catalog.aclexplode(p.proacl) a where a.grantee = 0)
                else pg_catalog.has_function_privilege(g.oid, p.oid, 'EXECUTE') end) as roles
       from pg_catalog.pg_proc p
       join pg_catalog.pg_namespace n on n.oid = p.pronamespace
      where p.prosecdef and n.nspname = any($1)
        and not exists (select from pg_catalog.unnest(p.proconfig) setting where setting like 'search\\_path=%')
        and not exists (select from pg_catalog.pg_depend part where part.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
                           and part.objid = p.oid and part.deptype = 'e')`,
    [schemas],
  )
}
