import { type Client, escapeIdentifier, escapeLiteral } from "pg"
import { z } from "zod"
import type { Excluded, SequenceFacts, SequencePosition } from "./proof.ts"
import { endSavepoint } from "./savepoint.ts"

export type SequenceName = { oid: string; schema: string; name: string; cycles: boolean }
export type SequenceReading = SequenceName & SequencePosition

const nameRow = z.object({ oid: z.string(), schema: z.string(), name: z.string(), cycles: z.boolean() })
const readingRow = nameRow.extend({ lastValue: z.string(), isCalled: z.boolean() })
const batchSize = 200

/** Every sequence that a dump holds a value of, with that value as it is now: sequences ignore snapshots. */
export async function readSequences(client: Client, excluded: Excluded): Promise<SequenceReading[]> {
  const names = await listSequences(client, excluded)
  const readings: SequenceReading[] = []
  for (let start = 0; start < names.length; start += batchSize) {
    const parts = names.slice(start, start + batchSize).map(
      ({ oid, schema, name, cycles }) =>
        `select '${oid}' as oid, ${escapeLiteral(schema)} as schema, ${escapeLiteral(name)} as name, ${cycles} as cycles, last_value::text as "lastValue", is_called as "isCalled"
           from ${escapeIdentifier(schema)}.${escapeIdentifier(name)}`,
    )
    const { rows } = await client.query(parts.join(" union all "))
    for (const row of rows) readings.push(readingRow.parse(row))
  }
  return readings
}

/** The same inside a transaction that goes on for long. */
export async function glanceAtSequences(client: Client, excluded: Excluded): Promise<SequenceReading[]> {
  await client.query("savepoint sequences")
  const readings = await readSequences(client, excluded)
  await endSavepoint(client, "sequences")
  return readings
}

/** Puts the readings from before and after a dump together. A sequence that came or went meanwhile is in neither. */
export function pairReadings(before: readonly SequenceReading[], after: readonly SequenceReading[]): SequenceFacts[] {
  const later = new Map(after.map((reading) => [key(reading), reading]))
  return before.flatMap((first) => {
    const second = later.get(key(first))
    if (!second) return []
    const { oid, schema, name, cycles } = first
    return { oid, schema, name, ...(cycles && { cycles }), before: position(first), after: position(second) }
  })
}

/** Whether a restored position lies between the two that enclose the dump, in whichever direction the sequence runs. */
export function liesBetween(found: SequencePosition, facts: SequenceFacts): boolean {
  const [low, high] = [facts.before, facts.after].sort(comparePositions)
  return (
    low !== undefined && high !== undefined && comparePositions(low, found) <= 0 && comparePositions(found, high) <= 0
  )
}

function comparePositions(a: SequencePosition, b: SequencePosition): number {
  const [left, right] = [BigInt(a.lastValue), BigInt(b.lastValue)]
  return left < right ? -1 : left > right ? 1 : Number(a.isCalled) - Number(b.isCalled)
}

async function listSequences(client: Client, excluded: Excluded): Promise<SequenceName[]> {
  const { rows } = await client.query(
    `select c.oid::text as oid, n.nspname as schema, c.relname as name, s.seqcycle as cycles
       from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
       join pg_catalog.pg_sequence s on s.seqrelid = c.oid
      where c.relkind = 'S' and c.relpersistence <> 't' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
        and n.nspname <> all($1::text[])
        and not exists (select from pg_catalog.pg_depend d
                         where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
        and not exists (select from pg_catalog.pg_depend d join pg_catalog.pg_class t on t.oid = d.refobjid
                          join pg_catalog.pg_namespace s on s.oid = t.relnamespace
                         where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype in ('a', 'i')
                           and d.refclassid = 'pg_catalog.pg_class'::regclass
                           and (s.nspname || '.' || t.relname) = any($2::text[]))
      order by n.nspname collate "C", c.relname collate "C"`,
    [excluded.schemas, excluded.tables],
  )
  return rows.map((row) => nameRow.parse(row))
}

function position(reading: SequenceReading): SequencePosition {
  return { lastValue: reading.lastValue, isCalled: reading.isCalled }
}

function key(name: { schema: string; name: string }): string {
  return JSON.stringify([name.schema, name.name])
}
