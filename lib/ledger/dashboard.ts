import { z } from "zod"
import { escapeCell } from "../core/markdown.ts"
import type { LedgerRecord } from "./ledger.ts"
import { createRowReader } from "./observation-row.ts"
import { dayOfStream } from "./observations.ts"

const outcome = z.enum(["ok", "warn", "fail", "unknown"])
const seen = z.object({ at: z.iso.datetime(), outcome })

export const dashboardSchema = z.object({
  services: z.record(z.string(), seen),
  jobs: z.record(z.string(), seen.extend({ url: z.httpUrl().optional() })),
})

/** What was last seen of each service and job: names, outcomes and times, which everyone may read, and nothing else. */
export type Dashboard = z.output<typeof dashboardSchema>

const runLine = z.object({
  schema: z.literal(1),
  job: z.string(),
  dryRun: z.literal(false),
  endedAt: z.iso.datetime(),
  outcome,
  url: z.httpUrl().optional().catch(undefined),
})

const dayMs = 24 * 3600 * 1000
const forgottenAfterMs = { services: 7 * dayMs, jobs: 60 * dayMs }

/**
 * The dashboard after these records. What has not been seen for long (a service that was removed) is left out. What is later than
 * `now`, by a time that was typed, is not shown and outlasts nothing.
 */
export function updateDashboard(
  { services, jobs }: Dashboard = { services: {}, jobs: {} },
  records: readonly LedgerRecord[],
  now?: Date,
): Dashboard {
  const latest = now ? now.getTime() + dayMs : Number.POSITIVE_INFINITY
  const next = { services: new Map(Object.entries(services)), jobs: new Map(Object.entries(jobs)) }
  for (const record of records) {
    const day = dayOfStream(record.stream)
    const observation = day && observationOf(record, day)
    if (observation?.by === "health") {
      const { at, service, outcome } = observation
      note(next.services, service, { at: at.toISOString(), outcome }, latest)
    }
    const run = record.stream.startsWith("runs/") ? runLine.safeParse(record.row).data : undefined
    if (!run) continue
    note(next.jobs, run.job, { at: run.endedAt, outcome: run.outcome, ...(run.url && { url: run.url }) }, latest)
  }
  const times = [...next.services.values(), ...next.jobs.values()].map(({ at }) => new Date(at).getTime())
  const newest = Math.max(...times.filter((time) => time <= latest))
  return {
    services: recent(next.services, newest - forgottenAfterMs.services),
    jobs: recent(next.jobs, newest - forgottenAfterMs.jobs),
  }
}

function observationOf({ row, headers = [] }: LedgerRecord, day: Date) {
  const readRow = createRowReader(day)
  for (const header of headers) readRow(header)
  return readRow(row)
}

function note<T extends { at: string }>(places: Map<string, T>, name: string, value: T, latest: number): void {
  const [at, knownAt] = [Date.parse(value.at), Date.parse(places.get(name)?.at ?? "")]
  if (at <= latest && !(knownAt > at && knownAt <= latest)) places.set(name, value)
}

function recent<T extends { at: string }>(places: Map<string, T>, since: number): Record<string, T> {
  const kept = [...places].filter(([, { at }]) => new Date(at).getTime() >= since)
  return Object.fromEntries(kept.sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** The page that people see when they open the branch of the ledger. */
export function renderDashboard({ services, jobs }: Dashboard): string {
  const serviceRows = Object.entries(services).map(([name, { at, outcome }]) => [escapeCell(name), outcome, minute(at)])
  const jobRows = Object.entries(jobs).map(([name, { at, outcome, url }]) => {
    return [escapeCell(name), outcome, url ? `[${minute(at)}](${url.replaceAll(")", "%29")})` : minute(at)]
  })
  return [
    "# What was last seen",
    ...table("Services", ["Service", "Outcome", "Last look (UTC)"], serviceRows),
    ...table("Jobs", ["Job", "Outcome", "Last run (UTC)"], jobRows),
    "The numbers behind this page are the files beside it, one JSON document a line. This branch is written by the jobs alone.",
    "",
  ].join("\n")
}

function table(title: string, head: string[], rows: string[][]): string[] {
  if (rows.length === 0) return [""]
  const line = (cells: string[]) => `| ${cells.join(" | ")} |`
  return ["", `## ${title}`, "", line(head), line(head.map(() => "---")), ...rows.map(line), ""]
}

function minute(at: string): string {
  return at.slice(0, 16).replace("T", " ")
}
