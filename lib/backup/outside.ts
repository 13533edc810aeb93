import type { Client } from "pg"
import { z } from "zod"
import type { Excluded, OutsideFacts } from "./proof.ts"

const functionRow = z.object({
  schema: z.string(),
  name: z.string(),
  arguments: z.string(),
  result: z.string(),
  volatility: z.string(),
})
const columnRow = z.object({
  schema: z.string(),
  name: z.string(),
  column: z.string(),
  type: z.string(),
  typeOid: z.string(),
  key: z.boolean(),
})
const typeRow = z.object({ schema: z.string(), name: z.string(), definition: z.string() })
const foreignKeyRow = z.object({ oid: z.string(), name: z.string(), table: z.string() })
const nameRow = z.object({ name: z.string() })

/**
 * `away`: relations that the configuration excludes; `gone`: excluded schemas. `used`: what other objects refer to, each with the
 * relation that the reference belongs to, or 0. Views and rules know their relation through pg_rewrite, all others by catalogues of
 * their own. What an extension brings along is not in it: it comes back with the extension.
 */
const scope = `
  away as (
    select c.oid, n.nspname as schema, c.relname as name from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and (n.nspname = any($1::text[]) or (n.nspname || '.' || c.relname) = any($2::text[]))),
  gone as (select oid, nspname from pg_catalog.pg_namespace where nspname = any($1::text[])),
  holder as (
    select 'pg_catalog.pg_rewrite'::regclass as classid, oid, ev_class as relation from pg_catalog.pg_rewrite
    union all select 'pg_catalog.pg_policy'::regclass, oid, polrelid from pg_catalog.pg_policy
    union all select 'pg_catalog.pg_attrdef'::regclass, oid, adrelid from pg_catalog.pg_attrdef
    union all select 'pg_catalog.pg_trigger'::regclass, oid, tgrelid from pg_catalog.pg_trigger
    union all select 'pg_catalog.pg_constraint'::regclass, oid, conrelid from pg_catalog.pg_constraint where contype <> 'f' and conrelid <> 0
    union all select 'pg_catalog.pg_constraint'::regclass, oid, 0 from pg_catalog.pg_constraint
               where contypid in (select oid from pg_catalog.pg_type where typnamespace not in (select oid from gone))
    union all select 'pg_catalog.pg_class'::regclass, indexrelid, indrelid from pg_catalog.pg_index
    union all select 'pg_catalog.pg_class'::regclass, oid, oid from pg_catalog.pg_class where relkind in ('r', 'p', 'f', 'c') and relnamespace not in (select oid from gone)
    union all select 'pg_catalog.pg_proc'::regclass, oid, 0 from pg_catalog.pg_proc where pronamespace not in (select oid from gone)
    union all select 'pg_catalog.pg_type'::regclass, oid, 0 from pg_catalog.pg_type where typnamespace not in (select oid from gone)
    union all select 'pg_catalog.pg_event_trigger'::regclass, oid, 0 from pg_catalog.pg_event_trigger),
  used as (
    select d.classid, d.refclassid, d.refobjid, h.relation from pg_catalog.pg_depend d join holder h on h.classid = d.classid and h.oid = d.objid
     where d.deptype = 'n' and d.refobjid <> h.relation and h.relation not in (select oid from away)
       and not exists (select from pg_catalog.pg_depend m where m.classid = d.refclassid and m.objid = d.refobjid and m.deptype = 'e'))`

const functionsQuery = `
  select distinct n.nspname as schema, p.proname as name, pg_get_function_arguments(p.oid) as arguments, pg_get_function_result(p.oid) as result,
         case p.provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end as volatility
    from used u join pg_catalog.pg_proc p on u.refclassid = 'pg_catalog.pg_proc'::regclass and p.oid = u.refobjid
    join gone n on n.oid = p.pronamespace
   where p.prokind = 'f' and $2::text[] is not null order by 1, 2, 3`

const columnsQuery = `
  select a.schema, a.name, t.attname as column, format_type(t.atttypid, t.atttypmod) as type,
         (select case when y.typcategory = 'A' and y.typelem <> 0 then y.typelem else y.oid end from pg_catalog.pg_type y where y.oid = t.atttypid)::text as "typeOid",
         exists (select from pg_catalog.pg_index i where i.indrelid = a.oid and i.indisprimary and t.attnum = any(i.indkey::int2[])) as key
    from away a join pg_catalog.pg_attribute t on t.attrelid = a.oid and t.attnum > 0 and not t.attisdropped
   where a.oid in (select refobjid from used where refclassid = 'pg_catalog.pg_class'::regclass
                   union select y.typrelid from used u join pg_catalog.pg_type y on u.refclassid = 'pg_catalog.pg_type'::regclass and y.oid = u.refobjid)
   order by 1, 2, t.attnum`

