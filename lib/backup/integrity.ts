import { type Client, escapeIdentifier } from "pg"
import { z } from "zod"
import { type PostgresAddress, programEnvironment } from "../postgres/address.ts"
import { startProgram } from "../system/program.ts"
import { keepTail } from "../system/program-output.ts"
import { judged, type Level } from "./receipt.ts"

const drainGraceMs = 1000

const foreignKeyRow = z.object({
  name: z.string(),
  child: z.string(),
  parent: z.string(),
  childRows: z.string(),
  parentRows: z.string(),
  matchType: z.string(),
  pairs: z.array(z.object({ child: z.string(), parent: z.string(), operator: z.string() })),
})
type ForeignKey = z.infer<typeof foreignKeyRow>

/** Re-checks every foreign key row by row and, where pg_amcheck is there, every heap page and index. */
export async function checkIntegrity(
  client: Client,
  address: PostgresAddress,
  amcheck: string | undefined,
  signal: AbortSignal,
): Promise<Level> {
  const keys = await listForeignKeys(client)
  const differences: string[] = []
  for (const key of keys) {
    const { rows } = await client.query(orphansQuery(key))
    const orphans = z.string().parse(rows[0]?.orphans)
    if (orphans !== "0")
      differences.push(`${key.child}: ${orphans} rows break the foreign key ${key.name} to ${key.parent}`)
  }
  await silenceEventTriggers(client)
  const indexes = amcheck ? await runAmcheck(amcheck, address, signal) : undefined
  const structures = indexes
    ? "every heap page and index read by pg_amcheck"
    : "pages and indexes not read: pg_amcheck is not installed"
  return judged(`${keys.length} foreign keys re-checked; ${structures}`, [...differences, ...(indexes ?? [])])
}

/** Validated keys only: one that is NOT VALID promises nothing. Of a partitioned table the parent's key stands for all. */
async function listForeignKeys(client: Client): Promise<ForeignKey[]> {
  const { rows } = await client.query(
    `select k.conname as name, k.conrelid::regclass::text as child, k.confrelid::regclass::text as parent,
            (${rowsOf("k.conrelid")}) as "childRows", (${rowsOf("k.confrelid")}) as "parentRows", k.confmatchtype::text as "matchType",
            (select json_agg(json_build_object('child', a.attname, 'parent', f.attname, 'operator', format('operator(%I.%s)', n.nspname, o.oprname)) order by u.ord)
               from unnest(k.conkey, k.confkey, k.conpfeqop) with ordinality u (child, parent, op, ord)
               join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.child
               join pg_catalog.pg_attribute f on f.attrelid = k.confrelid and f.attnum = u.parent
               join pg_catalog.pg_operator o on o.oid = u.op join pg_catalog.pg_namespace n on n.oid = o.oprnamespace) as pairs
       from pg_catalog.pg_constraint k
      where k.contype = 'f' and k.convalidated and k.conparentid = 0 and coalesce(to_jsonb(k) ->> 'conperiod', 'false') = 'false'
      order by 2, 1`,
  )
  return rows.map((row) => foreignKeyRow.parse(row))
}

/** A key is about the partitions of a table and not about the tables that inherit from it. */
function rowsOf(relation: string): string {
  return `select case when relkind = 'p' then '' else 'only ' end || oid::regclass from pg_catalog.pg_class where oid = ${relation}`
}

function orphansQuery({ childRows, parentRows, pairs, matchType }: ForeignKey): string {
  const columns = pairs.map((pair) => `c.${escapeIdentifier(pair.child)}`)
  const match = pairs.map(
    (pair) => `p.${escapeIdentifier(pair.parent)} ${pair.operator} c.${escapeIdentifier(pair.child)}`,
  )
  const orphan = `not exists (select from ${parentRows} p where ${match.join(" and ")})`
  const all = columns.map((column) => `${column} is not null`).join(" and ")
  const some = columns.map((column) => `${column} is not null`).join(" or ")
  return `select count(*)::text as orphans from ${childRows} c where ${matchType === "f" ? `(${some})` : all} and ${orphan}`
}

/** pg_amcheck installs its extension: event triggers of the restored database must not run for that, nor forbid it. */
async function silenceEventTriggers(client: Client): Promise<void> {
  const { rows } = await client.query("select evtname as name from pg_catalog.pg_event_trigger where evtenabled <> 'D'")
  for (const { name } of rows) await client.query(`alter event trigger ${escapeIdentifier(String(name))} disable`)
}

/** What pg_amcheck found, an entry for each index or table: it writes that to stdout, and what went wrong with itself to stderr. */
async function runAmcheck(file: string, address: PostgresAddress, signal: AbortSignal): Promise<string[]> {
  const args = ["--install-missing", "--heapallindexed", "--parent-check", "--jobs=2", "--no-password"]
  const program = startProgram(file, args, { env: programEnvironment(address), signal })
  const found = keepTail(program.stdout)
  const { exitCode, killedBy } = await program.exited
  await found.ended(drainGraceMs)
  signal.throwIfAborted()
  if (exitCode === 0) return []
  const complaints = `${found.text()}\n${program.stderr()}`
    .split(/\n(?=\S)/)
    .map((text) => text.replace(/\s+/g, " ").trim())
  return [`pg_amcheck ended with ${killedBy ?? `exit code ${exitCode}`}`, ...complaints.filter((text) => text !== "")]
}
