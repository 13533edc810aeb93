import { errorText } from "../core/error-text.ts"
import type { Finding } from "../core/finding.ts"
import { catchUp, unknownNotes } from "./catch-up.ts"
import { deliver, type Send, type Unkept } from "./deliver.ts"
import { hearCommands } from "./hear-commands.ts"
import type { About, Incident, IncidentMemory, StoredIncident } from "./incident.ts"
import { incidentText } from "./issue-text.ts"
import type { Scene } from "./messages.ts"
import { prepare } from "./outbox.ts"
import { planChanges, withDetails } from "./plan-changes.ts"
import { type Policy, rememberMs } from "./policy.ts"
import type { Recent } from "./reconcile.ts"
import { type NotesFrom, namedAsTold, type UnkeptNote, type UnkeptNotes } from "./unkept-note.ts"
import { isDown, writeChanges } from "./write-changes.ts"

/** Everything that telling the findings of one run takes. */
export type TellOrder = {
  memory: IncidentMemory
  /** Rings people; left out when there is no address: the memory is all there is then. */
  send?: Send
  policy: Policy
  /** What this run saw; of subjects that are not in it nothing is known. */
  findings: readonly Finding[]
  recent: Recent
  now: Date
  app: Scene["app"]
  runUrl?: string
  /** An address or a path for the name of a runbook. */
  runbookAddress(name: string): string
  /** What the run knows besides about what it found; all of it may be shown to everyone. */
  about?(finding: Finding): About
  /** Everyone can read the memory: it gets subjects, outcomes and times alone. */
  isPublic: boolean
  /** Opens an exercise that rings everybody. */
  drill?: boolean
  /** What earlier runs told that could not write it down; with `hasMemory` false only what is known without asking GitHub. Never rejects. */
  readNotes?(hasMemory: boolean): Promise<UnkeptNotes>
  /** Keeps what this run tells without writing it down for the runs after it; heard again it takes the place of what it heard before. */
  leave?(notes: readonly UnkeptNote[]): void
  signal: AbortSignal
}

/** What came of telling. */
export type Tidings = {
  told: "done" | `skipped (${string})` | `failed (${string})`
  opened: Incident[]
  closed: Incident[]
  /** How many messages arrived. */
  messages: number
  problems: string[]
  /** The incidents hold all that earlier runs could not write down and that is to be read there. */
  caughtUp: NotesFrom
}

/**
 * Hears the commands of people, decides what is to be said, writes it down, says it, and marks it as said; what earlier runs left is
 * said as well. Every message is written down before it is sent, so that none is lost, and one that may have arrived is sent again as
 * `may be a repeat`. What does not work makes `told` a failure and stops nothing else: when the memory is out of reach people hear
 * at least, in one message, what is down, and a note is left of it, from which the first run with a memory makes the incident.
 * Rejects only when the signal fired.
 */
export async function tellIncidents(order: TellOrder): Promise<Tidings> {
  const { memory, now, policy, signal, findings } = order
  const remembered = new Date(now.getTime() - rememberMs(policy))
  const listed = await list(order, remembered)
  if (typeof listed === "string") return tellWithoutMemory(order, listed)
  const textOf = (incident: Incident) => incidentText(incident, order)
  const caught = await takeNotes(order, listed, remembered)
  const heard = await hearCommands(caught.incidents, { ...order, textOf })
  const changes = planChanges(heard.incidents, { ...order, isDoubtful: caught.isDoubtful })
  const prepared = changes.map((change) => ({ ...change, ...prepare(change.incident, now, order.send !== undefined) }))
  const written = await writeChanges(prepared, { memory, textOf, signal, policy, now })
  const cleared = written.cleared.map((one) => ({ ...one, shown: withDetails(one.stored.incident, findings) }))
  const unkept = written.unkept.map((one) => ({ ...one, incident: withDetails(one.incident, findings) }))
  const sent = await sendAll(order, cleared, unkept)
  const problems = [...caught.problems, ...heard.problems, ...written.problems, ...sent.problems, ...silentDrill(order)]
  const isUnheard = order.send === undefined && changes.some(({ incident }) => hasPending(incident))
  const counts = { opened: written.opened, closed: [...heard.closed, ...written.closed], messages: sent.messages }
  const told = toldText(problems, isUnheard, memory.name, written.count + sent.messages + heard.count)
  return { told, ...counts, problems, caughtUp: caught.from }
}

