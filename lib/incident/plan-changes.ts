import type { Finding } from "../core/finding.ts"
import { worstOutcome } from "../core/outcome.ts"
import { isConfirmed } from "./confirm.ts"
import { drillIncident, endDrill, isDrill } from "./drill.ts"
import type { HeardIncident } from "./hear-commands.ts"
import type { About, Incident, OutboxItem, StoredIncident } from "./incident.ts"
import { changeComment } from "./issue-text.ts"
import type { KnownIncident } from "./looks.ts"
import type { Policy } from "./policy.ts"
import { closingComment } from "./postmortem.ts"
import { type Action, type Recent, reconcile } from "./reconcile.ts"
import { say } from "./say.ts"

/** What becomes of one incident: made when nothing is stored, else as it should be from now on. */
export type Change = { stored?: StoredIncident; incident: Incident; comment?: string }

export type PlanOrder = {
  policy: Policy
  findings: readonly Finding[]
  recent: Recent
  now: Date
  runUrl?: string
  about?(finding: Finding): About
  isPublic: boolean
  drill?: boolean
  /** An earlier run may have told what could not be found now. */
  isDoubtful?: boolean
}

/** The detail of what is kept where everyone can read it. */
export const notShown = "the details are not shown in a public repository"

/** What this run makes of the incidents, those that it leaves as they are included. Pure. */
export function planChanges(heard: readonly HeardIncident[], order: PlanOrder): Change[] {
  const { policy, recent, now, isPublic } = order
  const findings = bySubject(order.findings)
  const seen = isPublic ? findings.map(publicFinding) : findings
  const known = heard.filter(({ incident }) => !isDrill(incident)).map(knownIncident)
  const { actions } = reconcile(seen, recent, known, policy, now)
  const acted = actions.map((action) => changeOf(action, heard, order))
  const isActed = new Set(acted.map(({ stored }) => stored?.id))
  const left = heard.filter(({ stored }) => !isActed.has(stored.id)).map(({ stored }) => drillChange(stored, order))
  const isDrilling = left.some(({ incident }) => isDrill(incident) && incident.state !== "closed")
  const drill = order.drill && !isDrilling ? [{ incident: drillIncident(now) }] : []
  const doubted = [...acted, ...left].map((change) => withDoubt(change, recent))
  return [...(order.isDoubtful ? doubted.map((change) => withUnread(change, now)) : doubted), ...drill]
}

/** What is said as new of how bad something is may be what a run said that left its note where nobody can look now. */
function withUnread(change: Change, now: Date): Change {
  const { incident } = change
  const isNew = ({ state, kind, at }: OutboxItem) =>
    state === "pending" && (kind === "opened" || kind === "worse") && Date.parse(at) === now.getTime()
  if (!incident.outbox.some(isNew)) return change
  const outbox = incident.outbox.map((item) => (isNew(item) ? { ...item, mayBeRepeat: true } : item))
  return { ...change, incident: { ...incident, outbox } }
}

/** The incident with what this run saw of it in full: what is written down in a public repository says less than people hear. */
export function withDetails(incident: Incident, findings: readonly Finding[]): Incident {
  if (incident.detail !== notShown) return incident
  const finding = bySubject(findings).find(({ subject }) => subject === incident.subject)
  if (finding?.outcome !== "fail" && finding?.outcome !== "warn") return incident
  const { detail, class: failure, runbook } = finding
  return {
    ...incident,
    detail,
    ...(failure !== undefined && { class: failure }),
    ...(runbook !== undefined && { runbook }),
  }
}

/** One finding a subject: its worst outcome, with a line for each error. */
function bySubject(findings: readonly Finding[]): Finding[] {
  const subjects = Map.groupBy(findings, ({ subject }) => subject)
  return [...subjects.values()].flatMap((same) => {
    const worst = worstOutcome(same.map(({ outcome }) => outcome))
    const [first, ...more] = same.filter(({ outcome }) => outcome === worst)
    if (!first) return []
    const details = new Set([first, ...more].map(({ detail }) => detail.replace(/\s+/g, " ").trim()))
    return [{ ...first, detail: [...details].join("\n") }]
  })
}

