import type { Client } from "pg"
import { z } from "zod"
import type { PostgresAddress } from "../postgres/address.ts"
import { listTables } from "../postgres/catalogue.ts"
import type { Restored } from "./compare.ts"
import { readInventory } from "./inventory.ts"
import { readLargeObjects } from "./large-objects.ts"
import type { Proof, TableFacts } from "./proof.ts"
import { dumpSchema } from "./schema-dump.ts"
import { readSequences } from "./sequences.ts"
import { pinSettings, readColumns } from "./table-facts.ts"
import { readStored } from "./take-proof.ts"

/** Reads a restored database the way the proof read its source. Stand-ins for excluded objects are not looked at. */
export async function readRestored(
  client: Client,
  address: PostgresAddress,
  pgDump: string,
  proof: Proof,
  signal: AbortSignal,
): Promise<Restored> {
  await pinSettings(client)
  const extensions = await client.query("select extname as name, extversion as version from pg_catalog.pg_extension")
  return {
    tables: await readTables(client, proof),
    sequences: await readSequences(client, proof.excluded),
    largeObjects: await readLargeObjects(client, proof.level, []),
    inventory: await readInventory(client, proof.excluded),
    schema: (await dumpSchema(pgDump, address, { excluded: proof.excluded, signal })).text,
    extensions: extensions.rows.map((row) => z.object({ name: z.string(), version: z.string() }).parse(row)),
  }
}

async function readTables(client: Client, proof: Proof): Promise<TableFacts[]> {
  const relations = await listTables(client, proof.excluded)
  const columns = await readColumns(
    client,
    relations.map((relation) => relation.oid),
  )
  const facts: TableFacts[] = []
  for (const relation of relations) {
    const { oid, schema, name, kind, isPopulated } = relation
    const hasRows = kind !== "partitioned table" && isPopulated !== false
    const read = hasRows
      ? await readStored(client, relation, proof.level === "full" ? columns.get(oid) : undefined)
      : {}
    facts.push({ oid, schema, name, kind, ...(isPopulated !== undefined && { isPopulated }), ...read })
  }
  return facts
}
