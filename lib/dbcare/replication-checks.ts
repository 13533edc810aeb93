import { z } from "zod"
import { formatDuration } from "../core/duration.ts"
import { formatBytes } from "../core/size.ts"
import type { CareCheck, CareItem } from "./check.ts"
import { levelOf } from "./sessions-checks.ts"

const slotRow = z.object({
  name: z.string(),
  isActive: z.boolean(),
  keptBytes: z.coerce.number(),
  status: z.string().nullable(),
})

const currentLsn = "case when pg_is_in_recovery() then pg_last_wal_receive_lsn() else pg_current_wal_lsn() end"

/** Slots keep write-ahead log until their consumer has it: one without a consumer fills the disk. */
export const replicationSlotsCheck: CareCheck = {
  name: "replication-slots",
  about: "replication slots that keep much write-ahead log, or whose consumer is gone",
  needs: "nothing",
  unit: "GB of log kept",
  threshold: { warn: 1, fail: 10 },
  severity: "P1",
  async run({ client }, threshold) {
    const { rows } = await client.query(
      `select slot_name::text as name, active as "isActive", coalesce(pg_wal_lsn_diff(${currentLsn}, restart_lsn), 0) as "keptBytes",
              to_jsonb(s)->>'wal_status' as status
         from pg_replication_slots s where not temporary`,
    )
    const items = z
      .array(slotRow)
      .parse(rows)
      .flatMap(({ name, isActive, keptBytes, status }): CareItem[] => {
        const isLost = status === "lost" || status === "unreserved"
        const outcome = isLost ? "fail" : (levelOf(keptBytes / 1e9, threshold) ?? (isActive ? undefined : "warn"))
        if (!outcome) return []
        const state = isLost ? `its log is ${status}` : isActive ? "its consumer is behind" : "nobody reads it"
        return [
          {
            item: name,
            outcome,
            detail: `${state}; it keeps ${formatBytes(keptBytes)} of write-ahead log on the disk`,
            evidence: { keptBytes, active: isActive ? "yes" : "no", ...(status && { status }) },
            remedy: {
              advice:
                "bring the consumer back; drop the slot when there will be none (a consumer that returns then starts from a new copy)",
              run: [`select pg_drop_replication_slot('${name.replaceAll("'", "''")}')`],
            },
          },
        ]
      })
    return { status: "done", looked: rows.length, items }
  },
}

const standbyRow = z.object({ name: z.string(), bytes: z.coerce.number().nullable(), seconds: z.number().nullable() })

/** How far standbys are behind. */
export const replicationLagCheck: CareCheck = {
  name: "replication-lag",
  about: "standbys that are behind",
  needs: "membership in pg_monitor",
  unit: "seconds",
  threshold: { warn: 60, fail: 600 },
  severity: "P2",
  async run({ client, may }, threshold) {
    if (!may.readsStats)
      return { status: "skipped", reason: `${may.role} may not see standbys: grant pg_monitor to it` }
    const { rows } = await client.query(
      `select coalesce(nullif(application_name, ''), client_addr::text, 'a standby') as name,
              pg_wal_lsn_diff(${currentLsn}, replay_lsn) as bytes, extract(epoch from replay_lag)::float8 as seconds
         from pg_stat_replication where state <> 'backup'
        union all
       select 'this server', null, extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp())::float8
        where pg_is_in_recovery() and pg_last_wal_receive_lsn() is distinct from pg_last_wal_replay_lsn()`,
    )
    const items = z
      .array(standbyRow)
      .parse(rows)
      .flatMap(({ name, bytes, seconds }): CareItem[] => {
        const outcome = levelOf(seconds ?? 0, threshold)
        if (!outcome) return []
        const much = bytes === null ? "" : ` and ${formatBytes(bytes)}`
        return [
          {
            item: name,
            outcome,
            detail: `${formatDuration((seconds ?? 0) * 1000)}${much} behind`,
            evidence: { seconds: Math.round(seconds ?? 0), ...(bytes !== null && { bytes }) },
            remedy: { advice: "look at the standby's disk and CPU, long queries on it, and large writes here" },
          },
        ]
      })
    return { status: "done", looked: rows.length, items }
  },
}