type Caught = { incidents: StoredIncident[]; problems: string[]; from: NotesFrom; isDoubtful: boolean }

/** The incidents together with what earlier runs told that could not write it down. */
async function takeNotes(order: TellOrder, listed: StoredIncident[], remembered: Date): Promise<Caught> {
  if (!order.readNotes) return { incidents: listed, problems: [], from: "nowhere", isDoubtful: false }
  const { notes, from, isDoubtful } = await order.readNotes(true)
  const oldest = unknownNotes(notes, listed)[0]
  if (!oldest) return { incidents: listed, problems: [], from, isDoubtful }
  // What was closed long ago may know of a note that is older still.
  const all = new Date(oldest.at) < remembered ? await list(order, new Date(oldest.at)) : listed
  if (typeof all === "string") return { incidents: listed, problems: [all], from: "nowhere", isDoubtful: true }
  const textOf = (incident: Incident) => incidentText(incident, order)
  const caught = await catchUp(all, notes, { ...order, textOf })
  const isRemembered = ({ incident: { state, closedAt } }: StoredIncident) =>
    state !== "closed" || closedAt === undefined || new Date(closedAt) >= remembered
  const incidents = caught.incidents.filter((one) => listed.includes(one) || isRemembered(one))
  return { incidents, problems: caught.problems, from: caught.isDone ? from : "nowhere", isDoubtful }
}

/** The incidents that matter, or why they cannot be read. */
async function list({ memory, signal }: TellOrder, closedSince: Date): Promise<StoredIncident[] | string> {
  signal.throwIfAborted()
  try {
    return await memory.list(closedSince)
  } catch (error) {
    signal.throwIfAborted()
    return `the incidents in ${memory.name} cannot be read: ${errorText(error)}`
  }
}

/** All that can be done without a memory: what is certainly down is said in one message. What was said before is not known. */
async function tellWithoutMemory(order: TellOrder, problem: string): Promise<Tidings> {
  const { findings, now, recent, readNotes } = order
  const { notes = [] } = (await readNotes?.(false)) ?? {}
  const changes = planChanges([], { ...order, isPublic: false })
  const unkept: Unkept[] = changes.flatMap(({ incident: planned }) => {
    if (!isDown(planned)) return []
    const incident = namedAsTold(planned, notes, recent.get(planned.subject) ?? [])
    return [{ incident, due: prepare(incident, now, true).due, why: problem }]
  })
  const sent = await sendAll(order, [], unkept)
  const problems = [problem, ...sent.problems]
  return {
    told: toldText(problems, false, "", findings.length),
    opened: [],
    closed: [],
    messages: sent.messages,
    problems,
    caughtUp: "nowhere",
  }
}

async function sendAll(
  order: TellOrder,
  cleared: Parameters<typeof deliver>[0],
  unkept: readonly Unkept[],
): Promise<{ messages: number; problems: string[] }> {
  const { send, memory, signal, leave } = order
  if (!send) return { messages: 0, problems: [] }
  const textOf = (incident: Incident) => incidentText(incident, order)
  return deliver(cleared, unkept, { memory, send, scene: order, textOf, signal, ...(leave && { leave }) })
}

/** An exercise in which nobody can be rung shows that nobody would be. */
function silentDrill({ drill, send, memory }: TellOrder): string[] {
  return drill && !send ? [`the drill rang nobody: set alerts.slack; it is in ${memory.name} alone`] : []
}

function hasPending({ outbox }: Incident): boolean {
  return outbox.some(({ state }) => state === "pending" || state === "sending")
}

function toldText(problems: readonly string[], isUnheard: boolean, memory: string, count: number): Tidings["told"] {
  const [first, ...more] = problems
  if (first !== undefined) return `failed (${first}${more.length > 0 ? `; and ${more.length} more` : ""})`
  if (isUnheard) return `skipped (no address: set alerts.slack; the incidents are in ${memory})`
  return count > 0 ? "done" : "skipped (nothing changed)"
}