function publicFinding(finding: Finding): Finding {
  const { class: _class, facts: _facts, runbook: _runbook, ...rest } = finding
  return { ...rest, detail: notShown }
}

function knownIncident({ stored, incident }: HeardIncident): KnownIncident {
  return stored.isClosedByPerson ? { ...incident, isClosedByPerson: true } : incident
}

function changeOf(action: Action, heard: readonly HeardIncident[], order: PlanOrder): Change {
  const { incident, why } = action
  const known = action.kind === "open" ? undefined : heard.find((one) => one.incident.key === incident.key)?.stored
  if (!known) return { incident: introduced(incident, heard, order) }
  const kind = incident.outbox.find(({ id }) => known.incident.outbox.every((old) => old.id !== id))?.kind
  const isClosing = known.incident.state !== "closed" && incident.state === "closed"
  const comment = isClosing
    ? closingComment(incident, order.isPublic, why)
    : kind && changeComment(incident, kind, order.isPublic)
  return { stored: known, incident, ...(comment !== undefined && { comment }) }
}

/** A new incident with what the run knows besides. */
function introduced(incident: Incident, heard: readonly HeardIncident[], order: PlanOrder): Incident {
  const finding = order.findings.find(({ subject }) => subject === incident.subject)
  const rows = order.recent.get(incident.subject) ?? []
  const detectedAt = new Date(incident.detectedAt)
  const good = rows.findLast(({ at, outcome }) => outcome === "ok" && at < detectedAt)
  const about: About = {
    ...(order.runUrl !== undefined && { runUrl: order.runUrl }),
    ...(good && { lastGood: good.at.toISOString() }),
    ...(finding && order.about?.(finding)),
  }
  const wasQuiet = heard.some(({ incident: { muted, subject, resolved } }) => {
    return muted.includes(incident.subject) || (subject === incident.subject && resolved !== undefined)
  })
  const mayBeRepeat = !wasQuiet && finding !== undefined && shouldHaveOpened(finding, detectedAt, order)
  const outbox = mayBeRepeat ? incident.outbox.map((item) => ({ ...item, mayBeRepeat })) : incident.outbox
  return { ...incident, key: stableKey(incident, heard), about, outbox }
}

/** Named by its first bad look: so the runs that could not write it down named it too. */
function stableKey({ subject, detectedAt, key }: Incident, heard: readonly HeardIncident[]): string {
  const stable = `${subject}@${detectedAt.slice(0, 16)}Z`
  return heard.some(({ incident }) => incident.key.startsWith(stable)) ? key : stable
}

/** An earlier run saw enough of the same to open it: it could not write that down, and may have said it all the same. */
function shouldHaveOpened(finding: Finding, detectedAt: Date, { recent, policy }: PlanOrder): boolean {
  const rows = recent.get(finding.subject) ?? []
  return rows.some(({ at, outcome, inMaintenance }, index) => {
    if (outcome !== "fail" || inMaintenance || at < detectedAt) return false
    return isConfirmed({ ...finding, outcome }, rows.slice(0, index), policy)
  })
}

/** Of what is still to be said: a run after the last try that could not read it may have said it without. */
function withDoubt(change: Change, recent: Recent): Change {
  const { incident } = change
  const failedAt = (recent.get(incident.subject) ?? []).findLast(({ outcome }) => outcome === "fail")?.at
  const isDoubtful = ({ state, triedAt, mayBeRepeat }: OutboxItem) => {
    const isLeft = state === "pending" && triedAt !== undefined && !mayBeRepeat
    return isLeft && failedAt !== undefined && failedAt > new Date(triedAt)
  }
  if (!incident.outbox.some(isDoubtful)) return change
  const outbox = incident.outbox.map((item) => (isDoubtful(item) ? { ...item, mayBeRepeat: true } : item))
  return { ...change, incident: { ...incident, outbox } }
}

/** An exercise that nobody answered yet rings once more when one is asked for. */
function drillChange(stored: StoredIncident, { now, drill = false }: PlanOrder): Change {
  const { incident } = stored
  if (!isDrill(incident) || incident.state === "closed") return { stored, incident }
  const ended = endDrill(incident, now)
  if (ended) return { stored, ...ended }
  return { stored, incident: drill ? say(incident, "drill", now) : incident }
}
