import type { Client } from "pg"
import { z } from "zod"
import type { Proof } from "./proof.ts"

/** Large objects page by page, where the role may read them: on most servers only a superuser may. */
export async function readLargeObjects(
  client: Client,
  level: "full" | "counts",
  leftOut: string[],
): Promise<Proof["largeObjects"]> {
  const counted = await client.query(
    "select count(*)::text as count, has_table_privilege('pg_catalog.pg_largeobject', 'select') as readable from pg_catalog.pg_largeobject_metadata",
  )
  const { count, readable } = z.object({ count: z.string(), readable: z.boolean() }).parse(counted.rows[0])
  if (level === "counts" || count === "0") return { count }
  const described = await client.query(hashOf(largeObjectRecord, "pg_catalog.pg_largeobject_metadata m"))
  const attributes = z.string().parse(described.rows[0]?.hash)
  if (!readable) {
    leftOut.push(`content of ${count} large objects: this role may not read pg_largeobject`)
    return { count, attributes }
  }
  const { rows } = await client.query(hashOf("oidsend(loid), int4send(pageno), data", "pg_catalog.pg_largeobject"))
  return { count, attributes, hash: z.string().parse(rows[0]?.hash) }
}

/** Owner, grants and comment of the large object `m`. */
const largeObjectRecord = `oidsend(m.oid), pg_get_userbyid(m.lomowner)::text collate "C",
  array(select item::text collate "C" from unnest(coalesce(m.lomacl, acldefault('L', m.lomowner))) item order by 1),
  obj_description(m.oid, 'pg_largeobject') collate "C"`

function hashOf(record: string, source: string): string {
  return `select coalesce(sum(hashint4extended(0, hash_record_extended(row(${record}), 0))), 0)::text as hash from ${source}`
}
