import type { Client } from "pg"
import { z } from "zod"

/** What the configuration keeps out: names of schemas, and tables as `schema.table`. */
export type Exclusion = { schemas: readonly string[]; tables: readonly string[] }

/** A relation that `pg_dump` writes data of, or, for a partitioned table, whose partitions it does. */
export type CatalogueTable = {
  oid: string
  schema: string
  name: string
  kind: "table" | "partitioned table" | "materialized view"
  /** For a materialized view: whether it holds rows at all. */
  isPopulated?: boolean
  /** The extension whose configuration the table holds, where it belongs to one. */
  extension?: string
  /** The planner's idea of it, from the last ANALYZE or VACUUM; absent before the first one. */
  estimatedRows?: number
  owner: string
}

const kinds = { r: "table", p: "partitioned table", m: "materialized view" } as const

const tableRow = z.object({
  oid: z.string(),
  schema: z.string(),
  name: z.string(),
  kind: z.enum(["r", "p", "m"]),
  isPopulated: z.boolean(),
  extension: z.string().nullable(),
  estimatedRows: z.number(),
  owner: z.string(),
})

/**
 * Tables, partitions, partitioned tables and materialized views of the database in order of schema and name, as `pg_dump` would
 * take them: without those of the system, temporary ones, foreign tables and what an extension brings along, except for tables
 * that the extension marks as configuration. Takes no lock.
 */
export async function listTables(client: Client, excluded: Exclusion): Promise<CatalogueTable[]> {
  const { rows } = await client.query(
    `select r.oid::text, r.schema, r.name, r.kind, r.extension, r.is_populated as "isPopulated",
            r.reltuples::float8 as "estimatedRows", pg_catalog.pg_get_userbyid(r.owner) as owner
       from (${dumpedRelations}) r
      where r.kind in ('r', 'p', 'm')
      order by r.schema collate "C", r.name collate "C"`,
    [excluded.schemas, excluded.tables],
  )
  return rows.map((row) => {
    const { kind, isPopulated, extension, estimatedRows, ...table } = tableRow.parse(row)
    return {
      ...table,
      kind: kinds[kind],
      ...(kind === "m" && { isPopulated }),
      ...(extension !== null && { extension }),
      ...(estimatedRows >= 0 && { estimatedRows }),
    }
  })
}

/** A subquery: all relations that a dump without the schemas of `$1` and the `schema.table`s of `$2` contains. */
export const dumpedRelations = `
  select c.oid, n.oid as schema_oid, n.nspname as schema, c.relname as name, c.relkind::text as kind, c.relowner as owner,
         c.relispopulated as is_populated, c.reltuples, e.extname as extension
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    left join pg_catalog.pg_depend member on member.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
         and member.objid = c.oid and member.objsubid = 0 and member.deptype = 'e'
    left join pg_catalog.pg_extension e on e.oid = member.refobjid
   where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and c.relpersistence <> 't'
     and (e.oid is null or c.oid = any(e.extconfig))
     and n.nspname <> all($1::text[]) and n.nspname || '.' || c.relname <> all($2::text[])
     and not exists (
       select from pg_catalog.pg_depend part
         join pg_catalog.pg_class t on t.oid = part.refobjid
         join pg_catalog.pg_namespace tn on tn.oid = t.relnamespace
        where c.relkind = 'S' and part.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and part.objid = c.oid
          and part.refclassid = part.classid and part.deptype in ('a', 'i')
          and (tn.nspname = any($1::text[]) or tn.nspname || '.' || t.relname = any($2::text[])))`
