import type { Incident, IncidentMemory, StoredIncident } from "../../lib/incident/incident.ts"
import type { Policy } from "../../lib/incident/policy.ts"
import { type Tidings, tellIncidents } from "../../lib/incident/tell.ts"
import type { UnkeptNote, UnkeptNotes } from "../../lib/incident/unkept-note.ts"
import type { SlackMessage } from "../../lib/notify/slack-message.ts"
import { NotTaken } from "../../lib/notify/undelivered.ts"
import type { Dice } from "./month.ts"
import type { Teller } from "./month-play.ts"
import { hourMs } from "./watch.ts"

/**
 * How often something far away does not work. `awayHours`: it is out of reach for up to that long, about twice a week; of the times in
 * which the incidents are, `ledgerShare` are such of the ledger as well, and it has as many of its own.
 */
export type Faults = {
  slackRefuses: number
  slackLoses: number
  memoryFails: number
  awayHours: number
  ledgerShare?: number
}

/** A message as it arrived: what it is about, and whether it says that it may be a repeat. */
export type Arrival = {
  at: Date
  keys: string[]
  isRecovery: boolean
  isOpening: boolean
  isRepeat: boolean
  words: string
}

export type FaultyTeller = Teller & {
  arrivals: Arrival[]
  tidings: Tidings[]
  /** Runs in which everything worked. */
  calm: Set<number>
  /** What runs told that could not write it down. */
  left: UnkeptNote[]
}

/** Telling as jobs do it, to a memory and a channel that fail at random: before they did their work, or after it, with the answer lost. */
export function faultyTeller(policy: Policy, faults: Faults, dice: Dice, start: Date): FaultyTeller {
  const arrivals: Arrival[] = []
  const tidings: Tidings[] = []
  const calm = new Set<number>()
  const memoryAway = absences(faults.awayHours, dice, start)
  const { ledgerShare = 0 } = faults
  const own = ledgerShare > 0 ? absences(faults.awayHours, dice, start) : []
  const away = {
    slack: absences(faults.awayHours, dice, start),
    memory: memoryAway,
    ledger: [...own, ...memoryAway.filter(() => dice.chance(ledgerShare))],
  }
  const left: UnkeptNote[] = []
  const inLedger: UnkeptNote[] = []
  const onPages: UnkeptNote[] = []
  let now = start
  let hadFault = false
  const fault = (error: Error): Error => {
    hadFault = true
    return error
  }
  const isAway = (spans: readonly Span[]) => spans.some(([from, to]) => from <= now.getTime() && now.getTime() < to)

  const memory = memoryWith(async (work) => {
    if (isAway(away.memory) || dice.chance(faults.memoryFails)) throw fault(new Error("GitHub answered 502"))
    const result = work()
    if (dice.chance(faults.memoryFails)) throw fault(new Error("GitHub's answer was lost"))
    return result
  })
  const send = async (message: SlackMessage) => {
    if (isAway(away.slack) || dice.chance(faults.slackRefuses)) throw fault(new NotTaken("Slack answered 503"))
    const isLost = dice.chance(faults.slackLoses)
    if (!isLost || dice.chance(0.5)) arrivals.push(arrivalOf(message, now, memory.keyOf))
    if (isLost) throw fault(new Error("Slack's answer was lost"))
  }

  const readNotes = async (hasMemory: boolean): Promise<UnkeptNotes> => {
    if (isAway(away.ledger)) return { notes: [], from: "nowhere", isDoubtful: true }
    if (!hasMemory) return { notes: inLedger, from: "ledger", isDoubtful: false }
    if (dice.chance(faults.memoryFails)) return { notes: inLedger, from: "ledger", isDoubtful: true }
    return { notes: [...inLedger, ...onPages], from: "all", isDoubtful: false }
  }

  return {
    arrivals,
    tidings,
    calm,
    left,
    incidents: memory.kept,
    forgets: (at) => away.ledger.some(([from, to]) => from <= at.getTime() && at.getTime() < to),
    async tell(findings, seen, at) {
      now = at
      hadFault = false
      let notes: readonly UnkeptNote[] = []
      const leave = (told: readonly UnkeptNote[]) => {
        notes = told
      }
      const recent = isAway(away.ledger) ? new Map() : seen
      const order = { readNotes, leave, memory, send, policy, findings, recent, now: at, isPublic: false }
      const app = { name: "PrepPilot", environment: "production" }
      const signal = new AbortController().signal
      tidings.push(await tellIncidents({ ...order, app, signal, runbookAddress: (name) => `docs/runbooks/${name}.md` }))
      left.push(...notes)
      ;(isAway(away.ledger) ? onPages : inLedger).push(...notes)
      if (!hadFault) calm.add(at.getTime())
    },
  }
}

type Span = readonly [from: number, to: number]

function absences(awayHours: number, dice: Dice, start: Date): Span[] {
  if (awayHours === 0) return []
  return Array.from({ length: 9 }, () => {
    const from = start.getTime() + dice.next() * 30 * 24 * hourMs
    return [from, from + dice.next() * awayHours * hourMs] as const
  })
}

type FaultyMemory = IncidentMemory & { kept(): Incident[]; keyOf(url: string): string | undefined }

/** Incidents in memory; every call goes through `call`, which may fail. */
function memoryWith(call: <T>(work: () => T) => Promise<T>): FaultyMemory {
  const rows: Incident[] = []
  const urlOf = (index: number) => `https://git.test/issues/${index + 1}`
  const stored = (index: number): StoredIncident => {
    const incident = rows[index]
    if (!incident) throw new Error(`there is no issue ${index}`)
    return { incident, id: String(index), url: urlOf(index), isClosedByPerson: false }
  }
  const isListed = ({ closedAt, state }: Incident, since: Date) =>
    state !== "closed" || Date.parse(closedAt ?? "") >= since.getTime()
  return {
    name: "memory of the month",
    kept: () => rows,
    keyOf: (url) => rows[Number(url.slice(url.lastIndexOf("/") + 1)) - 1]?.key,
    list: (since) => call(() => rows.flatMap((incident, index) => (isListed(incident, since) ? [stored(index)] : []))),
    open: (incident) =>
      call(() => {
        const isTaken = rows.some((other) => other.subject === incident.subject && other.state !== "closed")
        if (isTaken) throw new Error(`${incident.subject} has an open one`)
        rows.push(incident)
        return stored(rows.length - 1)
      }),
    update: ({ id }, incident) =>
      call(() => {
        rows[Number(id)] = incident
        return stored(Number(id))
      }),
    commands: () => call(() => []),
    comment: () => call(() => undefined),
  }
}

function arrivalOf(message: SlackMessage, at: Date, keyOf: (url: string) => string | undefined): Arrival {
  const words = JSON.stringify(message)
  const title = message.text
  const named = words.match(/(service|provider)\/\w+@\d{4}-\d\d-\d\dT\d\d:\d\dZ(\.\d+)?/g) ?? []
  const linked = (words.match(/https:\/\/git\.test\/issues\/\d+/g) ?? []).flatMap((url) => keyOf(url) ?? [])
  const isRecovery = /^(recovered after|\d+ incidents recovered)/.test(title)
  const isLater = /^P\d(, worse|, still|: \d+ incidents (still|worse)|.*still comes? and go)/.test(title)
  const isRepeat = words.includes("may be a repeat")
  return {
    at,
    words,
    isRecovery,
    isOpening: !isRecovery && !isLater,
    isRepeat,
    keys: [...new Set([...named, ...linked])],
  }
}
