import type { Incident, TimelineEvent } from "./incident.ts"

const keepFirst = 10
const keepLast = 90

/** The incident with one more event. A long timeline keeps its beginning and its end: an issue has a size limit. */
export function note(incident: Incident, at: Date, what: string, by?: string): Incident {
  const event: TimelineEvent = { at: at.toISOString(), what, ...(by !== undefined && { by }) }
  const timeline = [...incident.timeline, event]
  const excess = timeline.length - keepFirst - keepLast
  return { ...incident, timeline: excess > 0 ? timeline.toSpliced(keepFirst, excess) : timeline }
}
