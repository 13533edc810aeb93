import { z } from "zod"
import { formatDuration } from "../core/duration.ts"
import type { CareCheck, CareContext, CareItem, CheckResult, Threshold } from "./check.ts"

/** `fail` or `warn` by a number that is bad when it is high; `undefined` below both. */
export function levelOf(value: number, { warn, fail }: Threshold): CareItem["outcome"] | undefined {
  if (fail !== undefined && value >= fail) return "fail"
  return warn !== undefined && value >= warn ? "warn" : undefined
}

const needsStats = "membership in pg_monitor (or pg_read_all_stats), to see other roles' sessions"

/** A role that may not see other sessions finds nothing wrong with them: that is no good news, and not told as such. */
export function unseen({ may }: Pick<CareContext, "may">, what: string): CheckResult | undefined {
  if (may.readsStats) return undefined
  return { status: "skipped", reason: `${may.role} may not see ${what} of other roles: grant pg_monitor to it` }
}

const connectionRow = z.object({ used: z.number(), room: z.number(), idle: z.number(), busiest: z.string().nullable() })

/** How many of the connections that ordinary roles may have are taken. */
export const connectionsCheck: CareCheck = {
  name: "connections",
  about: "connections that are taken, of those that ordinary roles may have",
  needs: "nothing",
  unit: "percent of the server's connections",
  threshold: { warn: 80, fail: 90 },
  severity: "P1",
  async run({ client, may }, threshold) {
    const { rows } = await client.query(
      // A role without rights sees of other sessions no more than how many each database has.
      `select greatest(count(*), (select sum(numbackends) from pg_stat_database))::int as used,
              (count(*) filter (where state = 'idle'))::int as idle,
              current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
                - coalesce(current_setting('reserved_connections', true), '0')::int as room,
              (select coalesce(nullif(b.application_name, ''), 'without a name') || ' of ' || b.usename || ' (' || count(*) || ')'
                 from pg_stat_activity b where b.backend_type = 'client backend' and b.usename is not null
                group by b.application_name, b.usename order by count(*) desc, 1 limit 1) as busiest
         from pg_stat_activity where backend_type = 'client backend'`,
    )
    const { used, room, idle, busiest } = connectionRow.parse(rows[0])
    const percent = (100 * used) / room
    const outcome = levelOf(percent, threshold)
    const item = {
      item: "connections",
      detail: `${used} of ${room} connections are taken (${percent.toFixed(0)} %)${may.readsStats ? `, ${idle} of them idle; most by ${busiest}` : ""}`,
      evidence: { used, room, ...(may.readsStats && { idle }) },
      remedy: {
        advice:
          "connect through a pooler, lower the pools' sizes, or end idle sessions: this ends those idle for an hour",
        run: [
          "select pg_terminate_backend(pid) from pg_stat_activity where state = 'idle' and state_change < now() - interval '1 hour' and backend_type = 'client backend'",
        ],
      },
    }
    const numbers = { "connections.used": used, "connections.room": room }
    return { status: "done", looked: used, items: outcome ? [{ ...item, outcome }] : [], numbers }
  },
}

const sessionRow = z.object({
  pid: z.number(),
  role: z.string(),
  application: z.string(),
  seconds: z.number(),
  waits: z.string().nullable(),
})

type SessionKind = { condition: string; since: string; what: string; advice: string; end: string }

/** Sessions of this database, but for our own kind and for those whose long work is their purpose. */
async function listSessions({ client }: CareContext, { condition, since }: SessionKind, atLeast: number) {
  const { rows } = await client.query(
    `select pid, coalesce(usename, '?')::text as role, coalesce(application_name, '') as application,
            extract(epoch from clock_timestamp() - ${since})::float8 as seconds, wait_event_type as waits
       from pg_stat_activity
      where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
        and application_name !~ '^(nightshift/|pg_dump)' and ${condition}
        and clock_timestamp() - ${since} >= $1 * interval '1 minute'
      order by 4 desc limit 50`,
    [atLeast],
  )
  return z.array(sessionRow).parse(rows)
}

