import { z } from "zod"
import { formatCount, formatCounted } from "../core/size.ts"
import { quoteName, quoteTable } from "../postgres/name.ts"
import type { CareCheck, Remedy } from "./check.ts"
import { ask, isOfTeam } from "./team-relations.ts"
import { noteOf, outcomeAt, type Weighed, worstFirst } from "./worst-first.ts"

const sequenceRow = z.object({
  schema: z.string(),
  name: z.string(),
  type: z.string(),
  isVisible: z.boolean(),
  /** `null` before the first use, and where the role may not read it. */
  value: z.coerce.bigint().nullable(),
  first: z.coerce.bigint(),
  limit: z.coerce.bigint(),
  limitedBy: z.enum(["column", "sequence"]),
  columnSchema: z.string().nullable(),
  columnTable: z.string().nullable(),
  column: z.string().nullable(),
  columnType: z.string().nullable(),
  isIdentity: z.boolean(),
  referring: z.coerce.number(),
})

type Sequence = z.output<typeof sequenceRow>

/** Sequences that will soon have no number left that fits. */
export const sequencesCheck: CareCheck = {
  name: "sequences",
  about: "sequences near the last number that they, or the column that they fill, can hold",
  needs: "USAGE or SELECT on the sequences",
  unit: "percent of the numbers used",
  threshold: { warn: 70, fail: 90 },
  severity: "P2",
  async run({ client, may }, threshold) {
    const all = await ask(client, sequenceRow, query)
    const unseen = all.filter(({ isVisible }) => !isVisible).length
    if (all.length > 0 && unseen === all.length)
      return { status: "skipped", reason: `${may.role} may read no sequence: grant it SELECT on them` }
    const found = all.flatMap((sequence): Weighed[] => {
      if (sequence.value === null) return []
      const percent = percentUsed(sequence.first, sequence.value, sequence.limit)
      const outcome = outcomeAt(percent, threshold)
      return outcome ? [describe(sequence, sequence.value, percent, outcome)] : []
    })
    const notes = noteOf(unseen, "sequence", "not looked at: this role may not read them, or somebody is altering them")
    return worstFirst(all.length - unseen, found, { notes })
  },
}

/** How much of the way from the first number to the limit is gone, in percent; up or down. Pure. */
export function percentUsed(first: bigint, value: bigint, limit: bigint): number {
  const way = limit > first ? limit - first : first - limit
  if (way === 0n) return 100
  const gone = limit > first ? value - first : first - value
  return Math.min(100, Math.max(0, Number((gone * 100_000n) / way) / 1000))
}

/**
 * A sequence belongs to a column by `serial`, `identity` or `owned by`, or fills it by its default. The narrowest column counts. Those that
 * begin again by themselves never end.
 */
