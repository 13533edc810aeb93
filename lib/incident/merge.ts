import { isDeepStrictEqual } from "node:util"
import type { Incident, OutboxItem, TimelineEvent } from "./incident.ts"

/**
 * What two runs that both started from `base` made of an incident, together: a field that only one changed is taken from that one, what
 * both changed from `mine`. Of the outbox and the timeline nothing is lost, and what one of them has sent stays sent.
 */
export function mergeIncident(base: Incident, mine: Incident, theirs: Incident): Incident {
  const merged: Record<string, unknown> = { ...theirs }
  for (const key of new Set([...Object.keys(base), ...Object.keys(mine)])) {
    const [was, is] = [fieldOf(base, key), fieldOf(mine, key)]
    if (!isDeepStrictEqual(was, is)) merged[key] = is
  }
  const together = Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== undefined)) as Incident
  return {
    ...together,
    outbox: mergeOutbox(base.outbox, mine.outbox, theirs.outbox),
    timeline: mergeTimeline(base.timeline, mine.timeline, theirs.timeline),
  }
}

function fieldOf(incident: Incident, key: string): unknown {
  return incident[key]
}

const progress: readonly OutboxItem["state"][] = ["pending", "sending", "given up", "sent"]

function mergeOutbox(base: OutboxItem[], mine: OutboxItem[], theirs: OutboxItem[]): OutboxItem[] {
  const wasThere = new Set(base.map(({ id }) => id))
  const isMine = new Map(mine.map((item) => [item.id, item]))
  const before = new Map(base.map((item) => [item.id, item]))
  const known = new Set(theirs.map(({ id }) => id))
  const kept = theirs.filter(({ id }) => isMine.has(id) || !wasThere.has(id))
  const both = kept.map((item) => {
    // What only one run touched is as that one says, also when it takes a mark back: a message that was surely refused.
    const isUntouched = isDeepStrictEqual(item, before.get(item.id))
    return isUntouched ? (isMine.get(item.id) ?? item) : furthest(item, isMine.get(item.id))
  })
  return [...both, ...mine.filter(({ id }) => !known.has(id) && !wasThere.has(id))]
}

/** Of two runs that marked the same message the first one says it. */
function furthest(theirs: OutboxItem, mine: OutboxItem | undefined): OutboxItem {
  if (!mine) return theirs
  const item = progress.indexOf(mine.state) > progress.indexOf(theirs.state) ? mine : theirs
  return { ...item, tries: Math.max(mine.tries, theirs.tries) }
}

function mergeTimeline(base: TimelineEvent[], mine: TimelineEvent[], theirs: TimelineEvent[]): TimelineEvent[] {
  const has = (events: TimelineEvent[], event: TimelineEvent) => events.some((other) => isDeepStrictEqual(other, event))
  const kept = theirs.filter((event) => has(mine, event) || !has(base, event))
  const added = mine.filter((event) => !has(base, event) && !has(theirs, event))
  return [...kept, ...added].sort((left, right) => Date.parse(left.at) - Date.parse(right.at))
}
