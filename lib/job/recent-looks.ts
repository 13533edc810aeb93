import { z } from "zod"
import type { Outcome } from "../core/outcome.ts"
import type { Recent } from "../incident/reconcile.ts"
import type { Ledger } from "../ledger/ledger.ts"
import { readObservations } from "../ledger/observations.ts"
import { runStream } from "./past-runs.ts"

type Look = { at: Date; outcome: Outcome; inMaintenance?: boolean }

const dayMs = 24 * 3600 * 1000
const daysBack = 2
/** Two of three runs of a daily job lie further apart than those of the pulse. */
const daysBackOfOthers = 4

/**
 * What the latest runs saw of each subject, oldest first: services from their observations of two days, everything else that
 * `job` reports from its run lines of two days, or four where it is not health, in which a subject that is not named was as it should be. Of a service without observations nothing
 * is known: it may be new.
 */
export async function readRecentLooks(
  ledger: Pick<Ledger, "read" | "streams">,
  job: string,
  subjects: readonly string[],
  { now, wanted }: { now: Date /** How many looks of each subject at most. */; wanted: number },
): Promise<Recent> {
  const looks = new Map<string, Look[]>()
  const add = (subject: string, look: Look) => {
    const earlier = looks.get(subject)
    if (earlier) earlier.push(look)
    else looks.set(subject, [look])
  }
  const from = daysBefore(now, daysBack)
  for (const { service, by, at, outcome, inMaintenance } of await readObservations(ledger, from, now)) {
    if (by === "health") add(`service/${service}`, { at, outcome, ...(inMaintenance && { inMaintenance }) })
  }
  const isService = (subject: string) => job === "health" && /^service\/[^/]+$/.test(subject)
  const others = subjects.filter((subject) => !looks.has(subject) && !isService(subject))
  const linesFrom = job === "health" ? from : daysBefore(now, daysBackOfOthers)
  for (const { at, findings } of await pastFindings(ledger, job, linesFrom, now)) {
    for (const subject of others) {
      const found = findings.find((finding) => finding.subject === subject)
      add(subject, { at, outcome: found?.outcome ?? "ok", ...(found?.inMaintenance && { inMaintenance: true }) })
    }
  }
  return new Map([...looks].map(([subject, rows]) => [subject, rows.slice(-wanted)]))
}

function daysBefore(now: Date, days: number): Date {
  return new Date(now.getTime() - days * dayMs)
}

const pastLine = z.object({
  schema: z.literal(1),
  job: z.string(),
  dryRun: z.boolean(),
  options: z.array(z.string()).optional(),
  startedAt: z.iso.datetime(),
  findings: z.array(
    z.object({
      subject: z.string(),
      outcome: z.enum(["ok", "warn", "fail", "unknown"]),
      inMaintenance: z.boolean().optional(),
    }),
  ),
})

type Past = { at: Date; findings: z.output<typeof pastLine>["findings"] }

async function pastFindings(ledger: Pick<Ledger, "read">, job: string, from: Date, now: Date): Promise<Past[]> {
  const past: Past[] = []
  const days = Math.round((now.getTime() - from.getTime()) / dayMs)
  const streams = Array.from({ length: days + 1 }, (_, day) => runStream(new Date(from.getTime() + day * dayMs)))
  for (const stream of streams) {
    for (const row of await ledger.read(stream)) {
      const line = pastLine.safeParse(row)
      if (!line.success || line.data.job !== job || line.data.dryRun || line.data.options) continue
      const at = new Date(line.data.startedAt)
      if (at >= from && at < now) past.push({ at, findings: line.data.findings })
    }
  }
  return past.sort((a, b) => a.at.getTime() - b.at.getTime())
}
