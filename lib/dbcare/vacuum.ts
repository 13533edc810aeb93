import type { Client } from "pg"
import { z } from "zod"
import { formatCount } from "../core/size.ts"
import { sleep, startTimer } from "../system/clock.ts"
import type { ActionResult } from "./actions.ts"
import { oldestHorizon } from "./obstacles.ts"

type Order = { statement: string; table: { oid: string } }

const statsRow = z.object({
  vacuumed: z.string().nullable(),
  analyzed: z.string().nullable(),
  deadRows: z.coerce.number(),
  liveRows: z.coerce.number(),
  age: z.number(),
})

type Stats = z.output<typeof statsRow>

/** Before PostgreSQL 15 a process of its own collects the statistics, and is late by up to half a second. */
const statsLimitMs = 5000
const statsPollMs = 100

/**
 * Vacuums a table, and sees in the statistics that it was: VACUUM of a table that the role may not vacuum warns, and ends without an
 * error. Throws what the server answers.
 */
export async function vacuumTable(
  client: Client,
  { statement, table, freezes }: Order & { freezes: boolean },
): Promise<ActionResult> {
  const before = await readStats(client, table.oid)
  if (!before) return gone
  const warnings = await noticesOf(client, () => client.query(statement))
  const after = await untilMoved(client, table.oid, ({ vacuumed }) => vacuumed !== before.vacuumed)
  if (after === "gone") return gone
  if (!after) return notMoved("VACUUM", warnings)
  if (freezes) {
    const change = `its oldest row id was ${formatCount(before.age)} transactions old, and is ${formatCount(after.age)}`
    if (after.age < before.age) return { end: "done", detail: `frozen: ${change}` }
    return { end: "blocked", detail: `vacuumed, but nothing could be frozen: ${change}${await because(client)}` }
  }
  const change = `${formatCount(before.deadRows)} dead rows before, ${formatCount(after.deadRows)} after`
  if (before.deadRows > 0 && after.deadRows >= before.deadRows)
    return { end: "blocked", detail: `vacuumed, but dead rows stay: ${change}${await because(client)}` }
  return { end: "done", detail: `vacuumed: ${change}` }
}

/** Analyses a table, and sees in the statistics that it was. Throws what the server answers. */
export async function analyzeTable(client: Client, { statement, table }: Order): Promise<ActionResult> {
  const before = await readStats(client, table.oid)
  if (!before) return gone
  const warnings = await noticesOf(client, () => client.query(statement))
  const after = await untilMoved(client, table.oid, ({ analyzed }) => analyzed !== before.analyzed)
  if (after === "gone") return gone
  if (!after) return notMoved("ANALYZE", warnings)
  return { end: "done", detail: `analysed: about ${formatCount(after.liveRows)} rows` }
}

const gone: ActionResult = { end: "gone", detail: "the table is gone since the plan was made" }

/** The server's own warning says who may. It names the table and nothing of its rows. */
function notMoved(what: string, warnings: readonly string[]): ActionResult {
  const refusal = warnings.find((text) => /permission denied|only .* can (?:vacuum|analyze)/.test(text))
  if (refusal) return { end: "refused", detail: refusal }
  return { end: "failed", detail: `${what} ended without an error, and the statistics do not show it` }
}

async function because(client: Client): Promise<string> {
  const holder = await oldestHorizon(client)
  return holder
    ? `; ${holder} may still see them`
    : "; a replication slot, a prepared transaction or a session that this role cannot see holds them"
}

async function noticesOf(client: Client, fn: () => Promise<unknown>): Promise<string[]> {
  const texts: string[] = []
  const note = ({ message }: { message?: string | undefined }) => void texts.push(message ?? "")
  client.on("notice", note)
  try {
    await fn()
    return texts
  } finally {
    client.off("notice", note)
  }
}

async function untilMoved(
  client: Client,
  oid: string,
  isThere: (stats: Stats) => boolean,
): Promise<Stats | "gone" | undefined> {
  const elapsed = startTimer()
  for (;;) {
    const stats = await readStats(client, oid)
    if (!stats) return "gone"
    if (isThere(stats)) return stats
    if (elapsed() > statsLimitMs) return undefined
    await sleep(statsPollMs)
  }
}

async function readStats(client: Client, oid: string): Promise<Stats | undefined> {
  const { rows } = await client.query(
    `select s.last_vacuum::text as vacuumed, s.last_analyze::text as analyzed, coalesce(s.n_dead_tup, 0) as "deadRows",
            case when c.reltuples >= 0 then c.reltuples::bigint else coalesce(s.n_live_tup, 0) end as "liveRows",
            case when c.relfrozenxid = '0'::xid then 0 else greatest(age(c.relfrozenxid), age(t.relfrozenxid)) end as age
       from pg_class c left join pg_class t on t.oid = c.reltoastrelid left join pg_stat_all_tables s on s.relid = c.oid
      where c.oid = $1`,
    [oid],
  )
  return z.array(statsRow).parse(rows)[0]
}
