import { z } from "zod"
import { formatCount } from "../core/size.ts"
import { quoteName, quoteTable } from "../postgres/name.ts"
import type { CareCheck, Remedy } from "./check.ts"
import { makeIndex } from "./index-statements.ts"
import { ask, isOfTeam } from "./team-relations.ts"
import { type Weighed, worstFirst } from "./worst-first.ts"

const tableRow = z.object({
  looked: z.coerce.number(),
  schema: z.string(),
  name: z.string(),
  rows: z.coerce.number(),
  freeName: z.string(),
  uniqueIndex: z.string().nullable(),
  definition: z.string().nullable(),
})

const noTable = z.object({ looked: z.coerce.number(), schema: z.null() })

type Table = z.output<typeof tableRow>

/** Tables whose rows cannot be named one by one. */
export const tablesWithoutPrimaryKeyCheck: CareCheck = {
  name: "tables-without-primary-key",
  about: "tables whose rows cannot be told apart: no exact delete, no logical replication of changes",
  needs: "nothing",
  threshold: {},
  severity: "P3",
  async run({ client }) {
    const rows = await ask(client, z.union([tableRow, noTable]), query)
    const found = rows.flatMap((row) => (row.schema === null ? [] : [describe(row)]))
    return worstFirst(rows[0]?.looked ?? 0, found)
  },
}

/** Partitions follow their table. A unique index of columns that are never null can become the key. */
const query = `
  with team as materialized (
    select c.oid, n.nspname, c.relname, c.relkind, c.reltuples,
           exists (select from pg_catalog.pg_index x where x.indrelid = c.oid and x.indisprimary) as has_key
      from pg_catalog.pg_class c
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p') and not c.relispartition and ${isOfTeam})
  select (select pg_catalog.count(*) from team) as looked, c.nspname as schema, c.relname as name,
         greatest(c.reltuples, 0)::bigint as rows,
         (select pg_catalog.min(w.name) from pg_catalog.unnest('{id,id_key,row_id}'::text[]) w(name)
           where not exists (select from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attname = w.name)) as "freeName",
         u.name as "uniqueIndex", u.definition
    from (select) one
    left join (select * from team where not has_key) c on true
    left join lateral (
      select i.relname as name, pg_catalog.pg_get_indexdef(i.oid) as definition
        from pg_catalog.pg_index x
        join pg_catalog.pg_class i on i.oid = x.indexrelid
       where x.indrelid = c.oid and x.indisunique and x.indisvalid and x.indimmediate and x.indpred is null and x.indexprs is null
         and not exists (
           select from pg_catalog.unnest((x.indkey::pg_catalog.int2[])[0:x.indnkeyatts - 1]) key(attnum)
             join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = key.attnum
            where not a.attnotnull)
         and not exists (select from pg_catalog.pg_constraint k where k.conindid = i.oid)
       order by x.indnkeyatts, i.oid limit 1) u on c.relkind = 'r'`

function describe(table: Table): Weighed {
  const { schema, name, rows } = table
  return {
    item: `${schema}.${name}`,
    outcome: "warn",
    weight: rows,
    detail: `no primary key, about ${formatCount(rows)} rows`,
    evidence: { rows, ...(table.uniqueIndex !== null && { uniqueIndex: table.uniqueIndex }) },
    remedy: remedyOf(table),
  }
}

function remedyOf({ schema, name, freeName, uniqueIndex, definition }: Table): Remedy {
  const table = quoteTable({ schema, name })
  if (uniqueIndex !== null && definition !== null)
    return {
      advice: "a unique index over columns that are never null can become the key at once",
      run: [`alter table ${table} add primary key using index ${quoteName(uniqueIndex)}`],
      undo: [`alter table ${table} drop constraint ${quoteName(uniqueIndex)}`, makeIndex(definition)],
    }
  return {
    advice:
      "take the columns that tell rows apart; where there are none, add one. Adding one rewrites the table, and nobody can use it meanwhile: in a quiet hour when it is large",
    run: [`alter table ${table} add column ${quoteName(freeName)} bigint generated always as identity primary key`],
    undo: [`alter table ${table} drop column ${quoteName(freeName)}`],
  }
}
