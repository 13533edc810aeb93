import type { Observation } from "../core/observation.ts"
import type { Ledger, LedgerRecord } from "./ledger.ts"
import { columns, createRowReader, encodeObservation } from "./observation-row.ts"

const dayMs = 24 * 3600 * 1000

/** One row for each observation, in the file of its UTC day, with the headers that a reader needs. Times are cut to whole seconds. */
export function observationRecords(observations: readonly Observation[]): LedgerRecord[] {
  return observations.map((observation) => {
    const { row, words } = encodeObservation(observation, startOfDay(observation.at))
    return { stream: observationStream(observation.at), row, headers: [columns, ...words] }
  })
}

/** What was observed from `from` until before `to`, in order of time. Rows that are no observation are passed over. */
export async function readObservations(
  ledger: Pick<Ledger, "read" | "streams">,
  from: Date,
  to: Date,
): Promise<Observation[]> {
  const [first, last] = [observationStream(from), observationStream(to)]
  const found: Observation[] = []
  for (const stream of await ledger.streams("observations")) {
    const day = stream >= first && stream <= last ? dayOfStream(stream) : undefined
    if (!day) continue
    for (const observation of readDay(await ledger.read(stream), day)) {
      if (observation.at >= from && observation.at < to) found.push(observation)
    }
  }
  return found.sort((a, b) => a.at.getTime() - b.at.getTime())
}

/** The observations among the rows of one day's stream, in the order of the file. */
export function readDay(rows: readonly unknown[], day: Date): Observation[] {
  const readRow = createRowReader(day)
  return rows.flatMap((row) => readRow(row) ?? [])
}

/** The file that holds the raw observations of a UTC day. */
export function observationStream(at: Date): string {
  return `observations/${at.toISOString().slice(0, 10).replaceAll("-", "/")}.jsonl`
}

/** The UTC day whose observations a stream holds; `undefined` for any other stream. */
export function dayOfStream(stream: string): Date | undefined {
  const [, year, month, day] = /^observations\/(\d{4})\/(\d{2})\/(\d{2})\.jsonl$/.exec(stream) ?? []
  const at = new Date(`${year}-${month}-${day}T00:00:00Z`)
  return Number.isNaN(at.getTime()) || observationStream(at) !== stream ? undefined : at
}

function startOfDay(at: Date): Date {
  return new Date(Math.floor(at.getTime() / dayMs) * dayMs)
}
