import type { Client } from "pg"
import { z } from "zod"
import { formatCounted } from "../core/size.ts"
import { quoteName, quoteTable } from "../postgres/name.ts"
import { withTransaction } from "../postgres/transaction.ts"
import { startTimer } from "../system/clock.ts"
import type { CareCheck } from "./check.ts"
import { ask, isOfTeam, isOpen, noteClosed, ownBytes } from "./team-relations.ts"
import { outcomeAt, type Weighed, worstFirst } from "./worst-first.ts"

/** What may be read to count violations: tables so large, for so long. */
const bounds = { bytes: 268_435_456, eachMs: 5000, allMs: 20_000 } as const

const constraintRow = z.object({
  looked: z.coerce.number(),
  schema: z.string(),
  table: z.string(),
  name: z.string(),
  bytes: z.coerce.number(),
  definition: z.string(),
  mayRead: z.boolean(),
  /** What counts its violations; `null` where that would run code of the team's own. */
  violations: z.string().nullable(),
})

const noConstraint = z.object({ looked: z.coerce.number(), schema: z.null() })
const countRow = z.object({ count: z.coerce.number() })

type NotValid = z.output<typeof constraintRow>
/** How many rows violate it, or why nobody knows. */
type Counted = { violations: number } | { why: string }

/** Constraints that hold for new rows only. */
export const constraintsCheck: CareCheck = {
  name: "constraints",
  about: "foreign keys and checks that are NOT VALID, and how many rows violate them",
  needs: "nothing; SELECT on the tables to count the rows",
  unit: "rows that violate it",
  threshold: { warn: 0 },
  severity: "P3",
  async run({ client }, threshold) {
    const rows = await ask(client, z.union([constraintRow, noConstraint]), query)
    const elapsed = startTimer()
    const found: Weighed[] = []
    for (const row of rows) {
      if (row.schema === null) continue
      const counted = elapsed() > bounds.allMs ? { why: "there was no time left" } : await countViolations(client, row)
      const outcome = outcomeAt("violations" in counted ? counted.violations : 0, threshold)
      if (outcome) found.push(describe(row, counted, outcome))
    }
    return worstFirst(rows[0]?.looked ?? 0, found, { notes: await noteClosed(client) })
  },
}

/**
 * A condition is asked only where it is made of what the server or an extension brings, since a function of somebody else would run
 * with the rights of this session. The operators of a key are those that it was made with.
 */
const query = `
  with team as materialized (
    select k.oid, k.contype, k.conname, k.conrelid, k.confrelid, k.conkey, k.confkey, k.conpfeqop, k.conbin, k.convalidated,
           n.nspname, c.relname, c.relkind
      from pg_catalog.pg_constraint k
      join pg_catalog.pg_class c on c.oid = k.conrelid
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where k.contype in ('c', 'f', 'n') and k.conparentid = 0 and k.coninhcount = 0
       and c.relkind in ('r', 'p') and ${isOpen} and ${isOfTeam})
  select (select pg_catalog.count(*) from team) as looked, bad.*
    from (select) one
    left join (
      select t.nspname as schema, t.relname as "table", t.conname as name, ${ownBytes("c")} as bytes, pg_catalog.pg_get_constraintdef(t.oid) as definition,
             pg_catalog.has_table_privilege(t.conrelid, 'SELECT') and not pg_catalog.row_security_active(t.conrelid)
               and (t.confrelid = 0 or pg_catalog.has_table_privilege(t.confrelid, 'SELECT')
                 and not pg_catalog.row_security_active(t.confrelid)) as "mayRead",
             case when t.contype = 'f' then key.violations
                  when t.contype = 'n' then pg_catalog.format('select from %I.%I where %I is null', t.nspname, t.relname,
                    (select a.attname from pg_catalog.pg_attribute a where a.attrelid = t.conrelid and a.attnum = t.conkey[1]))
                  when t.contype = 'c' and not exists (
                    select from pg_catalog.pg_depend d
                     where d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass and d.objid = t.oid
                       and (d.refclassid in ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass)
                         or d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass
                           and d.refobjid in (select oid from pg_catalog.pg_type where typtype in ('c', 'd')))
                       and not exists (select from pg_catalog.pg_depend e
                                        where e.classid = d.refclassid and e.objid = d.refobjid and e.deptype = 'e'))
                  then pg_catalog.format('select from %I.%I where not (%s)', t.nspname, t.relname,
                                         pg_catalog.pg_get_expr(t.conbin, t.conrelid)) end as violations
        from team t
        join pg_catalog.pg_class c on c.oid = t.conrelid
        join pg_catalog.pg_constraint k on k.oid = t.oid
        left join lateral (
          select pg_catalog.format('select from %I.%I child where %s and not exists (select from %I.%I parent where %s)',
                   t.nspname, t.relname,
                   pg_catalog.string_agg(pg_catalog.format('child.%I is not null', a.attname), ' and '), pn.nspname, p.relname,
                   pg_catalog.string_agg(pg_catalog.format('parent.%I operator(%I.%s) child.%I', b.attname, o_n.nspname, o.oprname,
                                                           a.attname), ' and ')) as violations
            from rows from (pg_catalog.unnest(t.conkey), pg_catalog.unnest(t.confkey), pg_catalog.unnest(t.conpfeqop)) u (child, parent, operator)
            join pg_catalog.pg_attribute a on a.attrelid = t.conrelid and a.attnum = u.child
            join pg_catalog.pg_attribute b on b.attrelid = t.confrelid and b.attnum = u.parent
            join pg_catalog.pg_operator o on o.oid = u.operator
            join pg_catalog.pg_namespace o_n on o_n.oid = o.oprnamespace
            join pg_catalog.pg_class p on p.oid = t.confrelid
            join pg_catalog.pg_namespace pn on pn.oid = p.relnamespace
           group by pn.nspname, p.relname) key on t.contype = 'f'
       where not t.convalidated and coalesce((pg_catalog.to_jsonb(k)->>'conenforced')::bool, true)) bad on true
   order by bad.bytes, bad.schema, bad."table", bad.name`