/** Enums, domains and composite types; an array of one counts as the type itself. */
const typesQuery = `
  select distinct n.nspname as schema, e.typname as name, case e.typtype
           when 'e' then (select 'as enum (' || coalesce(string_agg(quote_literal(l.enumlabel), ', ' order by l.enumsortorder), '') || ')' from pg_catalog.pg_enum l where l.enumtypid = e.oid)
           when 'd' then 'as ' || format_type(e.typbasetype, e.typtypmod)
           else (select 'as (' || coalesce(string_agg(quote_ident(t.attname) || ' ' || format_type(t.atttypid, t.atttypmod), ', ' order by t.attnum), '') || ')'
                   from pg_catalog.pg_attribute t where t.attrelid = e.typrelid and t.attnum > 0 and not t.attisdropped) end as definition
    from used u join pg_catalog.pg_type y on u.refclassid = 'pg_catalog.pg_type'::regclass and y.oid = u.refobjid
    join pg_catalog.pg_type e on e.oid = case when y.typcategory = 'A' and y.typelem <> 0 then y.typelem else y.oid end
    join gone n on n.oid = e.typnamespace
   where (e.typtype in ('e', 'd') or e.typtype = 'c' and exists (select from pg_catalog.pg_class c where c.oid = e.typrelid and c.relkind = 'c'))
     and $2::text[] is not null order by 1, 2`

const foreignKeysQuery = `
  select c.oid::text, c.conname as name, n.nspname || '.' || t.relname as table from pg_catalog.pg_constraint c
    join pg_catalog.pg_class t on t.oid = c.conrelid join pg_catalog.pg_namespace n on n.oid = t.relnamespace
   where c.contype = 'f' and c.confrelid in (select oid from away) and c.conrelid not in (select oid from away) order by 3, 2`

const viewsQuery = `
  select n.nspname || '.' || c.relname as name from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
   where c.relkind = 'm' and c.oid in (select oid from tainted) and c.oid not in (select oid from away) order by 1`

const tainted = `tainted as (
  select oid from away
  union select u.relation from used u join tainted on tainted.oid = u.refobjid
   where u.refclassid = 'pg_catalog.pg_class'::regclass and u.classid = 'pg_catalog.pg_rewrite'::regclass)`

const schemasQuery = `
  select n.nspname as name from gone n where $2::text[] is not null
     and exists (select from pg_catalog.pg_extension where extnamespace = n.oid) order by 1`

/** What the dumped objects refer to and the dump, by configuration, does not hold: a restore needs a stand-in for each. */
export async function readOutside(client: Client, excluded: Excluded): Promise<OutsideFacts> {
  if (excluded.schemas.length + excluded.tables.length === 0) {
    return { schemas: [], types: [], functions: [], relations: [], foreignKeys: [], views: [] }
  }
  const ask = async <T>(query: string, row: z.ZodType<T>, also = ""): Promise<T[]> => {
    const text = `with recursive ${scope}${also && `, ${also}`} ${query}`
    const { rows } = await client.query(text, [excluded.schemas, excluded.tables])
    return z.array(row).parse(rows)
  }
  return {
    schemas: (await ask(schemasQuery, nameRow)).map(({ name }) => name),
    types: await ask(typesQuery, typeRow),
    functions: await ask(functionsQuery, functionRow),
    relations: groupColumns(await ask(columnsQuery, columnRow)),
    foreignKeys: await ask(foreignKeysQuery, foreignKeyRow),
    views: (await ask(viewsQuery, nameRow, tainted)).map(({ name }) => name),
  }
}

function groupColumns(rows: z.infer<typeof columnRow>[]): OutsideFacts["relations"] {
  const relations = new Map<string, OutsideFacts["relations"][number]>()
  for (const { schema, name, column, type, typeOid, key } of rows) {
    const id = JSON.stringify([schema, name])
    const relation = relations.get(id) ?? { schema, name, columns: [], primaryKey: [] }
    relation.columns.push({ name: column, type, typeOid })
    if (key) relation.primaryKey.push(column)
    relations.set(id, relation)
  }
  return [...relations.values()]
}
