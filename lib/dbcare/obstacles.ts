import type { Client } from "pg"
import { z } from "zod"
import { formatDuration } from "../core/duration.ts"

const sessionRow = z.object({
  pid: z.number(),
  application: z.string().nullable(),
  role: z.string().nullable(),
  state: z.string().nullable(),
  /** `null` where the role may not see it. */
  ageMs: z.coerce.number().nullable(),
})

type Session = z.output<typeof sessionRow>

const columns = `a.pid, a.application_name as application, a.usename::text as role, a.state,
  (extract(epoch from clock_timestamp() - a.xact_start) * 1000)::bigint as "ageMs"`

/** Rebuilding an index waits for every transaction that was there before: one that is older than this will not end soon. */
const oldSnapshotMs = 5 * 60_000

/**
 * A session that REINDEX CONCURRENTLY would wait for: a running pg_dump, or a transaction of this database with a snapshot, or a lock of the
 * table, that has been open for over five minutes; `undefined` when there is none to be seen. Other roles' transactions are seen by members
 * of pg_read_all_stats alone.
 */
export async function oldSnapshot(client: Client, tableOid: string): Promise<string | undefined> {
  const { rows } = await client.query(
    `select ${columns} from pg_stat_activity a
      where a.datname = current_database() and a.pid <> pg_backend_pid()
        and (a.application_name = 'pg_dump'
          or a.xact_start < clock_timestamp() - $1 * interval '1 millisecond' and a.backend_type is distinct from 'autovacuum worker'
            and (coalesce(a.backend_xmin::text, a.backend_xid::text, '') <> ''
              or exists (select from pg_locks k where k.pid = a.pid and k.granted and k.relation = $2::oid)))
      order by a.xact_start limit 1`,
    [oldSnapshotMs, tableOid],
  )
  const [session] = z.array(sessionRow).parse(rows)
  return session && renderSession(session)
}

/** Locks that keep VACUUM, ANALYZE, VALIDATE and the concurrent ways of REINDEX and DROP INDEX from beginning. */
const conflicting = [
  "ShareUpdateExclusiveLock",
  "ShareLock",
  "ShareRowExclusiveLock",
  "ExclusiveLock",
  "AccessExclusiveLock",
]

/** Who holds what a statement waited for: a lock of the table, or, for a rebuild, the oldest transaction. `undefined` when it is gone. */
export async function lockHolder(client: Client, tableOid: string): Promise<string | undefined> {
  const { rows } = await client.query(
    `select ${columns}, l.locks from pg_stat_activity a,
            lateral (select count(*) filter (where k.mode = any($2)) as locks, count(*) as touches from pg_locks k
              where k.pid = a.pid and k.granted and k.relation = $1::oid) l
      where a.datname = current_database() and a.pid <> pg_backend_pid()
        and (l.touches > 0 or coalesce(a.backend_xmin::text, a.backend_xid::text, '') <> '')
      order by l.locks desc, l.touches desc, a.xact_start nulls last limit 1`,
    [tableOid, conflicting],
  )
  const [session] = z.array(sessionRow).parse(rows)
  return session && renderSession(session)
}

/** Who keeps dead rows from being removed: the session of this database, or the standby, with the oldest snapshot. */
export async function oldestHorizon(client: Client): Promise<string | undefined> {
  const { rows } = await client.query(
    `select ${columns} from pg_stat_activity a where a.backend_xmin is not null and a.pid <> pg_backend_pid()
        and (a.datname = current_database() or a.datname is null)
      order by age(a.backend_xmin) desc limit 1`,
  )
  const [session] = z.array(sessionRow).parse(rows)
  return session && renderSession(session)
}

function renderSession({ pid, application, role, state, ageMs }: Session): string {
  const details = [
    `pid ${pid}`,
    role && `user ${role}`,
    state,
    ageMs === null ? undefined : `in a transaction for ${formatDuration(ageMs)}`,
  ]
  return `${application || "an unnamed program"} (${details.filter(Boolean).join(", ")})`
}
