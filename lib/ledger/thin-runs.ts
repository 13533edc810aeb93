import { z } from "zod"

/** A job that runs more often than this in a day is one whose single green runs tell nothing a month later. */
const busyRunsADay = 24

const greenRun = z.object({ id: z.string(), job: z.string(), exitCode: z.literal(0), outcome: z.literal("ok") })

/**
 * The lines of one day's runs without the green ones of a busy job between its first and its last: a line with their number stands
 * for them. Everything else, what cannot be read as well, stays as it is. Thinning twice changes nothing.
 */
export function thinRuns(lines: readonly string[]): string[] {
  const jobs = lines.map(greenJobOf)
  const places = Map.groupBy(jobs.keys(), (index) => jobs[index])
  const left = new Map<number, string>()
  for (const [job, indexes] of places) {
    if (job === undefined || indexes.length <= busyRunsADay) continue
    const between = indexes.slice(1, -1)
    const [first, ...others] = between
    if (first === undefined) continue
    left.set(first, JSON.stringify({ leftOut: { job, greenRuns: between.length } }))
    for (const index of others) left.set(index, "")
  }
  return lines.map((line, index) => left.get(index) ?? line).filter((line) => line !== "")
}

/** The job of a line that is a green run's. */
function greenJobOf(line: string): string | undefined {
  try {
    return greenRun.safeParse(JSON.parse(line)).data?.job
  } catch {
    return undefined // no JSON: it stays for whoever repairs it
  }
}
