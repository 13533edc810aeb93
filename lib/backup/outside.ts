import type { Client } from "pg"
import { z } from "zod"
import type { Excluded, OutsideFacts } from "./proof.ts"

const functionRow = z.object({ schema: z.string(), name: z.string(), arguments: z.string(), result: z.string() })
const columnRow = z.object({ schema: z.string(), name: z.string(), column: z.string(), type: z.string() })
const foreignKeyRow = z.object({ oid: z.string(), name: z.string(), table: z.string() })

/** `away`: relations that configuration excludes. `$1` are schema names, `$2` tables as `schema.table`. */
const away = `away as (
  select c.oid, n.nspname as schema, c.relname as name from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
   where c.relkind in ('r', 'p', 'v', 'm', 'f') and (n.nspname = any($1::text[]) or (n.nspname || '.' || c.relname) = any($2::text[])))`

/** Views and rules know their relation through pg_rewrite, policies and foreign keys through their own catalogues. */
const users = `users as (
  select d.refclassid, d.refobjid, r.ev_class as relation, d.classid from pg_catalog.pg_depend d join pg_catalog.pg_rewrite r on r.oid = d.objid
   where d.classid = 'pg_catalog.pg_rewrite'::regclass and d.refobjid <> r.ev_class
  union all
  select d.refclassid, d.refobjid, p.polrelid, d.classid from pg_catalog.pg_depend d join pg_catalog.pg_policy p on p.oid = d.objid
   where d.classid = 'pg_catalog.pg_policy'::regclass and d.refobjid <> p.polrelid
  union all
  select d.refclassid, d.refobjid, a.adrelid, d.classid from pg_catalog.pg_depend d join pg_catalog.pg_attrdef a on a.oid = d.objid
   where d.classid = 'pg_catalog.pg_attrdef'::regclass and d.refobjid <> a.adrelid
  union all
  select d.refclassid, d.refobjid, t.tgrelid, d.classid from pg_catalog.pg_depend d join pg_catalog.pg_trigger t on t.oid = d.objid
   where d.classid = 'pg_catalog.pg_trigger'::regclass and d.refobjid <> t.tgrelid
  union all
  select d.refclassid, d.refobjid, c.conrelid, d.classid from pg_catalog.pg_depend d join pg_catalog.pg_constraint c on c.oid = d.objid
   where d.classid = 'pg_catalog.pg_constraint'::regclass and c.contype = 'c' and d.refobjid <> c.conrelid)`

/** What the dumped objects refer to and the dump, by configuration, does not hold: a restore needs a stand-in for each. */
export async function readOutside(client: Client, excluded: Excluded): Promise<OutsideFacts> {
  if (excluded.schemas.length + excluded.tables.length === 0) {
    return { functions: [], relations: [], foreignKeys: [], views: [] }
  }
  const parameters = [excluded.schemas, excluded.tables]
  const functions = await client.query(
    `with ${away}, ${users}
     select distinct n.nspname as schema, p.proname as name, pg_get_function_identity_arguments(p.oid) as arguments, pg_get_function_result(p.oid) as result
       from users u join pg_catalog.pg_proc p on p.oid = u.refobjid and u.refclassid = 'pg_catalog.pg_proc'::regclass
       join pg_catalog.pg_namespace n on n.oid = p.pronamespace
      where n.nspname = any($1::text[]) and p.prokind = 'f' and u.relation not in (select oid from away) and $2::text[] is not null
      order by 1, 2, 3`,
    parameters,
  )
  const columns = await client.query(
    `with ${away}, ${users}
     select a.schema, a.name, t.attname as column, format_type(t.atttypid, t.atttypmod) as type
       from away a join pg_catalog.pg_attribute t on t.attrelid = a.oid and t.attnum > 0 and not t.attisdropped
      where a.oid in (select refobjid from users where refclassid = 'pg_catalog.pg_class'::regclass and relation not in (select oid from away))
      order by 1, 2, t.attnum`,
    parameters,
  )
  const foreignKeys = await client.query(
    `with ${away}
     select c.oid::text, c.conname as name, n.nspname || '.' || t.relname as table from pg_catalog.pg_constraint c
       join pg_catalog.pg_class t on t.oid = c.conrelid join pg_catalog.pg_namespace n on n.oid = t.relnamespace
      where c.contype = 'f' and c.confrelid in (select oid from away) and c.conrelid not in (select oid from away) order by 3, 2`,
    parameters,
  )
  const views = await client.query(
    `with recursive ${away}, ${users}, tainted as (
       select oid from away
       union select u.relation from users u join tainted on tainted.oid = u.refobjid
        where u.refclassid = 'pg_catalog.pg_class'::regclass and u.classid = 'pg_catalog.pg_rewrite'::regclass)
     select n.nspname || '.' || c.relname as view from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where c.relkind = 'm' and c.oid in (select oid from tainted) and c.oid not in (select oid from away) order by 1`,
    parameters,
  )
  return {
    functions: functions.rows.map((row) => functionRow.parse(row)),
    relations: groupColumns(columns.rows.map((row) => columnRow.parse(row))),
    foreignKeys: foreignKeys.rows.map((row) => foreignKeyRow.parse(row)),
    views: views.rows.map((row) => z.string().parse(row.view)),
  }
}

function groupColumns(rows: z.infer<typeof columnRow>[]): OutsideFacts["relations"] {
  const relations: OutsideFacts["relations"] = []
  for (const row of rows) {
    let relation = relations.find((other) => other.schema === row.schema && other.name === row.name)
    if (!relation) {
      relation = { schema: row.schema, name: row.name, columns: [] }
      relations.push(relation)
    }
    relation.columns.push({ name: row.column, type: row.type })
  }
  return relations
}