function sessionItems(rows: z.output<typeof sessionRow>[], kind: SessionKind, threshold: Threshold): CareItem[] {
  return rows.flatMap(({ pid, role, application, seconds, waits }) => {
    const outcome = levelOf(seconds / 60, threshold)
    if (!outcome) return []
    const who = application ? `${application} of ${role}` : `a session of ${role}`
    return {
      item: who,
      outcome,
      detail: `pid ${pid} ${kind.what} ${formatDuration(seconds * 1000)}${waits === "Lock" ? ", waiting for a lock" : ""}`,
      evidence: { pid, seconds: Math.round(seconds) },
      remedy: { advice: kind.advice, run: [`select ${kind.end}(${pid})`] },
    }
  })
}

const running: SessionKind = {
  condition: "state = 'active'",
  since: "query_start",
  what: "has run one statement for",
  advice: "see what it does in pg_stat_activity; cancel it when nobody waits for it",
  end: "pg_cancel_backend",
}

const idling: SessionKind = {
  condition: "state in ('idle in transaction', 'idle in transaction (aborted)')",
  since: "state_change",
  what: "has a transaction open and done nothing for",
  advice:
    "it keeps its locks and keeps VACUUM from cleaning up: end it, mend the code that forgets to commit, and set idle_in_transaction_session_timeout",
  end: "pg_terminate_backend",
}

function sessionsCheck(name: string, about: string, threshold: Threshold, kind: SessionKind): CareCheck {
  return {
    name,
    about,
    needs: needsStats,
    unit: "minutes",
    threshold,
    severity: "P2",
    async run(context, tuned) {
      const hidden = unseen(context, "sessions")
      if (hidden) return hidden
      const rows = await listSessions(
        context,
        kind,
        Math.min(tuned.warn ?? Number.MAX_VALUE, tuned.fail ?? Number.MAX_VALUE),
      )
      return { status: "done", looked: rows.length, items: sessionItems(rows, kind, tuned) }
    },
  }
}

export const longStatementsCheck = sessionsCheck(
  "long-statements",
  "statements that have been running for long",
  { warn: 15, fail: 120 },
  running,
)

export const idleInTransactionCheck = sessionsCheck(
  "idle-in-transaction",
  "sessions with an open transaction that do nothing",
  { warn: 5, fail: 60 },
  idling,
)

const blockerRow = z.object({
  pid: z.number(),
  who: z.string(),
  state: z.string(),
  waiting: z.number(),
  seconds: z.number(),
})

/** Sessions that wait for nobody and that others wait for, directly or through one another. */
const rootBlockers = `
  with recursive waits as (
    select a.pid, b.blocker, a.pid as waiter, extract(epoch from clock_timestamp() - a.state_change)::float8 as seconds, 1 as depth
      from pg_stat_activity a, unnest(pg_blocking_pids(a.pid)) b(blocker)
     where a.wait_event_type = 'Lock' and a.datname = current_database()
    union
    select w.blocker, b.blocker, w.waiter, w.seconds, w.depth + 1
      from waits w, unnest(pg_blocking_pids(w.blocker)) b(blocker) where w.depth < 20
  )
  select r.blocker as pid, coalesce(nullif(s.application_name, ''), 'a session') || ' of ' || coalesce(s.usename, '?') as who,
         coalesce(s.state, 'a prepared transaction') as state, count(distinct r.waiter)::int as waiting, max(r.seconds) as seconds
    from waits r left join pg_stat_activity s on s.pid = r.blocker
   where cardinality(pg_blocking_pids(r.blocker)) = 0
   group by 1, 2, 3 order by waiting desc, 1 limit 50`

/** Who keeps others waiting at the head of a chain. */
export const blockingCheck: CareCheck = {
  name: "blocking",
  about: "sessions that others wait for, at the head of each chain",
  needs: needsStats,
  unit: "seconds that somebody waits",
  threshold: { warn: 30, fail: 300 },
  severity: "P1",
  async run(context, threshold) {
    const hidden = unseen(context, "sessions")
    if (hidden) return hidden
    const { rows } = await context.client.query(rootBlockers)
    const items = z
      .array(blockerRow)
      .parse(rows)
      .flatMap(({ pid, who, state, waiting, seconds }): CareItem[] => {
        const outcome = levelOf(seconds, threshold)
        if (!outcome) return []
        return [
          {
            item: who,
            outcome,
            detail: `pid ${pid} (${state}) keeps ${waiting} waiting, the first for ${formatDuration(seconds * 1000)}`,
            evidence: { pid, waiting, seconds: Math.round(seconds) },
            remedy: { advice: "end it when its work can be done again", run: [`select pg_terminate_backend(${pid})`] },
          },
        ]
      })
    return { status: "done", looked: rows.length, items }
  },
}
