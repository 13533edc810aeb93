import { z } from "zod"
import type { Ledger, LedgerRecord } from "../ledger/ledger.ts"
import type { CareSample } from "./check.ts"
import type { CheckReport } from "./run-checks.ts"

const dayMs = 86_400_000
const daysKept = 40

/** One run of the checks, as the ledger keeps it: the day's numbers, and what each check found, by name. */
export type CareLook = CareSample & { found: Record<string, string[]> }

const lookRow = z.looseObject({
  type: z.literal("care"),
  at: z.iso.datetime(),
  numbers: z.record(z.string(), z.number()),
  found: z.record(z.string(), z.array(z.string())),
})

/** The file of the ledger in which the looks of a database are kept: one a year, so that none is read that is not needed. */
export function careStream(database: string, at: Date): string {
  return `care/${database}/${at.toISOString().slice(0, 4)}.jsonl`
}

/** What this run saw. A check that did not look is not among `found`: nothing can be said of it later. */
export function careRecord(database: string, reports: readonly CheckReport[], at: Date, run: string): LedgerRecord {
  const done = reports.flatMap(({ check, result }) => (result.status === "done" ? [{ name: check.name, result }] : []))
  const numbers = Object.assign({}, ...done.map(({ result }) => result.numbers ?? {})) as Record<string, number>
  const found = Object.fromEntries(done.map(({ name, result }) => [name, result.items.map(({ item }) => item)]))
  return { stream: careStream(database, at), row: { type: "care", at: at.toISOString(), numbers, found, run } }
}

/** Looks of the last 40 days before `now`, oldest first. Rows that are none, such as those of a public ledger, are passed over. */
export async function readLooks(ledger: Pick<Ledger, "read">, database: string, now: Date): Promise<CareLook[]> {
  const from = new Date(now.getTime() - daysKept * dayMs)
  const streams = new Set([careStream(database, from), careStream(database, now)])
  const looks: CareLook[] = []
  for (const stream of streams) {
    for (const row of await ledger.read(stream)) {
      const look = lookRow.safeParse(row)
      if (!look.success) continue
      const at = new Date(look.data.at)
      if (at >= from && at < now) looks.push({ at, numbers: look.data.numbers, found: look.data.found })
    }
  }
  return looks.sort((a, b) => a.at.getTime() - b.at.getTime())
}

/**
 * The look of a week ago: the newest that is at least six and a half days old, so that a late run still meets its predecessor, and at most
 * ten; `undefined` where nobody looked then.
 */
export function lookOfLastWeek(looks: readonly CareLook[], now: Date): CareLook | undefined {
  const ageDays = ({ at }: CareLook) => (now.getTime() - at.getTime()) / dayMs
  return looks.findLast((look) => ageDays(look) >= 6.5 && ageDays(look) <= 10)
}
