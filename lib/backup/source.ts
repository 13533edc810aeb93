import type { Client } from "pg"
import { z } from "zod"
import type { ServerFacts } from "./manifest.ts"

const serverRow = z.object({
  version: z.string(),
  versionNumber: z.number(),
  encoding: z.string(),
  bytes: z.string(),
  lcMonetary: z.string().nullable(),
  database: z.looseObject({
    datcollate: z.string(),
    datctype: z.string(),
    datlocprovider: z.string().optional(),
    daticulocale: z.string().nullish(),
    datlocale: z.string().nullish(),
    daticurules: z.string().nullish(),
  }),
})

/** Columns of type money, of arrays of it, of domains over it. */
const moneyColumns = `
  select from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid
   where a.attrelid >= 16384 and 'pg_catalog.money'::regtype in (t.oid, t.typelem, t.typbasetype)`

const providers: Record<string, ServerFacts["localeProvider"]> = { c: "libc", i: "icu", b: "builtin" }

/** What a copy of this database must be created with, and how large the original is. */
export async function readServerFacts(client: Client): Promise<{ server: ServerFacts; databaseBytes: number }> {
  const { rows } = await client.query(
    `select current_setting('server_version') as version, current_setting('server_version_num')::int as "versionNumber",
            pg_encoding_to_char(encoding) as encoding, pg_database_size(oid)::text as bytes, to_jsonb(d) as database,
            case when exists (${moneyColumns}) then (select reset_val from pg_catalog.pg_settings where name = 'lc_monetary') end as "lcMonetary"
       from pg_catalog.pg_database d where datname = current_database()`,
  )
  const row = serverRow.parse(rows[0])
  const provider = providers[row.database.datlocprovider ?? "c"] ?? "libc"
  const locale = row.database.datlocale ?? row.database.daticulocale
  return {
    databaseBytes: Number(row.bytes),
    server: {
      version: row.version.split(" ")[0] ?? row.version,
      major: Math.floor(row.versionNumber / 10_000),
      encoding: row.encoding,
      localeProvider: provider,
      collate: row.database.datcollate,
      ctype: row.database.datctype,
      ...(provider === "icu" && locale && { icuLocale: locale }),
      ...(provider === "builtin" && locale && { builtinLocale: locale }),
      ...(row.lcMonetary !== null && { lcMonetary: row.lcMonetary }),
      ...(row.database.daticurules && { icuRules: row.database.daticurules }),
    },
  }
}