/** The statement comes whole from the catalogue, with every name in it quoted there. */
async function countViolations(client: Client, { mayRead, bytes, violations }: NotValid): Promise<Counted> {
  if (!mayRead) return { why: "this role may not read all rows" }
  if (bytes > bounds.bytes) return { why: "the table is large" }
  if (violations === null) return { why: "its condition calls functions of this database" }
  const options = { readOnly: true, statementTimeoutMs: bounds.eachMs, lockTimeoutMs: 1000 }
  try {
    const sql = `select pg_catalog.count(*) as count from (${violations}) bad`
    const [row] = await withTransaction(client, options, () => ask(client, countRow, sql))
    return { violations: row?.count ?? 0 }
  } catch (error) {
    const why = whyNot(error)
    if (why === undefined) throw error
    return { why }
  }
}

function whyNot(error: unknown): string | undefined {
  const code = error instanceof Error && "code" in error ? String(error.code) : ""
  if (code === "57014") return "it takes too long"
  if (code === "55P03") return "somebody holds a lock on the table"
  if (code === "42501") return "this role may not read all rows"
  // What the condition itself does with a row: division by zero, bad text. Such a row fails the validation too.
  return code.startsWith("22") || code.startsWith("42")
    ? "its condition fails on a row, or the table is gone"
    : undefined
}

function describe(constraint: NotValid, counted: Counted, outcome: "warn" | "fail"): Weighed {
  const { schema, table, name, bytes, definition } = constraint
  const own = quoteTable({ schema, name: table })
  const bad = "violations" in counted ? counted.violations : undefined
  const words =
    "why" in counted
      ? `its violations were not counted: ${counted.why}`
      : bad === 0
        ? "no row violates it"
        : `${formatCounted(counted.violations, "row")} violate it`
  return {
    item: `${schema}.${table}.${name}`,
    outcome,
    weight: bad ?? 0.5,
    detail: `NOT VALID: it holds for new rows only; ${words}`,
    evidence: { bytes, ...(bad !== undefined && { violations: bad }) },
    remedy: {
      advice:
        bad === undefined || bad === 0
          ? "validate it: that reads the table while people go on writing. The weekly maintenance does it (action validate)"
          : "mend or remove the rows that violate it, then validate it",
      run: [`alter table ${own} validate constraint ${quoteName(name)}`],
      undo: [
        `alter table ${own} drop constraint ${quoteName(name)}`,
        `alter table ${own} add constraint ${quoteName(name)} ${definition}`,
      ],
    },
  }
}
