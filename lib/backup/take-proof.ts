import type { Client } from "pg"
import { z } from "zod"
import { formatDuration } from "../core/duration.ts"
import type { Log } from "../core/log.ts"
import { isConnectionLoss } from "../postgres/connect-error.ts"
import { startTimer } from "../system/clock.ts"
import { readHidden, readInventory, readReferencedRoles, readTablespaces } from "./inventory.ts"
import { readLargeObjects } from "./large-objects.ts"
import { readOutside } from "./outside.ts"
import { type Excluded, type ExtensionFacts, type Proof, qualified, type TableFacts } from "./proof.ts"
import { endSavepoint } from "./savepoint.ts"
import {
  type Column,
  factsQuery,
  oldestHashableMajor,
  type ProvenRelation,
  readColumns,
  rowsOf,
} from "./table-facts.ts"

export type ProofOrder = {
  relations: readonly ProvenRelation[]
  level: "full" | "counts"
  serverMajor: number
  excluded: Excluded
  /** How long counting and hashing may take in all; what is not reached is left out, and said. */
  limitMs: number
  log: Log
  signal: AbortSignal
}

/** A proof but for the two parts that are read outside the snapshot's transaction. */
export type SnapshotProof = Omit<Proof, "sequences" | "schema">

/** Takes the facts inside the transaction of `client`, which holds the snapshot. Settings must be pinned. */
export async function takeProof(client: Client, order: ProofOrder): Promise<SnapshotProof> {
  const leftOut: string[] = await readHidden(client)
  const outside = await readOutside(client, order.excluded)
  const level = order.level === "full" && order.serverMajor < oldestHashableMajor ? "counts" : order.level
  if (level !== order.level)
    leftOut.push(`content hashes: a server of version ${order.serverMajor} has no hash of a record, 14 and later do`)
  return {
    format: "nightshift-proof/1",
    level,
    serverMajor: order.serverMajor,
    excluded: order.excluded,
    inventory: await readInventory(client, order.excluded),
    roles: await readReferencedRoles(client),
    tablespaces: await readTablespaces(client),
    extensions: await readExtensions(client),
    largeObjects: await readLargeObjects(client, level, leftOut),
    outside,
    tables: await readTables(client, { ...order, level }, new Set(outside.views), leftOut),
    leftOut,
  }
}

async function readTables(
  client: Client,
  order: ProofOrder,
  tainted: Set<string>,
  leftOut: string[],
): Promise<TableFacts[]> {
  const elapsed = startTimer()
  const columns = await readColumns(
    client,
    order.relations.map((relation) => relation.oid),
  )
  const facts: TableFacts[] = []
  const unreached: string[] = []
  for (const relation of order.relations) {
    order.signal.throwIfAborted()
    const base: TableFacts = { oid: relation.oid, schema: relation.schema, name: relation.name, kind: relation.kind }
    if (relation.isPopulated !== undefined) base.isPopulated = relation.isPopulated
    if (relation.extension !== undefined) base.extension = relation.extension
    facts.push(base)
    if (relation.kind === "partitioned table" || relation.isPopulated === false) continue
    if (tainted.has(qualified(relation))) {
      leftOut.push(`rows of materialized view ${qualified(relation)}: it reads what the configuration excludes`)
      continue
    }
    const remainingMs = Math.floor(order.limitMs - elapsed())
    const read =
      remainingMs > 0 ? await readFacts(client, relation, order, columns.get(relation.oid), remainingMs) : "time is up"
    if (read === "time is up") unreached.push(qualified(relation))
    else if ("sqlstate" in read)
      leftOut.push(`rows of materialized view ${qualified(relation)}: its query fails with SQLSTATE ${read.sqlstate}`)
    else Object.assign(base, read)
  }
  if (unreached.length > 0) leftOut.push(unreachedText(unreached, order.limitMs))
  return facts
}

type Facts = Pick<TableFacts, "rows" | "hash" | "unstable">

/**
 * Rows and hash of one relation. A savepoint keeps the snapshot alive when the time is up, or when a materialized view asks for what
 * no longer works: that breaks its refresh and not the dump.
 */
async function readFacts(
  client: Client,
  relation: ProvenRelation,
  order: ProofOrder,
  columns: Column[] | undefined,
  limitMs: number,
): Promise<Facts | { sqlstate: string } | "time is up"> {
  await client.query(`savepoint facts; set local statement_timeout = ${limitMs}`)
  const isView = relation.kind === "materialized view"
  const elapsed = startTimer()
  try {
    const read = isView ? readDefined : readStored
    const facts = await read(client, relation, order.level === "full" ? columns : undefined)
    await endSavepoint(client, "facts")
    return facts
  } catch (error) {
    const sqlstate = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : ""
    const isTimeUp = sqlstate === "57014" && elapsed() >= limitMs // its words are in the server's language
    const isItsOwnFault = isView && /^(0[AKLPZ]|2|3|4[24]|54|55|P0|XX000)/.test(sqlstate)
    if (isConnectionLoss(error)) throw error
    if (!isTimeUp && !isItsOwnFault) throw new Error(`cannot count ${qualified(relation)}`, { cause: error })
    await endSavepoint(client, "facts")
    return isTimeUp ? "time is up" : { sqlstate }
  }
}

