import { z } from "zod"
import { formatDuration } from "../core/duration.ts"
import { formatBytes, formatCounted } from "../core/size.ts"
import type { CareCheck, CareContext, CareItem, CareSample } from "./check.ts"
import { levelOf } from "./sessions-checks.ts"

/** What a counter of the server has gained, and over which time. */
export type Gained = { value: number; ms: number; since: "the last look" | "the reset" }

/** The number that says when the counters of the database began anew, in seconds since 1970; 0 where they never did. */
const resetNumber = "counter.reset"

/**
 * What counters that only grow have gained since the newest sample that has them all. When they began anew in between, or one of them is
 * lower than it was, all that they show was gained since then. `undefined` without an earlier sample.
 */
export function gained(
  now: Record<string, number>,
  at: Date,
  earlier: readonly CareSample[],
): Record<string, Gained> | undefined {
  const names = Object.keys(now).filter((name) => name !== resetNumber)
  const last = earlier.findLast(({ numbers }) => names.every((name) => numbers[name] !== undefined))
  if (!last) return undefined
  const wasReset =
    (last.numbers[resetNumber] !== undefined && last.numbers[resetNumber] !== now[resetNumber]) ||
    names.some((name) => (now[name] ?? 0) < (last.numbers[name] ?? 0))
  return Object.fromEntries(
    names.map((name) => {
      const value = (now[name] ?? 0) - (wasReset ? 0 : (last.numbers[name] ?? 0))
      return [name, { value, ms: at.getTime() - last.at.getTime(), since: wasReset ? "the reset" : "the last look" }]
    }),
  )
}

const counterRow = z.object({
  deadlocks: z.coerce.number(),
  temp_files: z.coerce.number(),
  temp_bytes: z.coerce.number(),
  hit: z.coerce.number(),
  read: z.coerce.number(),
  checksum_failures: z.coerce.number().nullable(),
  checksums: z.string(),
  reset: z.number(),
})

async function readCounters({ client }: CareContext) {
  const { rows } = await client.query(
    `select deadlocks, temp_files, temp_bytes, blks_hit as hit, blks_read as read,
            checksum_failures + coalesce((select s.checksum_failures from pg_stat_database s where s.datid = 0), 0) as checksum_failures,
            current_setting('data_checksums') as checksums, coalesce(extract(epoch from stats_reset)::float8, 0) as reset
       from pg_stat_database where datname = current_database()`,
  )
  return counterRow.parse(rows[0])
}

const firstLook = "the first look: from the next one on it is known what was gained"
const rounded = ({ ms, since }: Gained) =>
  since === "the reset" ? "since the counters were reset" : `in ${formatDuration(ms)}`

export const deadlocksCheck: CareCheck = {
  name: "deadlocks",
  about: "deadlocks since the last look",
  needs: "nothing",
  unit: "deadlocks",
  threshold: { warn: 1, fail: 100 },
  severity: "P3",
  async run(context, threshold) {
    const { deadlocks, reset } = await readCounters(context)
    const numbers = { "counter.deadlocks": deadlocks, [resetNumber]: reset }
    const gain = gained(numbers, context.now, context.earlier)?.["counter.deadlocks"]
    if (!gain) return { status: "done", looked: 1, items: [], numbers, notes: [firstLook] }
    const outcome = levelOf(gain.value, threshold)
    const item = {
      item: "deadlocks",
      detail: `${formatCounted(gain.value, "deadlock")} ${rounded(gain)}: each ended a transaction`,
      evidence: { deadlocks: gain.value },
      remedy: { advice: "the server's log names the statements; let all code lock rows in the same order" },
    }
    return { status: "done", looked: 1, items: outcome ? [{ ...item, outcome }] : [], numbers }
  },
}

