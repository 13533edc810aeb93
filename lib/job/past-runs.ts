import { z } from "zod"
import type { Ledger } from "../ledger/ledger.ts"

/** What is read of a run line. Lines of other versions of this format are passed over. */
const pastRun = z.object({
  schema: z.literal(1),
  id: z.string(),
  job: z.string(),
  slot: z.iso.datetime(),
  dryRun: z.boolean(),
  options: z.array(z.string()).optional(),
  startedAt: z.iso.datetime(),
  endedAt: z.iso.datetime(),
  outcome: z.enum(["ok", "warn", "fail", "unknown"]),
  exitCode: z.int(),
})

type PastRun = z.output<typeof pastRun>

const maxDaysBack = 400
const dayMs = 24 * 3600 * 1000

/** The file of the ledger that a run line belongs to: that of the UTC day on which the run began. */
export function runStream(startedAt: Date): string {
  return `runs/${startedAt.toISOString().slice(0, 10).replaceAll("-", "/")}.jsonl`
}

/** The run that did all of this job's work for this slot, really and with exit code 0; `undefined` when none did. */
export async function findDoneRun(ledger: Ledger, job: string, slot: Date): Promise<{ id: string } | undefined> {
  const first = runStream(slot)
  for (const stream of (await ledger.streams("runs")).filter((stream) => stream >= first).slice(0, maxDaysBack)) {
    const runs = await readRuns(ledger, stream, job)
    const done = runs.find(
      (run) => run.exitCode === 0 && !run.options && new Date(run.slot).getTime() === slot.getTime(),
    )
    if (done) return done
  }
  return undefined
}

export type History = {
  /** When the job last did its work. */
  lastSuccess?: Date
  /** The first of the failed runs since then, and how many they are. */
  failing?: { since: Date; count: number }
}

/** What the ledger knows of a job's latest runs, at most 400 days back. */
export async function readHistory(ledger: Ledger, job: string): Promise<History> {
  let failing: History["failing"]
  for (const stream of (await ledger.streams("runs")).slice(-maxDaysBack).reverse()) {
    for (const run of (await readRuns(ledger, stream, job)).reverse()) {
      if (didItsWork(run)) return { lastSuccess: new Date(run.endedAt), ...(failing && { failing }) }
      failing = { since: new Date(run.startedAt), count: (failing?.count ?? 0) + 1 }
    }
  }
  return failing ? { failing } : {}
}

/** A run that could not be told (3) did its work all the same unless it saw a failure. */
function didItsWork(run: PastRun): boolean {
  return run.exitCode === 0 || (run.exitCode === 3 && run.outcome !== "fail")
}

/** Real runs of a job, in the order in which they ended. */
async function readRuns(ledger: Ledger, stream: string, job: string): Promise<PastRun[]> {
  return (await ledger.read(stream)).flatMap((row) => {
    const run = pastRun.safeParse(row)
    return run.success && run.data.job === job && !run.data.dryRun ? [run.data] : []
  })
}

const toldLine = z.object({
  id: z.string(),
  job: z.string(),
  told: z.object({ incidents: z.string().optional() }),
})

/**
 * Our jobs whose run within a workflow run (`<run id>-<attempt>`) told people of itself, as its line in the ledger says: one that could
 * not is not among them.
 */
export async function findToldJobs(
  ledger: Pick<Ledger, "read">,
  workflowRun: string,
  from: Date,
  to: Date,
): Promise<Set<string>> {
  const told = new Set<string>()
  for (let day = Date.parse(`${from.toISOString().slice(0, 10)}T00:00:00Z`); day <= to.getTime(); day += dayMs) {
    for (const row of await ledger.read(runStream(new Date(day)))) {
      const line = toldLine.safeParse(row)
      if (!line.success || line.data.id !== `${workflowRun}-${line.data.job}`) continue
      if (line.data.told.incidents && !line.data.told.incidents.startsWith("failed")) told.add(line.data.job)
    }
  }
  return told
}