const factsRow = z.object({ rows: z.string(), hash: z.string().optional() })

/** Rows and hash of a relation as this transaction sees them: for a materialized view, the rows it stores. */
export async function readStored(
  client: Client,
  relation: ProvenRelation,
  columns: Column[] | undefined,
): Promise<Facts> {
  const { rows } = await client.query(factsQuery(rowsOf(relation), columns))
  return factsRow.parse(rows[0])
}

/** A materialized view as a restore will fill it: through its defining query, since its stored rows may be stale. */
async function readDefined(client: Client, relation: ProvenRelation, columns: Column[] | undefined): Promise<Facts> {
  const definition = await client.query("select pg_get_viewdef($1::oid) as sql", [relation.oid])
  const sql = z.string().parse(definition.rows[0]?.sql).replace(/;\s*$/, "")
  const { rows } = await client.query(factsQuery(`(${sql})`, columns))
  const asked = unrepeatable.exec(sql)?.[0] ?? (await ownFunction(client, relation))
  return { ...factsRow.parse(rows[0]), ...(asked ? { unstable: `its query asks for ${asked}` } : {}) }
}

/** What gives another answer at another time, on another machine, to another role or for rows in another order. */
const unrepeatable = new RegExp(
  [
    /\b(now|random|clock_timestamp|statement_timestamp|transaction_timestamp|gen_random_uuid|timeofday|nextval)(?=\()/,
    /\b(age|version|current_database|current_setting|txid_current|pg_\w+_size|inet_server_\w+)(?=\()/,
    /\b(array|string|json|jsonb|xml)_?agg(?=\()|\b(row_number|first_value|last_value|nth_value|lag|lead|ntile)(?=\()/,
    /\b(json|jsonb)_object_agg(?=\()|\bdistinct on(?= \()|\blimit\b|\btablesample\b|\b(ctid|tableoid|xmin)\b/,
    /\b(current_(date|time|timestamp|user|role)|localtime(stamp)?|session_user)\b/,
  ]
    .map((pattern) => pattern.source)
    .join("|"),
  "i",
)

/** A function of the team's own that the query calls and that does not promise the same answer every time. */
async function ownFunction(client: Client, relation: ProvenRelation): Promise<string | undefined> {
  const { rows } = await client.query(
    `select p.proname as name from pg_catalog.pg_rewrite r
       join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = r.oid
       join pg_catalog.pg_proc p on d.refclassid = 'pg_catalog.pg_proc'::regclass and p.oid = d.refobjid
      where r.ev_class = $1::oid and p.provolatile <> 'i' order by 1 limit 1`,
    [relation.oid],
  )
  return rows[0] && `the function ${z.string().parse(rows[0].name)}`
}

async function readExtensions(client: Client): Promise<ExtensionFacts[]> {
  const { rows } = await client.query(
    `select e.extname as name, e.extversion as version, n.nspname as schema,
            coalesce((select json_agg(distinct pg_describe_object(d.classid, d.objid, 0) order by pg_describe_object(d.classid, d.objid, 0))
               from pg_catalog.pg_depend m join pg_catalog.pg_depend d on d.refclassid = m.classid and d.refobjid = m.objid
              where m.refclassid = 'pg_catalog.pg_extension'::regclass and m.refobjid = e.oid and m.deptype = 'e' and d.deptype in ('n', 'a')
                and not exists (select from pg_catalog.pg_depend o where o.classid = d.classid and o.objid = d.objid and o.deptype = 'e')), '[]') as dependents
       from pg_catalog.pg_extension e join pg_catalog.pg_namespace n on n.oid = e.extnamespace
      where e.extname <> 'plpgsql' order by 1`,
  )
  const row = z.object({ name: z.string(), version: z.string(), schema: z.string(), dependents: z.array(z.string()) })
  return rows.map((value) => row.parse(value))
}

function unreachedText(names: string[], limitMs: number): string {
  const shown = names.slice(0, 20).join(", ")
  const more = names.length > 20 ? ` and ${names.length - 20} more` : ""
  return `rows of ${names.length} tables, not reached within ${formatDuration(limitMs)}: ${shown}${more}`
}
