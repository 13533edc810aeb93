import { errorText } from "../core/error-text.ts"
import { applyCommands } from "./commands.ts"
import type { Incident, IncidentMemory, IncidentText, StoredIncident } from "./incident.ts"
import { closingComment } from "./postmortem.ts"

/** An incident as it is kept, and as it is after what people said of it: not all of that is worth writing down at once. */
export type HeardIncident = { stored: StoredIncident; incident: Incident }

export type Heard = {
  incidents: HeardIncident[]
  closed: Incident[]
  /** How many incidents had commands. */
  count: number
  problems: string[]
}

type Hearing = {
  memory: Pick<IncidentMemory, "commands" | "update">
  now: Date
  isPublic: boolean
  textOf(incident: Incident): IncidentText
  signal: AbortSignal
}

/**
 * Executes what people wrote in the incidents that are open, and answers it. A command is written down as read in the same step as what
 * it does, so that it is executed once; one that could not be written down is read again by the next run, with the same effect.
 */
export async function hearCommands(incidents: readonly StoredIncident[], hearing: Hearing): Promise<Heard> {
  const heard: Heard = { incidents: [], closed: [], count: 0, problems: [] }
  for (const stored of incidents) {
    hearing.signal.throwIfAborted()
    const isOpen = stored.incident.state !== "closed"
    heard.incidents.push(isOpen ? await hear(stored, hearing, heard) : { stored, incident: stored.incident })
  }
  return heard
}

async function hear(stored: StoredIncident, hearing: Hearing, heard: Heard): Promise<HeardIncident> {
  const { memory, now, isPublic, textOf, signal } = hearing
  try {
    const { incident, answer } = applyCommands(stored.incident, await memory.commands(stored), now)
    if (answer === undefined) return { stored, incident }
    const isClosing = incident.state === "closed"
    const comment = isClosing ? `${answer}\n\n${closingComment(incident, isPublic)}` : answer
    const written = await memory.update(stored, incident, textOf(incident), comment)
    heard.count++
    if (isClosing) heard.closed.push(incident)
    return { stored: written, incident: written.incident }
  } catch (error) {
    signal.throwIfAborted()
    heard.problems.push(`the commands of ${stored.incident.key} were not heard: ${errorText(error)}`)
    return { stored, incident: stored.incident }
  }
}
