import type { Client } from "pg"
import { z } from "zod"
import { formatDuration } from "../core/duration.ts"
import { formatBytes } from "../core/size.ts"
import { sleep } from "../system/clock.ts"
import type { CareCheck, CareItem, Threshold } from "./check.ts"
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

/** How far behind a standby is: bytes of log that it has not replayed, and the time that was measured for them, where one was. */
export type StandbyLag = z.output<typeof standbyRow> & {
  /** What else is to be said of it. */
  more?: string | undefined
}

/** Bytes at which people hear of a standby whatever its time: the server measures none for one that is far behind from the start. */
const byteThreshold = { warn: 1e9, fail: 10e9 } as const

/** How far standbys are behind. */
export const replicationLagCheck: CareCheck = {
  name: "replication-lag",
  about: "standbys that are behind, by time or by 1 / 10 GB of log",
  needs: "membership in pg_monitor",
  unit: "seconds",
  threshold: { warn: 60, fail: 600 },
  severity: "P2",
  async run({ client, may }, threshold) {
    if (!may.readsStats)
      return { status: "skipped", reason: `${may.role} may not see standbys: grant pg_monitor to it` }
    const { rows } = await client.query(
      `select coalesce(nullif(application_name, ''), client_addr::text, 'a standby') as name,
              pg_wal_lsn_diff(${currentLsn}, coalesce(replay_lsn, flush_lsn, write_lsn, sent_lsn)) as bytes,
              extract(epoch from replay_lag)::float8 as seconds
         from pg_stat_replication where state <> 'backup'`,
    )
    const standbys: StandbyLag[] = z.array(standbyRow).parse(rows)
    const own = await readOwnReplay(client)
    const items = [...standbys, ...(own?.lag ? [own.lag] : [])].flatMap((lag) => judgeLag(lag, threshold))
    if (own && !own.isReceiving && items.length === 0)
      return {
        status: "skipped",
        reason:
          "this server is a standby that receives no stream from a primary: how far it is behind cannot be seen here",
      }
    return { status: "done", looked: standbys.length + (own ? 1 : 0), items }
  },
}

/** What the lag of one standby means for people. The time alone is that of the last change that was replayed, however long ago. Pure. */
export function judgeLag({ name, bytes, seconds, more }: StandbyLag, threshold: Threshold): CareItem[] {
  const behind = Math.max(0, bytes ?? 0)
  const measured = behind > 0 ? seconds : null
  const levels = [levelOf(behind, byteThreshold), measured === null ? undefined : levelOf(measured, threshold)]
  const outcome = levels.find((level) => level === "fail") ?? levels.find((level) => level === "warn")
  if (!outcome) return []
  const time = measured === null ? "" : `${formatDuration(measured * 1000)} and `
  return [
    {
      item: name,
      outcome,
      detail: `${time}${formatBytes(behind)} behind${measured === null ? " (the server measured no time)" : ""}${more === undefined ? "" : `; ${more}`}`,
      evidence: { bytes: behind, ...(measured !== null && { seconds: Math.round(measured) }) },
      remedy: { advice: "look at the standby's disk and CPU, long queries on it, and large writes here" },
    },
  ]
}

const lookAgainMs = 1000
const replayRow = z.object({
  received: z.coerce.number().nullable(),
  replayed: z.coerce.number(),
  /** When the last transaction that was replayed ended on its primary, in seconds since 1970. */
  lastAt: z.number().nullable(),
  age: z.number().nullable(),
  isReceiving: z.boolean(),
  isPaused: z.boolean(),
})
export type Replay = z.output<typeof replayRow>

/**
 * The lag of this server itself, where it is a standby; `undefined` on a primary. Looks twice: what had been received but not replayed at
 * one moment may only be on its way.
 */
async function readOwnReplay(client: Client): Promise<{ isReceiving: boolean; lag?: StandbyLag } | undefined> {
  const first = await readReplay(client)
  if (!first) return undefined
  if (unreplayed(first) === 0) return { isReceiving: first.isReceiving }
  await sleep(lookAgainMs)
  const second = await readReplay(client)
  if (!second) return undefined // it was promoted meanwhile
  const lag = ownLag(first, second)
  return { isReceiving: second.isReceiving, ...(lag && { lag }) }
}

async function readReplay(client: Client): Promise<Replay | undefined> {
  const { rows } = await client.query(
    `select pg_wal_lsn_diff(pg_last_wal_receive_lsn(), '0/0') as received, pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0') as replayed,
            extract(epoch from last.at)::float8 as "lastAt", extract(epoch from clock_timestamp() - last.at)::float8 as age,
            exists (select from pg_stat_wal_receiver where pid is not null) as "isReceiving", pg_is_wal_replay_paused() as "isPaused"
       from (select pg_last_xact_replay_timestamp() as at) last where pg_is_in_recovery()`,
  )
  return z.array(replayRow).parse(rows)[0]
}

function unreplayed({ received, replayed }: Replay): number {
  return Math.max(0, (received ?? 0) - replayed)
}

/**
 * What two looks at a standby say of its lag; `undefined` when it replayed all that it had received at the first. The age of the last
 * transaction is its lag where that was replayed in between; where nothing was it is the most that the lag can be, since a quiet primary
 * has nothing to replay; where replay goes on within a transaction it says nothing. Pure.
 */
export function ownLag(first: Replay, second: Replay): StandbyLag | undefined {
  if (second.replayed >= (first.received ?? 0) || unreplayed(second) === 0) return undefined
  const lag = { name: "this server", bytes: unreplayed(second) }
  if (second.lastAt !== first.lastAt) return { ...lag, seconds: second.age }
  if (second.replayed > first.replayed)
    return { ...lag, seconds: null, more: "it replays a long transaction, which has no time yet" }
  const what = second.isPaused ? "its replay is paused" : "it replayed nothing between two looks"
  return { ...lag, seconds: second.age, more: `${what}; the time is that since the last transaction it replayed` }
}
