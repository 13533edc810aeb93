import type { Client } from "pg"
import { z } from "zod"
import { quoteTable, renderTableName } from "../postgres/name.ts"
import type { Table } from "../postgres/table.ts"
import { joinOf } from "./cascade.ts"
import type { PlannedPartition } from "./contract.ts"

/** Why the server would not let this role drop or detach partitions of the table; empty when it would. */
export async function removalRefusals(
  client: Client,
  action: "drop" | "detach",
  table: Table,
  partitions: readonly PlannedPartition[],
): Promise<string[]> {
  if (partitions.length === 0) return []
  if (action === "drop")
    return [...(await rightsToDrop(client, table, partitions)), ...(await dependents(client, partitions))]
  return [...(await rightsToDetach(client, table)), ...(await references(client, table, partitions))]
}

const ownerRow = z.object({ name: z.string(), owner: z.string() })

async function rightsToDrop(client: Client, table: Table, partitions: readonly PlannedPartition[]): Promise<string[]> {
  const { rows } = await client.query(
    `select n.nspname || '.' || c.relname as name, pg_catalog.pg_get_userbyid(c.relowner) as owner
       from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where c.oid = any($1::oid[]) and not pg_has_role(c.relowner, 'usage') and not pg_has_role(n.nspowner, 'usage')
      order by 1`,
    [partitions.map(({ oid }) => oid)],
  )
  const foreign = z.array(ownerRow).parse(rows)
  const refusals = foreign.map(
    ({ name, owner }) =>
      `${name} belongs to ${owner}, and only its owner may drop it: let writeUrl connect as ${owner}`,
  )
  const { rows: lockable } = await client.query(
    "select has_table_privilege($1::oid, 'update, delete, truncate') as is_allowed",
    [table.oid],
  )
  if (z.object({ is_allowed: z.boolean() }).parse(lockable[0]).is_allowed) return refusals
  return [
    ...refusals,
    `this role may not lock ${renderTableName(table)}, from which partitions are taken: run: grant delete on ${quoteTable(table)} to <role>`,
  ]
}

async function rightsToDetach(client: Client, table: Table): Promise<string[]> {
  const { rows } = await client.query(
    "select pg_has_role(c.relowner, 'usage') as is_owner from pg_catalog.pg_class c where c.oid = $1",
    [table.oid],
  )
  if (z.object({ is_owner: z.boolean() }).parse(rows[0]).is_owner) return []
  const { owner } = table
  return [
    `${renderTableName(table)} belongs to ${owner}, and only its owner may detach partitions: let writeUrl connect as ${owner}`,
  ]
}

const dependentRow = z.object({ oid: z.string(), what: z.string() })

/** Views and foreign keys of others without which a partition cannot be dropped. */
async function dependents(client: Client, partitions: readonly PlannedPartition[]): Promise<string[]> {
  const { rows } = await client.query(
    `select distinct p.oid::text, what
       from unnest($1::oid[]) p(oid)
      cross join lateral pg_catalog.pg_partition_tree(p.oid::regclass) f
      cross join lateral (
        select 'the foreign key ' || coalesce(whole.conname, k.conname) || ' of ' || n.nspname || '.' || c.relname || ' refers to it' as what, c.oid as of
          from pg_catalog.pg_constraint k
          join pg_catalog.pg_class c on c.oid = k.conrelid
          join pg_catalog.pg_namespace n on n.oid = c.relnamespace
          left join pg_catalog.pg_constraint whole on whole.oid = k.conparentid and whole.conrelid = k.conrelid
         where k.contype = 'f' and k.confrelid = f.relid
        union all
        select 'the view ' || n.nspname || '.' || c.relname || ' reads it', c.oid
          from pg_catalog.pg_depend d
          join pg_catalog.pg_rewrite r on r.oid = d.objid and d.classid = 'pg_catalog.pg_rewrite'::regclass
          join pg_catalog.pg_class c on c.oid = r.ev_class
          join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid = f.relid and d.deptype = 'n') dependent
      where not exists (select from pg_catalog.pg_partition_tree(p.oid::regclass) own where own.relid = dependent.of)
      order by 1, 2`,
    [partitions.map(({ oid }) => oid)],
  )
  return z
    .array(dependentRow)
    .parse(rows)
    .map(({ oid, what }) => {
      const partition = partitions.find((one) => one.oid === oid)
      return `${partition ? renderTableName(partition) : oid} cannot be dropped, since ${what}: take that away first, or use the action "delete"`
    })
}

/** A partition may be detached only where no row of another table refers to one of its own. */
async function references(client: Client, table: Table, partitions: readonly PlannedPartition[]): Promise<string[]> {
  const refusals: string[] = []
  for (const partition of partitions) {
    for (const key of table.incoming) {
      const { rows } = await client.query(
        `select exists (select from ${quoteTable(key.from)} c join ${quoteTable(partition)} t on ${joinOf(key, "c", "t")}) as is_referred_to`,
      )
      if (!z.object({ is_referred_to: z.boolean() }).parse(rows[0]).is_referred_to) continue
      refusals.push(
        `${renderTableName(partition)} cannot be detached, since rows of ${renderTableName(key.from)} refer to it (foreign key ${key.name}): remove or change those first`,
      )
    }
  }
  return refusals
}