export const tempFilesCheck: CareCheck = {
  name: "temp-files",
  about: "bytes that queries wrote into temporary files since the last look",
  needs: "nothing",
  unit: "GB a day",
  threshold: { warn: 5, fail: 100 },
  severity: "P3",
  async run(context, threshold) {
    const { temp_bytes, temp_files, reset } = await readCounters(context)
    const numbers = { "counter.temp-bytes": temp_bytes, "counter.temp-files": temp_files, [resetNumber]: reset }
    const all = gained(numbers, context.now, context.earlier)
    const [bytes, files] = [all?.["counter.temp-bytes"], all?.["counter.temp-files"]]
    if (!bytes || !files) return { status: "done", looked: 1, items: [], numbers, notes: [firstLook] }
    const perDay = bytes.value / Math.max(bytes.ms / 86_400_000, 1)
    const outcome = levelOf(perDay / 1e9, threshold)
    const item = {
      item: "temporary files",
      detail: `${formatBytes(bytes.value)} in ${formatCounted(files.value, "file")} ${rounded(bytes)}: sorts and joins that did not fit into work_mem`,
      evidence: { bytes: bytes.value, files: files.value },
      remedy: { advice: "find the queries (slow-queries), give them an index or more work_mem" },
    }
    return { status: "done", looked: 1, items: outcome ? [{ ...item, outcome }] : [], numbers }
  },
}

/** Below so many blocks a share says nothing. */
const fewBlocks = 100_000

export const cacheHitCheck: CareCheck = {
  name: "cache-hit",
  about: "share of block reads that memory could not answer since the last look",
  needs: "nothing",
  unit: "percent of reads that missed",
  threshold: { warn: 5, fail: 40 },
  severity: "P3",
  async run(context, threshold) {
    const { hit, read, reset } = await readCounters(context)
    const numbers = { "counter.blocks-hit": hit, "counter.blocks-read": read, [resetNumber]: reset }
    const all = gained(numbers, context.now, context.earlier)
    const [hits, reads] = [all?.["counter.blocks-hit"], all?.["counter.blocks-read"]]
    if (!hits || !reads) return { status: "done", looked: 1, items: [], numbers, notes: [firstLook] }
    const blocks = hits.value + reads.value
    if (blocks < fewBlocks) {
      const note = `${formatCounted(blocks, "block")} ${rounded(hits)} are too few to judge`
      return { status: "done", looked: 1, items: [], numbers, notes: [note] }
    }
    const missed = (100 * reads.value) / blocks
    const outcome = levelOf(missed, threshold)
    const item = {
      item: "cache",
      detail: `${missed.toFixed(1)} % of ${formatCounted(blocks, "block read")} went past memory ${rounded(hits)}`,
      evidence: { missedPercent: Number(missed.toFixed(1)), blocks },
      remedy: {
        advice:
          "look for queries that read whole tables (slow-queries), then at the size of shared_buffers and of the machine",
      },
    }
    return { status: "done", looked: 1, items: outcome ? [{ ...item, outcome }] : [], numbers }
  },
}

export const checksumFailuresCheck: CareCheck = {
  name: "checksum-failures",
  about: "pages that came back from the disk damaged",
  needs: "nothing",
  threshold: {},
  severity: "P0",
  async run(context) {
    const { checksum_failures: failures, checksums } = await readCounters(context)
    if (failures === null || checksums !== "on")
      return {
        status: "skipped",
        reason: "the server keeps no data checksums: damage on the disk goes unseen (pg_checksums --enable)",
      }
    const item: CareItem = {
      item: "checksum failures",
      outcome: "fail",
      detail: `${formatCounted(failures, "page")} of this database, or of the catalogue that all share, failed the checksum: data on the disk is damaged`,
      evidence: { failures },
      remedy: {
        advice:
          "do not restart or vacuum; copy the disk, then restore the newest verified backup elsewhere (docs/recovery.md)",
      },
    }
    return { status: "done", looked: 1, items: failures > 0 ? [item] : [] }
  },
}
