import type { Client } from "pg"
import { z } from "zod"
import { quoteName } from "../postgres/name.ts"
import { withTransaction } from "../postgres/transaction.ts"
import { startTimer } from "../system/clock.ts"
import { ask } from "./team-relations.ts"

/** What may be read to confirm an estimate: so many relations, each so large, for so long. */
const bounds = { relations: 10, bytes: 1_073_741_824, eachMs: 5000, allMs: 20_000 } as const

/** Cancelled, locked, gone or not allowed: the estimate stands alone. */
const passing = ["57014", "55P03", "42501", "42P01", "XX000"]

type Measurable = { oid: string; bytes: number }

const functionRow = z.object({ schema: z.string() })
const share = z.object({ percent: z.coerce.number() })

/**
 * Percent of each table that is dead or empty, by its oid, as `pgstattuple_approx` reads it: only pages that are not known to be all
 * visible. Holds nothing for what is too large, takes too long or may not be read, and nothing at all without the extension.
 */
export async function measureTables(client: Client, tables: readonly Measurable[]): Promise<Map<string, number>> {
  return measure(
    client,
    tables,
    "pgstattuple_approx",
    (call) =>
      `select coalesce(100.0 * (dead_tuple_len + approx_free_space) / nullif(table_len, 0), 0) as percent from ${call} m`,
  )
}

/** Percent of each B-tree that is dead or empty, beyond what its fill factor leaves, by its oid; as `measureTables`. Reads the whole index. */
export async function measureBtrees(client: Client, indexes: readonly Measurable[]): Promise<Map<string, number>> {
  return measure(
    client,
    indexes,
    "pgstatindex",
    (call, oid) => `select greatest(0, 100.0 - 100.0 * (internal_pages + 1
          + leaf_pages * case when avg_leaf_density = 'NaN' then 0 else avg_leaf_density end / coalesce(
            (select o.option_value::float8 from pg_catalog.pg_class c, pg_catalog.pg_options_to_table(c.reloptions) o
              where c.oid = ${oid} and o.option_name = 'fillfactor'), 90))
        / nullif(index_size / pg_catalog.current_setting('block_size')::float8, 0)) as percent from ${call} m`,
  )
}

async function measure(
  client: Client,
  relations: readonly Measurable[],
  name: "pgstattuple_approx" | "pgstatindex",
  query: (call: string, oid: string) => string,
): Promise<Map<string, number>> {
  const measured = new Map<string, number>()
  const small = relations.filter(({ bytes }) => bytes <= bounds.bytes).slice(0, bounds.relations)
  const schema = small.length > 0 ? await schemaOf(client, name) : undefined
  if (schema === undefined) return measured
  const elapsed = startTimer()
  for (const { oid } of small) {
    if (elapsed() > bounds.allMs) break
    const id = `${Number(oid)}::pg_catalog.oid`
    const sql = query(`${quoteName(schema)}.${name}(${id}::pg_catalog.regclass)`, id)
    const percent = await readPercent(client, sql)
    if (percent !== undefined) measured.set(oid, percent)
  }
  return measured
}

/** Where the function of the extension is, if this role may call it. */
async function schemaOf(client: Client, name: string): Promise<string | undefined> {
  const found = await ask(
    client,
    functionRow,
    `select n.nspname as schema from pg_catalog.pg_extension e
       join pg_catalog.pg_depend part on part.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass and part.refobjid = e.oid
         and part.deptype = 'e' and part.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
       join pg_catalog.pg_proc p on p.oid = part.objid
       join pg_catalog.pg_namespace n on n.oid = p.pronamespace
      where e.extname = 'pgstattuple' and p.proname = $1 and p.proargtypes[0] = 'pg_catalog.regclass'::pg_catalog.regtype
        and pg_catalog.has_function_privilege(p.oid, 'EXECUTE') and pg_catalog.has_schema_privilege(n.oid, 'USAGE')`,
    [name],
  )
  return found[0]?.schema
}

async function readPercent(client: Client, sql: string): Promise<number | undefined> {
  try {
    const options = { readOnly: true, statementTimeoutMs: bounds.eachMs, lockTimeoutMs: 1000 }
    const rows = await withTransaction(client, options, () => ask(client, share, sql))
    return rows[0]?.percent
  } catch (error) {
    if (error instanceof Error && "code" in error && passing.includes(String(error.code))) return undefined
    throw error
  }
}
