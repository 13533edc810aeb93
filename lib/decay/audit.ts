import { z } from "zod"
import type { Ledger, LedgerRecord } from "../ledger/ledger.ts"
import type { DecayOutcome } from "./apply.ts"

/** Up to when the ledger says that a rule was applied, by rule. */
export type Recorded = ReadonlyMap<string, { through: Date; runId: string }>

export type AuditOrder = { database: string; rule: string; slot: Date; now: Date; runId: string }

const row = z.object({ type: z.literal("decay"), rule: z.string(), through: z.coerce.date(), run: z.string() })

/** What really changed, for who asks later, and for a database that has lost its watermarks. */
export function auditRecords({ database, rule, slot, now, runId }: AuditOrder, outcome: DecayOutcome): LedgerRecord[] {
  if (outcome.kind !== "applied") return []
  const { verdict, plan, applied } = outcome
  const counts = { considered: plan.considered, changed: applied.changed, marked: applied.marked }
  const times = { at: now.toISOString(), slot: slot.toISOString(), through: verdict.through.toISOString() }
  return [{ stream: streamOf(database), row: { type: "decay", rule, ...times, ...counts, run: runId } }]
}

/** Reads the latest row of each rule. */
export async function readRecorded(ledger: Pick<Ledger, "read">, database: string): Promise<Recorded> {
  const latest = new Map<string, { through: Date; runId: string }>()
  for (const line of await ledger.read(streamOf(database))) {
    const { data } = row.safeParse(line)
    if (data) latest.set(data.rule, { through: data.through, runId: data.run })
  }
  return latest
}

function streamOf(database: string): string {
  return `audit/decay-${database}.jsonl`
}
