import type { Client } from "pg"
import { z } from "zod"
import { dumpedRelations, type Exclusion } from "./catalogue.ts"

/** Something that belongs into a dump and that this role cannot read whole. */
export type Unreadable = {
  kind: "schema" | "table" | "sequence" | "large object"
  name: string
  reason: "no privilege" | "row security"
}

const unreadableRow = z.object({
  kind: z.enum(["schema", "table", "sequence", "large object"]),
  name: z.string(),
  reason: z.enum(["no privilege", "row security"]),
})

const shownNames = 30

/**
 * All that the connected role cannot read of what a dump needs, at once: schemas without USAGE, tables and sequences without SELECT,
 * large objects, and tables whose row security would hide rows from it (that dump would succeed and lack them).
 */
export async function listUnreadable(client: Client, excluded: Exclusion): Promise<Unreadable[]> {
  const { rows } = await client.query(
    `with r as (${dumpedRelations}),
          s as (select distinct schema_oid, schema from r where kind in ('r', 'p', 'S'))
     select * from (
       select 'schema' as kind, quote_ident(schema) as name, 'no privilege' as reason
         from s where not has_schema_privilege(schema_oid, 'USAGE')
       union all
       select 'table', quote_ident(schema) || '.' || quote_ident(name), 'no privilege'
         from r where kind in ('r', 'p') and not has_table_privilege(oid, 'SELECT')
       union all
       select 'table', quote_ident(schema) || '.' || quote_ident(name), 'row security'
         from r where kind = 'r' and row_security_active(oid)
       union all
       select 'sequence', quote_ident(schema) || '.' || quote_ident(name), 'no privilege'
         from r where case when kind = 'S' then not has_sequence_privilege(oid, 'SELECT') end
       union all
       select 'large object', l.oid::text, 'no privilege'
         from pg_catalog.pg_largeobject_metadata l
        where not pg_has_role(l.lomowner, 'USAGE') and not exists (
          select from aclexplode(l.lomacl) a
           where a.privilege_type = 'SELECT' and (a.grantee = 0 or pg_has_role(a.grantee, 'USAGE')))
     ) problems order by kind collate "C", name collate "C", reason`,
    [excluded.schemas, excluded.tables],
  )
  return z.array(unreadableRow).parse(rows)
}

/** What cannot be read and the statements that change it; `undefined` when there is nothing. `role` is the role of the connection. */
export function renderUnreadable(unreadable: readonly Unreadable[], role: string): string | undefined {
  const hidden = unreadable.filter((one) => one.reason === "row security")
  const objects = unreadable.filter((one) => one.reason === "no privilege" && one.kind === "large object")
  const denied = unreadable.filter((one) => one.reason === "no privilege" && one.kind !== "large object")
  const parts = [
    denied.length > 0 &&
      `cannot read ${listNames(denied)}: run "grant pg_read_all_data to ${role}" (PostgreSQL 14 and later)`,
    hidden.length > 0 &&
      `row security would hide rows of ${listNames(hidden)}: run "alter role ${role} bypassrls", or back up as the owner`,
    objects.length > 0 && `cannot read ${listNames(objects)}: grant select on them, or back up as their owner`,
  ].filter((part) => part !== false)
  if (parts.length === 0) return undefined
  return `role ${role} ${parts.join("; ")}; or leave them out with backup.exclude`
}

function listNames(unreadable: readonly Unreadable[]): string {
  const names = unreadable.slice(0, shownNames).map(({ kind, name }) => `${kind} ${name}`)
  const more = unreadable.length - names.length
  return `${names.join(", ")}${more > 0 ? ` and ${more} more` : ""}`
}
