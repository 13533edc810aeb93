import type { Client } from "pg"
import { z } from "zod"
import { quoteTable, renderTableName, type TableName } from "../postgres/name.ts"
import type { Parameters } from "./parameters.ts"

/*
 * A hold names columns and values, and may name a table: rows that have all of them stay as they are. Values are compared as texts, whatever
 * the case of letters and the zeros behind a number: in doubt a row is held.
 */

const active = (slot: string) => `h.released_at is null and (h.until is null or h.until > ${slot})`

/** True when no hold is in force at all. The server asks once a statement. */
export function noHolds(slot: string): string {
  return `not (select exists (select from ops.legal_hold h where ${active(slot)}))`
}

/** A text of JSON in the form in which values are compared; null is an empty one. */
function canonical(text: string): string {
  const number = "'^-?[0-9]{1,40}([.][0-9]{1,40})?$'"
  return `case when ${text} ~ ${number} then trim_scale((${text})::numeric)::text else lower(coalesce(${text}, '')) end`
}

/** All columns of a JSON object, or those of which the condition on `k.key` is true, with their values in that form. */
const canonicalRow = (json: string, which = "true") =>
  `(select jsonb_object_agg(k.key, ${canonical("k.value #>> '{}'")}) from jsonb_each(${json}) k where ${which})`

/**
 * Condition: a hold is on the row of `alias`. `names` are all that the row's table goes by, with its partitions and parents. Thousands of
 * holds cost a row little: the server orders them once a statement by the first column of each and its value, and of a row it looks at no
 * column that none of them names.
 */
export function isHeld(alias: string, names: readonly string[], slot: string, parameters: Parameters): string {
  const ordered = `(
    select jsonb_object_agg(key, texts)
      from (select key, jsonb_object_agg(text, wanted) as texts
              from (select f.key, f.value as text, jsonb_agg(w.cells) as wanted
                      from ops.legal_hold h, lateral (select ${canonicalRow("h.row_key")} as cells) w,
                           lateral (select key, value from jsonb_each_text(w.cells) order by key limit 1) f
                     where ${active(slot)} and (h.table_name is null or h.table_name = any(${parameters.add(names, "text[]")}))
                     group by 1, 2) by_text
             group by key) by_key)`
  const named = `k.key = any(array(select c from ops.legal_hold h, jsonb_object_keys(h.row_key) c where ${active(slot)}))`
  return `exists (
    select from (select ${canonicalRow(`to_jsonb(${alias})`, named)} as cells offset 0) held, jsonb_each_text(held.cells) c,
                jsonb_array_elements(${ordered} #> array[c.key, c.value]) wanted(cells)
     where held.cells @> wanted.cells)`
}

/** Names by which a hold may mean a table: its own, and those of its partitions, heirs and parents; without `public.` too. */
export async function namesOf(client: Client, table: TableName): Promise<string[]> {
  const { rows } = await client.query(
    `with recursive below as (
       select $1::regclass::oid as oid
       union select i.inhrelid from pg_catalog.pg_inherits i join below on below.oid = i.inhparent),
     above as (
       select $1::regclass::oid as oid
       union select i.inhparent from pg_catalog.pg_inherits i join above on above.oid = i.inhrelid)
     select n.nspname as schema, c.relname as name from (select oid from below union select oid from above) f
       join pg_catalog.pg_class c on c.oid = f.oid join pg_catalog.pg_namespace n on n.oid = c.relnamespace order by 1, 2`,
    [quoteTable(table)],
  )
  const known = z.array(z.object({ schema: z.string(), name: z.string() })).parse(rows)
  return known.flatMap((one) => (one.schema === "public" ? [renderTableName(one), one.name] : [renderTableName(one)]))
}

export type HoldsState = {
  exists: boolean
  /** This session sees all holds, and may lock the table against new ones. */
  isUsable: boolean
  warnings: string[]
}

/** Whether there is a table of holds that this session can honour, and which holds in force name no table that exists. */
export async function readHolds(client: Client, slot: Date): Promise<HoldsState> {
  const { rows: found } = await client.query(
    `select coalesce(has_schema_privilege(c.relnamespace, 'usage') and has_table_privilege(c.oid, 'select')
              and has_table_privilege(c.oid, 'update, delete, truncate') and not row_security_active(c.oid), false) as "isUsable"
       from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where n.nspname = 'ops' and c.relname = 'legal_hold'`,
  )
  if (found.length === 0) return { exists: false, isUsable: false, warnings: [] }
  const { isUsable } = z.object({ isUsable: z.boolean() }).parse(found[0])
  if (!isUsable) return { exists: true, isUsable, warnings: [] }
  const { rows } = await client.query(
    `select h.id::text, h.table_name as name from ops.legal_hold h
      where ${active("$1::timestamptz")} and h.table_name is not null
        and not exists (
          select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
           where c.relkind in ('r', 'p', 'f') and h.table_name in (n.nspname || '.' || c.relname, case n.nspname when 'public' then c.relname end))
      order by h.id`,
    [slot.toISOString()],
  )
  const warnings = z
    .array(z.object({ id: z.string(), name: z.string() }))
    .parse(rows)
    .map(
      ({ id, name }) =>
        `legal hold ${id} names the table ${JSON.stringify(name)}, which does not exist, and so holds nothing: correct its table_name in ops.legal_hold (such as public.messages), or release it`,
    )
  return { exists: true, isUsable, warnings }
}
