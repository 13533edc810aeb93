import { closest, distance } from "fastest-levenshtein"
import type { Client } from "pg"
import { z } from "zod"
import { ConfigError } from "../core/config-error.ts"
import { parseTableName, renderTableName, type TableName } from "./name.ts"

const kinds = {
  r: "table",
  p: "partitioned table",
  v: "view",
  m: "materialized view",
  f: "foreign table",
} as const

const actions = { a: "no action", r: "restrict", c: "cascade", n: "set null", d: "set default" } as const

const column = z.object({
  name: z.string(),
  /** As `format_type` renders it, such as `timestamp with time zone` or `numeric(10,2)`. */
  type: z.string(),
  /** The built-in type under all domains and without modifiers, such as `timestamp with time zone`. */
  baseType: z.string(),
  isNullable: z.boolean(),
  /** Computed from other columns: cannot be written. */
  isGenerated: z.boolean(),
  /** `generated always as identity`: cannot be updated but to its default. */
  isIdentity: z.boolean(),
})

const index = z.object({
  name: z.string(),
  /** Names of the key columns in order; an expression is `null`. */
  columns: z.array(z.string().nullable()),
  isUnique: z.boolean(),
  /** False while it is being built, and after CREATE INDEX CONCURRENTLY failed. */
  isValid: z.boolean(),
  /** Covers the rows of a condition alone. */
  isPartial: z.boolean(),
  /** Such as `btree`. */
  method: z.string(),
})

const tableName = z.object({ schema: z.string(), name: z.string() })

const foreignKey = z.object({
  name: z.string(),
  /** The table that refers. */
  from: tableName,
  columns: z.array(z.string()),
  /** The table that is referred to. */
  to: tableName,
  toColumns: z.array(z.string()),
  onDelete: z.enum(["a", "r", "c", "n", "d"]).transform((code) => actions[code]),
  /** Whether a valid, whole index of `from` begins with these columns: without it each deleted parent reads the whole table. */
  hasIndex: z.boolean(),
  /** Of `from`, with its partitions: bytes of rows, and the planner's idea of how many there are. */
  fromBytes: z.number(),
  fromEstimatedRows: z.number(),
})

const shape = z.object({
  oid: z.string(),
  schema: z.string(),
  name: z.string(),
  kind: z.enum(["r", "p", "v", "m", "f"]).transform((code) => kinds[code]),
  owner: z.string(),
  columns: z.array(column),
  /** Names of its columns in the key's order; empty where there is none. */
  primaryKey: z.array(z.string()),
  indexes: z.array(index),
  foreignKeys: z.array(foreignKey),
  incoming: z.array(foreignKey),
  estimatedRows: z.number(),
  bytes: z.number(),
  isPartition: z.boolean(),
  hasChildren: z.boolean(),
  hasRowSecurity: z.boolean(),
  hidesRows: z.boolean(),
  triggers: z.array(z.object({ name: z.string(), on: z.array(z.enum(["delete", "update", "truncate", "insert"])) })),
})

export type TableColumn = z.output<typeof column>
export type TableIndex = z.output<typeof index>
export type ForeignKey = z.output<typeof foreignKey>

/**
 * What the catalogue knows of a table. `estimatedRows` and `bytes` (of the rows, without indexes) are those of the last ANALYZE or VACUUM
 * and of now, with partitions and heirs; rows are -1 before the first one. `incoming` are foreign keys of other tables, or of itself,
 * that refer to it; keys of single partitions are left out where their parent has the same one. `hidesRows`: row security keeps rows
 * from this session's role. `triggers` are the enabled ones of the team.
 */
export type Table = z.output<typeof shape>

/** Reads a table by its name in the configuration, such as `sessions` or `audit.sessions`. Throws `ConfigError` when there is none. */
export async function describeTable(client: Client, text: string): Promise<Table> {
  const name = parseTableName(text)
  const { rows } = await client.query(describeSql, [name.schema, name.name])
  if (rows.length > 0) return shape.parse(rows[0])
  throw new ConfigError(await missing(client, name))
}

/** The column of that name. Throws `ConfigError` when the table has none. */
export function columnOf(table: Table, name: string): TableColumn {
  const found = table.columns.find((column) => column.name === name)
  if (found) return found
  const names = table.columns.map((column) => column.name)
  const close = nearest(name, names)
  const advice = close ? `did you mean ${close}?` : `it has: ${names.join(", ")}`
  throw new ConfigError(`table ${renderTableName(table)} has no column ${JSON.stringify(name)}: ${advice}`)
}

async function missing(client: Client, wanted: TableName): Promise<string> {
  const { rows } = await client.query(
    `select n.nspname as schema, c.relname as name from pg_catalog.pg_class c
       join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
      order by n.nspname = $1 desc, 1, 2`,
    [wanted.schema],
  )
  const known = z.array(tableName).parse(rows)
  const text = `table ${renderTableName(wanted)} does not exist`
  const elsewhere = known.find(({ name }) => name === wanted.name)
  const close = elsewhere ? renderTableName(elsewhere) : nearest(renderTableName(wanted), known.map(renderTableName))
  if (close) return `${text}: did you mean ${close}?`
  return `${text}: correct its name, or remove the rule`
}

function nearest(word: string, known: readonly string[]): string | undefined {
  if (known.length === 0) return undefined
  const best = closest(word, known)
  return distance(word.toLowerCase(), best.toLowerCase()) <= Math.max(2, Math.floor(word.length / 3)) ? best : undefined
}

