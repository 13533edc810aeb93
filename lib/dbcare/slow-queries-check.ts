import type { Client } from "pg"
import { z } from "zod"
import { formatDuration } from "../core/duration.ts"
import { formatCount, formatCounted } from "../core/size.ts"
import { quoteName } from "../postgres/name.ts"
import type { CareCheck, CareItem, CareSample } from "./check.ts"
import { levelOf, unseen } from "./sessions-checks.ts"

/** Statements that are followed from look to look: those that took the most time in all. */
const followed = 60

const statementRow = z.object({
  id: z.string(),
  verb: z.string().nullable(),
  calls: z.coerce.number(),
  ms: z.coerce.number(),
})
type Statement = z.output<typeof statementRow>

/** What a statement did since the last look. */
export type StatementGain = Statement & { calls: number; ms: number; isSinceReset: boolean }

/**
 * Statements that take long on average, from pg_stat_statements of any version. Of each its number is kept, and of its text one word at
 * most: texts can hold personal data. What happened since the last look is worked out from totals that are kept in the ledger, so that
 * neither a long history nor a reset hides a change.
 */
export const slowQueriesCheck: CareCheck = {
  name: "slow-queries",
  about: "statements that took long on average since the last look",
  needs: "the extension pg_stat_statements, and membership in pg_monitor to see other roles' statements",
  unit: "milliseconds on average",
  threshold: { warn: 1000, fail: 30_000 },
  severity: "P3",
  async run({ client, may, earlier }, threshold) {
    const hidden = unseen({ may }, "statements")
    if (hidden) return hidden
    const schema = await schemaOf(client)
    if (schema === undefined)
      return {
        status: "skipped",
        reason: "the extension pg_stat_statements is not installed: create extension pg_stat_statements",
      }
    const statements = await readStatements(client, schema)
    if (statements === undefined)
      return { status: "skipped", reason: "pg_stat_statements is not loaded: add it to shared_preload_libraries" }
    const resetAt = await readReset(client, schema)
    const gains = statementGains(statements, earlier, resetAt)
    const items = gains.flatMap((gain) => describeSlow(gain, schema, threshold))
    const totals = Object.fromEntries(
      statements.flatMap(({ id, calls, ms }) => [
        [`statement.${id}.calls`, calls],
        [`statement.${id}.ms`, Math.round(ms)],
      ]),
    )
    const numbers = { ...totals, ...(resetAt !== undefined && { [resetNumber]: resetAt }) }
    const isFirst = !earlier.some((sample) => followedIn(sample.numbers) > 0)
    const notes = isFirst ? ["the first look: from the next one on it is known what each statement did in between"] : []
    return { status: "done", looked: statements.length, items, numbers, notes }
  },
}

async function schemaOf(client: Client): Promise<string | undefined> {
  const { rows } = await client.query(
    "select n.nspname::text as schema from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'pg_stat_statements'",
  )
  return rows.length === 0 ? undefined : z.object({ schema: z.string() }).parse(rows[0]).schema
}

const resetNumber = "statements.reset"

/** When the totals began anew, in seconds since 1970; `undefined` before version 14, which does not say. */
async function readReset(client: Client, schema: string): Promise<number | undefined> {
  const view = `${quoteName(schema)}.pg_stat_statements_info`
  const { rows } = await client.query("select to_regclass($1) is not null as known", [view])
  if (!z.object({ known: z.boolean() }).parse(rows[0]).known) return undefined
  const reset = await client.query(`select extract(epoch from stats_reset)::float8 as at from ${view}`)
  return z.object({ at: z.number().nullable() }).parse(reset.rows[0]).at ?? undefined
}

/** Columns changed their names in versions 13 and on: the row as JSON has whichever there are. `undefined` when the library is not loaded. */
async function readStatements(client: Client, schema: string): Promise<Statement[] | undefined> {
  const sql = `
    select id, min(verb) as verb, sum(calls) as calls, sum(ms) as ms from (
      select s.queryid::text as id, upper(substring(s.query from '(?i)^\\s*(select|insert|update|delete|with|merge|call|copy)\\y')) as verb, s.calls,
             coalesce(to_jsonb(s) - 'query' ->> 'total_exec_time', to_jsonb(s) - 'query' ->> 'total_time')::float8 as ms
        from ${quoteName(schema)}.pg_stat_statements s
       where s.dbid = (select oid from pg_database where datname = current_database()) and s.queryid is not null
    ) s group by id order by ms desc limit ${followed}`
  try {
    return z.array(statementRow).parse((await client.query(sql)).rows)
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "55000") return undefined
    throw error
  }
}

/**
 * What each statement did since it was last followed. All of it for one whose totals began anew since (another `resetAt` than then, or less
 * than there was), and for one that is new where all that there were are known. Of a statement that was there and not among those that
 * are followed nothing is known until the next look. Pure.
 */
export function statementGains(
  statements: readonly Statement[],
  earlier: readonly CareSample[],
  resetAt?: number,
): StatementGain[] {
  const looks = earlier.map(({ numbers }) => numbers).filter((numbers) => followedIn(numbers) > 0)
  const last = looks.at(-1)
  if (!last) return []
  return statements.flatMap((statement) => {
    const { id } = statement
    const before = looks.findLast((numbers) => numbers[`statement.${id}.calls`] !== undefined)
    const isAnew = resetAt !== undefined && last[resetNumber] !== undefined && last[resetNumber] !== resetAt
    if (!before && !isAnew && followedIn(last) >= followed) return []
    const [calls, ms] = [before?.[`statement.${id}.calls`] ?? 0, before?.[`statement.${id}.ms`] ?? 0]
    const isSinceReset = isAnew || calls > statement.calls || ms > statement.ms + 1
    const gain = { calls: statement.calls - (isSinceReset ? 0 : calls), ms: statement.ms - (isSinceReset ? 0 : ms) }
    return gain.calls > 0 ? [{ ...statement, calls: gain.calls, ms: Math.max(0, gain.ms), isSinceReset }] : []
  })
}

function followedIn(numbers: Record<string, number>): number {
  return Object.keys(numbers).filter((name) => /^statement\..*\.calls$/.test(name)).length
}

function describeSlow(
  { id, verb, calls, ms, isSinceReset }: StatementGain,
  schema: string,
  threshold: Parameters<typeof levelOf>[1],
): CareItem[] {
  const mean = ms / calls
  const outcome = levelOf(mean, threshold)
  if (!outcome) return []
  const since = isSinceReset ? " since the counters were reset" : ""
  return [
    {
      item: `statement ${id}`,
      outcome,
      detail: `${verb ?? "a statement"} took ${formatDuration(mean)} on average, ${formatCounted(calls, "time")}, ${formatDuration(ms)} in all${since}`,
      evidence: { meanMs: Math.round(mean), calls, totalMs: Math.round(ms), ...(verb && { verb }) },
      remedy: {
        advice: `see its text, and its plan with explain (analyze, buffers); run ${formatCount(calls)} times, an index may be all it takes`,
        run: [`select query from ${quoteName(schema)}.pg_stat_statements where queryid = ${id}`],
      },
    },
  ]
}