const query = `
  with fills as (
    select d.objid as sequence, d.refobjid as relation, d.refobjsubid as attnum, d.deptype = 'i' as is_identity
      from pg_catalog.pg_depend d
     where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refclassid = d.classid and d.refobjsubid > 0
       and d.deptype in ('a', 'i')
    union
    select d.refobjid, f.adrelid, f.adnum, false
      from pg_catalog.pg_depend d
      join pg_catalog.pg_attrdef f on f.oid = d.objid
     where d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass)
  select n.nspname as schema, c.relname as name, pg_catalog.format_type(s.seqtypid, null) as type,
         v.visible as "isVisible",
         case when v.visible then pg_catalog.pg_sequence_last_value(c.oid)::text end as value,
         case when s.seqincrement > 0 then s.seqmin else s.seqmax end::text as first,
         case when s.seqincrement > 0 then least(s.seqmax, f.highest) else greatest(s.seqmin, f.lowest) end::text as "limit",
         case when (s.seqincrement > 0 and f.highest <= s.seqmax) or (s.seqincrement < 0 and f.lowest >= s.seqmin)
              then 'column' else 'sequence' end as "limitedBy",
         f.schema as "columnSchema", f.relname as "columnTable", f.attname as column, f.type as "columnType",
         coalesce(f.is_identity, false) as "isIdentity",
         coalesce(refer.keys, 0) as referring
    from pg_catalog.pg_sequence s
    join pg_catalog.pg_class c on c.oid = s.seqrelid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    cross join lateral (select pg_catalog.has_sequence_privilege(c.oid, 'USAGE, SELECT') and c.oid not in (
           select l.relation from pg_catalog.pg_locks l where l.locktype = 'relation' and l.relation is not null
              and l.mode in ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')) as visible) v
    left join (
      select distinct on (fills.sequence) fills.sequence, t.relname, tn.nspname as schema, a.attname,
             pg_catalog.format_type(a.atttypid, null) as type, fills.is_identity, fills.relation, fills.attnum, w.highest, w.lowest
        from fills
        join pg_catalog.pg_class t on t.oid = fills.relation and not t.relispartition
        join pg_catalog.pg_namespace tn on tn.oid = t.relnamespace
        join pg_catalog.pg_attribute a on a.attrelid = t.oid and a.attnum = fills.attnum
        join pg_catalog.pg_type y on y.oid = a.atttypid
        left join (values ('int2'::pg_catalog.regtype, 32767::bigint, -32768::bigint), ('int4', 2147483647, -2147483648),
                          ('int8', 9223372036854775807, -9223372036854775808)) w(type, highest, lowest)
               on w.type = case when y.typtype = 'd' then y.typbasetype else y.oid end
       order by fills.sequence, w.highest nulls last, fills.is_identity desc, t.oid) f on f.sequence = c.oid
    left join (
      select k.confrelid, target.attnum, pg_catalog.count(*) as keys
        from pg_catalog.pg_constraint k
        cross join lateral pg_catalog.unnest(k.confkey) target(attnum)
       where k.contype = 'f' and k.conparentid = 0 group by 1, 2) refer on refer.confrelid = f.relation and refer.attnum = f.attnum
   where not s.seqcycle and ${isOfTeam}`

function describe(sequence: Sequence, value: bigint, percent: number, outcome: "warn" | "fail"): Weighed {
  const { schema, name, limit, limitedBy, columnSchema, columnTable, column, columnType } = sequence
  const left = limit > value ? limit - value : value - limit
  const of = column === null ? "" : ` of ${columnSchema}.${columnTable}.${column} (${columnType})`
  return {
    item: `${schema}.${name}`,
    outcome,
    weight: percent,
    detail: `${percent.toFixed(1)} % of the numbers${of} are used, ${formatCount(left)} are left; inserts fail after the last`,
    evidence: { percent, value: String(value), limit: String(limit), limitedBy },
    remedy: remedyOf(sequence),
  }
}

/** Where the numbers of a type end, up and down. */
const bounds: Record<string, readonly bigint[]> = {
  smallint: [32_767n, -32_768n],
  integer: [2_147_483_647n, -2_147_483_648n],
}

function remedyOf(sequence: Sequence): Remedy {
  const { schema, name, type, limit, limitedBy } = sequence
  const own = quoteTable({ schema, name })
  if (limitedBy === "column") return widenColumn(sequence, own)
  if (bounds[type]?.includes(limit))
    return {
      advice: "make it a sequence of bigint: its column can hold more",
      run: [`alter sequence ${own} as bigint`],
      undo: [`alter sequence ${own} as ${type}`],
    }
  const bound = limit > sequence.first ? "maxvalue" : "minvalue"
  return {
    advice: "the bound is the sequence's own: lift it",
    run: [`alter sequence ${own} no ${bound}`],
    undo: [`alter sequence ${own} ${bound} ${limit}`],
  }
}

/** The type of an identity column's sequence follows the column. */
function widenColumn(sequence: Sequence, own: string): Remedy {
  const { type, columnSchema, columnTable, column, columnType, isIdentity, referring } = sequence
  const alter = `alter table ${quoteTable({ schema: columnSchema ?? "", name: columnTable ?? "" })} alter column ${quoteName(column ?? "")} type`
  const others = referring > 0 ? `; ${formatCounted(referring, "foreign key")} to it: change their columns first` : ""
  const isNarrow = type !== "bigint" && !isIdentity
  return {
    advice: `make the column bigint: this rewrites the table, and nobody can use it meanwhile. For a large one add a bigint column, copy in batches and swap${others}. It can be taken back while all numbers fit`,
    run: [`${alter} bigint`, ...(isNarrow ? [`alter sequence ${own} as bigint`] : [])],
    undo: [...(isNarrow ? [`alter sequence ${own} as ${type}`] : []), `${alter} ${columnType}`],
  }
}
