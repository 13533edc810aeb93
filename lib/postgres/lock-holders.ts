import type { Client } from "pg"
import { z } from "zod"

const holder = z.object({ pid: z.number(), application: z.string().nullable() })
const most = 5

/**
 * Other sessions in whose open transactions a table, or rows of it, are locked: `psql (pid 812), an unnamed program (pid 90)`. Empty when
 * there are none any more. Needs no right; another role's program has a name for members of pg_read_all_stats alone.
 */
export async function describeLockHolders(client: Client, oid: string): Promise<string> {
  const { rows } = await client.query(
    `select l.pid, max(a.application_name) as application
       from pg_catalog.pg_locks l left join pg_catalog.pg_stat_activity a on a.pid = l.pid
      where l.locktype = 'relation' and l.granted and l.pid <> pg_backend_pid() and l.mode <> 'AccessShareLock'
        and l.relation = $1::oid and l.database = (select oid from pg_catalog.pg_database where datname = current_database())
      group by l.pid order by l.pid limit $2`,
    [oid, most],
  )
  return z
    .array(holder)
    .parse(rows)
    .map(({ pid, application }) => `${application || "an unnamed program"} (pid ${pid})`)
    .join(", ")
}
