import { usualGapMs } from "../github/schedule.ts"

const pulseFile = ".github/workflows/pulse.yml"
const halfHourMs = 30 * 60_000

/** How often services are looked at when the schedule of the pulse is kept, in milliseconds; half an hour where it has none. */
export async function pulseIntervalMs(now: Date): Promise<number> {
  const { readWorkflow } = await import("../github/workflow-file.ts") // here, since YAML takes as long to load as Node to start
  const { crons } = await readWorkflow(pulseFile)
  return usualGapMs(crons, now) ?? halfHourMs
}
