import { dayOfStream } from "./observations.ts"

/** One thing to do about a stream: compress its file, make its observations tallies, or leave out the green runs of a busy job. */
export type RollUpStep = { act: "zip" | "tally" | "thin"; stream: string; day: Date }

const hourMs = 3600 * 1000
const dayMs = 24 * hourMs

/** A job of Actions ends within six hours: until then a run of a past day may still add its line. */
const lateMs = 6 * hourMs
const rawMs = 90 * dayMs
const fullRunsMs = 30 * dayMs

/** At most so many steps at once, so that the run that does them is not held up for long: the next one goes on. */
const maxSteps = 40

/**
 * What is to be done about the files of a ledger, oldest first: closed days are compressed, raw observations of 90 days ago become
 * tallies, and run lines of 30 days ago are thinned, from the day of `thinnedBefore` on. Nothing is due twice.
 */
export function planRollUp(files: readonly string[], now: Date, thinnedBefore: Date): RollUpStep[] {
  const steps = files.flatMap((file): RollUpStep[] => {
    const stream = file.replace(/\.gz$/, "")
    const span = spanOf(stream)
    if (!span) return []
    const { from: day, to } = span
    const ageMs = now.getTime() - to.getTime()
    if (dayOfStream(stream)) {
      if (ageMs >= rawMs) return [{ act: "tally", stream, day }]
    } else if (stream.startsWith("runs/") && ageMs >= fullRunsMs && day >= thinnedBefore) {
      return [{ act: "thin", stream, day }]
    }
    const closesAfterMs = stream.startsWith("histograms/") ? rawMs + dayMs : lateMs
    return ageMs >= closesAfterMs && file === stream ? [{ act: "zip", stream, day }] : []
  })
  const once = new Map(steps.map((step) => [`${step.act} ${step.stream}`, step]))
  return [...once.values()].sort((a, b) => a.day.getTime() - b.day.getTime()).slice(0, maxSteps)
}

/** The UTC day or month that the name of a stream ends in. */
function spanOf(stream: string): { from: Date; to: Date } | undefined {
  const [, year, month, day] = /\/(\d{4})\/(\d{2})(?:\/(\d{2}))?\.jsonl$/.exec(stream) ?? []
  if (!year || !month) return undefined
  const from = new Date(`${year}-${month}-${day ?? "01"}T00:00:00Z`)
  if (Number.isNaN(from.getTime())) return undefined
  const to = day ? from.getTime() + dayMs : Date.UTC(Number(year), Number(month), 1)
  return { from, to: new Date(to) }
}
