import type { Client } from "pg"
import { z } from "zod"

/** What the connected role may see and do. */
export type Capabilities = {
  role: string
  isSuperuser: boolean
  /** Member of pg_read_all_stats (pg_monitor includes it): sees what other sessions do. */
  readsStats: boolean
  /** Member of pg_read_all_settings. */
  readsSettings: boolean
  /** Member of pg_stat_scan_tables: may use pgstattuple on tables that it does not own. */
  scansTables: boolean
  /** Reads all tables whatever their grants: superuser, or pg_read_all_data with BYPASSRLS. */
  readsEverything: boolean
}

const row = z.object({
  role: z.string(),
  isSuperuser: z.boolean(),
  readsStats: z.boolean(),
  readsSettings: z.boolean(),
  scansTables: z.boolean(),
  readsEverything: z.boolean(),
})

/** Asks the server what the role of this session may do. Needs no right at all. */
export async function readCapabilities(client: Client): Promise<Capabilities> {
  const { rows } = await client.query(
    `select r.rolname::text as role, r.rolsuper as "isSuperuser",
            pg_has_role(r.oid, 'pg_read_all_stats', 'usage') as "readsStats",
            pg_has_role(r.oid, 'pg_read_all_settings', 'usage') as "readsSettings",
            pg_has_role(r.oid, 'pg_stat_scan_tables', 'usage') as "scansTables",
            r.rolsuper or (r.rolbypassrls and coalesce(
              (select pg_has_role(r.oid, d.oid, 'usage') from pg_roles d where d.rolname = 'pg_read_all_data'), false)) as "readsEverything"
       from pg_roles r where r.rolname = current_user`,
  )
  return row.parse(rows[0])
}
