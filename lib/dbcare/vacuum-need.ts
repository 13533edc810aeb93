import { formatCount } from "../core/size.ts"
import type { ServerFacts, TableFacts } from "./maintenance-state.ts"

/** Why an action is due, and how much: two of a kind are done in order of need. */
export type Due = { reason: string; need: number }

/** Autovacuum gets this far beyond its own threshold before somebody else does its work. */
const margin = 1.2

/** From this share of the age on at which autovacuum would freeze the table at an hour of its own choice. */
const freezeShare = 0.75

/**
 * Whether a table is analysed: never was although it has rows, or more rows changed than autovacuum itself would wait for. A partitioned
 * table is nobody's: autovacuum sees its partitions alone.
 * Source: "Automatic Vacuuming" in the manual: analyze threshold = base + scale factor × rows.
 */
export function staleness(table: TableFacts, server: ServerFacts): Due | undefined {
  if (table.kind === "p") {
    if (!table.wasAnalyzed) return { reason: "partitioned and never analysed: autovacuum does not", need: 1 }
    if (table.lagsBehindParts) return { reason: "its partitions were analysed days after it", need: 1 }
    return undefined
  }
  if (!table.wasAnalyzed && (table.liveRows > 0 || table.changedRows > 0))
    return { reason: "never analysed", need: Number.MAX_SAFE_INTEGER }
  const base = optionOf(table, "autovacuum_analyze_threshold") ?? server.analyzeThreshold
  const scale = optionOf(table, "autovacuum_analyze_scale_factor") ?? server.analyzeScale
  const limit = base + scale * rowsOf(table)
  if (table.changedRows <= limit) return undefined
  return { reason: words(table.changedRows, "changed since the last ANALYZE", limit), need: table.changedRows / limit }
}

/**
 * Whether a table is vacuumed: more dead or new rows than autovacuum would wait for, and a fifth more.
 * Source: the same page: vacuum threshold = base + scale factor × rows, and one of its own for inserts.
 */
export function vacuumNeed(table: TableFacts, server: ServerFacts): Due | undefined {
  if (table.kind === "p") return undefined
  const base = optionOf(table, "autovacuum_vacuum_threshold") ?? server.vacuumThreshold
  const scale = optionOf(table, "autovacuum_vacuum_scale_factor") ?? server.vacuumScale
  const cap = optionOf(table, "autovacuum_vacuum_max_threshold") ?? server.vacuumMaxThreshold ?? -1
  const wanted = base + scale * rowsOf(table)
  const limit = cap >= 0 ? Math.min(cap, wanted) : wanted
  if (table.deadRows > margin * limit)
    return { reason: words(table.deadRows, "dead", limit), need: table.deadRows / Math.max(1, limit) }
  return insertNeed(table, server)
}

function insertNeed(table: TableFacts, server: ServerFacts): Due | undefined {
  const base = optionOf(table, "autovacuum_vacuum_insert_threshold") ?? server.insertThreshold ?? -1
  if (base < 0 || table.insertedRows === null) return undefined
  const scale = optionOf(table, "autovacuum_vacuum_insert_scale_factor") ?? server.insertScale ?? 0
  const limit = base + scale * rowsOf(table)
  if (table.insertedRows <= margin * limit) return undefined
  return {
    reason: words(table.insertedRows, "new since the last VACUUM", limit),
    need: table.insertedRows / limit / 10,
  }
}

/**
 * Whether a table's oldest row ids are frozen now, before autovacuum must do it whatever the hour.
 * Source: "Preventing Transaction ID Wraparound Failures" in the manual.
 */
export function needsFreeze(table: TableFacts, server: ServerFacts): Due | undefined {
  if (table.kind === "p") return undefined
  const ages = [
    { what: "transactions", age: table.transactionAge, limit: server.freezeMaxAge },
    { what: "multixacts", age: table.multixactAge, limit: server.multixactFreezeMaxAge },
  ]
  const [worst] = ages.sort((a, b) => b.age / b.limit - a.age / a.limit)
  if (!worst || worst.age < freezeShare * worst.limit) return undefined
  const reason = `its oldest row id is ${formatCount(worst.age)} ${worst.what} old, autovacuum must act at ${formatCount(worst.limit)}`
  return { reason, need: Number.MAX_SAFE_INTEGER * (worst.age / (worst.age + worst.limit)) }
}

function rowsOf({ estimatedRows, liveRows }: TableFacts): number {
  return estimatedRows >= 0 ? estimatedRows : liveRows
}

function words(rows: number, what: string, limit: number): string {
  return `${formatCount(rows)} rows ${what}, autovacuum acts at ${formatCount(Math.round(limit))}`
}

/** A storage parameter of the table, as a number. */
function optionOf({ options }: TableFacts, name: string): number | undefined {
  const value = options.find((option) => option.startsWith(`${name}=`))?.slice(name.length + 1)
  return value === undefined || Number.isNaN(Number(value)) ? undefined : Number(value)
}