const columnNames = (relation: string, numbers: string) => `
  (select json_agg(a.attname order by p.position)
     from unnest(${numbers}) with ordinality p(number, position)
     join pg_catalog.pg_attribute a on a.attrelid = ${relation} and a.attnum = p.number)`

/** A relation with all that is below it: partitions and heirs. */
const family = (relation: string) => `
  (with recursive below as (
     select ${relation} as oid
     union all
     select i.inhrelid from pg_catalog.pg_inherits i join below on below.oid = i.inhparent)
   select oid from below)`

const estimatedRows = (relation: string) => `
  (select coalesce(case when bool_and(f.reltuples < 0) then -1 else sum(greatest(f.reltuples, 0)) end, -1)::float8
     from pg_catalog.pg_class f where f.relkind in ('r', 'm') and f.oid in ${family(relation)})`

const bytes = (relation: string) => `
  (select coalesce(sum(pg_catalog.pg_table_size(f.oid)), 0)::float8
     from pg_catalog.pg_class f where f.relkind in ('r', 'm') and f.oid in ${family(relation)})`

const foreignKeys = (end: "conrelid" | "confrelid") => `
  (select coalesce(json_agg(json_build_object(
      'name', k.conname,
      'from', json_build_object('schema', fn.nspname, 'name', f.relname),
      'columns', ${columnNames("k.conrelid", "k.conkey")},
      'to', json_build_object('schema', tn.nspname, 'name', r.relname),
      'toColumns', ${columnNames("k.confrelid", "k.confkey")},
      'onDelete', k.confdeltype,
      'hasIndex', exists (
        select from pg_catalog.pg_index i
         where i.indrelid = k.conrelid and i.indisvalid and i.indpred is null
           and (select array_agg(key order by key) from unnest((i.indkey::int2[])[0:cardinality(k.conkey) - 1]) key)
             = (select array_agg(key order by key) from unnest(k.conkey) key)),
      'fromBytes', ${bytes("k.conrelid")},
      'fromEstimatedRows', ${estimatedRows("k.conrelid")}) order by fn.nspname, f.relname, k.conname), '[]')
     from pg_catalog.pg_constraint k
     join pg_catalog.pg_class f on f.oid = k.conrelid
     join pg_catalog.pg_namespace fn on fn.oid = f.relnamespace
     join pg_catalog.pg_class r on r.oid = k.confrelid
     join pg_catalog.pg_namespace tn on tn.oid = r.relnamespace
    where k.contype = 'f' and k.${end} = c.oid
      and not exists (select from pg_catalog.pg_constraint whole where whole.oid = k.conparentid and whole.${end} = k.${end}))`

const describeSql = `
  select c.oid::text, n.nspname as schema, c.relname as name, c.relkind::text as kind,
         pg_catalog.pg_get_userbyid(c.relowner) as owner,
         c.relispartition as "isPartition", c.relrowsecurity as "hasRowSecurity",
         coalesce(pg_catalog.row_security_active(c.oid), false) as "hidesRows",
         exists (select from pg_catalog.pg_inherits i where i.inhparent = c.oid) as "hasChildren",
         ${estimatedRows("c.oid")} as "estimatedRows", ${bytes("c.oid")} as bytes,
         (select coalesce(json_agg(json_build_object(
             'name', a.attname,
             'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
             'baseType', pg_catalog.format_type((
               with recursive base as (
                 select t.oid, t.typtype, t.typbasetype from pg_catalog.pg_type t where t.oid = a.atttypid
                 union all
                 select t.oid, t.typtype, t.typbasetype from pg_catalog.pg_type t join base on t.oid = base.typbasetype where base.typtype = 'd')
               select base.oid from base where base.typtype <> 'd'), null),
             'isNullable', not a.attnotnull,
             'isGenerated', a.attgenerated <> '',
             'isIdentity', a.attidentity = 'a') order by a.attnum), '[]')
            from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
         coalesce((select ${columnNames("c.oid", "k.conkey")}
            from pg_catalog.pg_constraint k where k.conrelid = c.oid and k.contype = 'p'), '[]') as "primaryKey",
         (select coalesce(json_agg(json_build_object(
             'name', ic.relname,
             'columns', (select json_agg(a.attname order by k.position)
                           from unnest(i.indkey::int2[]) with ordinality k(number, position)
                           left join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = k.number and k.number <> 0
                          where k.position <= i.indnkeyatts),
             'isUnique', i.indisunique, 'isValid', i.indisvalid, 'isPartial', i.indpred is not null,
             'method', m.amname) order by ic.relname), '[]')
            from pg_catalog.pg_index i
            join pg_catalog.pg_class ic on ic.oid = i.indexrelid
            join pg_catalog.pg_am m on m.oid = ic.relam
           where i.indrelid = c.oid) as indexes,
         ${foreignKeys("conrelid")} as "foreignKeys", ${foreignKeys("confrelid")} as incoming,
         (select coalesce(json_agg(json_build_object('name', t.tgname, 'on', array_remove(array[
              case when t.tgtype & 4 > 0 then 'insert' end, case when t.tgtype & 8 > 0 then 'delete' end,
              case when t.tgtype & 16 > 0 then 'update' end, case when t.tgtype & 32 > 0 then 'truncate' end], null)) order by t.tgname), '[]')
            from pg_catalog.pg_trigger t where t.tgrelid = c.oid and not t.tgisinternal and t.tgenabled in ('O', 'A')) as triggers
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
   where n.nspname = $1 and c.relname = $2 and c.relkind in ('r', 'p', 'v', 'm', 'f')`
