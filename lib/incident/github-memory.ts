import type { Log } from "../core/log.ts"
import type { GitHub } from "../github/client.ts"
import { doOnce } from "../github/do-once.ts"
import {
  createComment,
  createIssue,
  ensureLabel,
  type Issue,
  type IssuePatch,
  listComments,
  listIssues,
  patchIssue,
  readIssue,
} from "../github/issues.ts"
import { createWriters, type Writers } from "../github/writers.ts"
import type { Incident, IncidentComment, IncidentMemory, IncidentText, StoredIncident } from "./incident.ts"
import { readIncidents, type Seen } from "./issue-list.ts"
import { fitTitle, isOwnComment, looksLikeCommand, parseBody, renderBody, renderComment } from "./machine-block.ts"
import { mergeIncident } from "./merge.ts"

/** What marks an issue as an incident, beside the machine block. */
const incidentLabel = {
  name: "incident",
  color: "b60205",
  description: "Opened and closed by Nightshift; take this label away to keep Nightshift out",
}
const severityColors = { P0: "b60205", P1: "d93f0b", P2: "fbca04", P3: "c5def5" } as const

/**
 * Incidents as issues of a repository. Ours is an issue with the label, a valid machine block, and a bot or someone with write access as
 * author; others are never touched. What people change beside our own part of the body stays. Two runs that open the same incident at once
 * leave two issues: the oldest counts, and the next update of it closes the others.
 */
export function githubMemory(github: GitHub, log: Log): IncidentMemory {
  const seen = new WeakMap<StoredIncident, Seen>()
  const writers = createWriters(github, log)
  let duplicates = new Map<string, Issue[]>()
  const labels = new Set<string>()

  function remember(issue: Issue, incident: Incident, isClosedByPerson = false): StoredIncident {
    const stored = { incident, id: String(issue.number), url: issue.html_url, isClosedByPerson }
    seen.set(stored, { base: structuredClone(incident), comments: issue.comments })
    return stored
  }

  async function list(closedSince: Date): Promise<StoredIncident[]> {
    const label = incidentLabel.name
    const open = await listIssues(github, { label, state: "open" })
    const closed = await listIssues(github, { label, state: "closed", updatedSince: closedSince })
    const read = await readIncidents([...open, ...closed], writers, log)
    duplicates = read.duplicates
    return read.incidents
      .filter(({ isOpen, closedAt }) => isOpen || closedAt >= closedSince)
      .map(({ issue, incident, isClosedByPerson }) => remember(issue, incident, isClosedByPerson))
  }

  async function findOpen(subject: string): Promise<{ issue: Issue; incident: Incident } | undefined> {
    const open = await listIssues(github, { label: incidentLabel.name, state: "open" })
    const { incidents } = await readIncidents(open, writers, log)
    return incidents.find(({ incident, isOpen }) => isOpen && incident.subject === subject)
  }

  async function ensureLabels({ severity }: Incident): Promise<void> {
    const wanted = { name: severity, color: severityColors[severity], description: `Severity ${severity}` }
    for (const label of [incidentLabel, wanted]) {
      if (!labels.has(label.name)) await ensureLabel(github, label)
      labels.add(label.name)
    }
  }

  async function open(incident: Incident, text: IncidentText): Promise<StoredIncident> {
    const there = await findOpen(incident.subject)
    if (there)
      throw new Error(`${incident.subject} has an open incident already, issue ${there.issue.number}: list again`)
    await ensureLabels(incident)
    const title = fitTitle(text.title)
    const body = renderBody({ before: "", text: text.body, block: { title, incident }, after: "" })
    const draft = { title, body, labels: [incidentLabel.name, incident.severity] }
    const issue = await doOnce(
      () => createIssue(github, draft),
      async () => {
        const done = await findOpen(incident.subject)
        const isOwn = done?.incident.key === incident.key && done.incident.openedAt === incident.openedAt
        return isOwn ? done.issue : undefined
      },
    )
    if (!issue.labels.includes(incidentLabel.name)) {
      throw new Error(`issue ${issue.number} came without its label: the token needs issues: write and push access`)
    }
    return remember(issue, parseBody(issue.body ?? "")?.block.incident ?? incident)
  }

  async function update(stored: StoredIncident, incident: Incident, text: IncidentText, comment?: string) {
    const number = Number(stored.id)
    const fresh = await readIssue(github, number)
    const parsed = fresh.labels.includes(incidentLabel.name) ? parseBody(fresh.body ?? "") : undefined
    if (!parsed) throw new Error(`issue ${number} has lost its label or its machine block: it is left alone`)
    const base = seen.get(stored)?.base ?? stored.incident
    const merged = mergeIncident(base, incident, parsed.block.incident)
    const title = fitTitle(text.title)
    const patch: IssuePatch = {
      body: renderBody({ ...parsed, text: text.body, block: { title, incident: merged } }),
      ...(fresh.title === parsed.block.title && { title }),
      ...labelChange(fresh, parsed.block.incident, merged),
      ...stateChange(fresh, parsed.block.incident, merged, stored.isClosedByPerson || base.state === "closed"),
    }
    if (patch.labels) await ensureLabels(merged)
    const changed = isChange(fresh, patch) ? await patchIssue(github, number, patch) : fresh
    if (comment !== undefined) await say(github, number, comment)
    await closeDuplicates(github, number, duplicates.get(merged.subject) ?? [])
    duplicates.delete(merged.subject)
    const isClosedByPerson = changed.state === "closed" && merged.state !== "closed"
    return remember(changed, parseBody(changed.body ?? "")?.block.incident ?? merged, isClosedByPerson)
  }

  return {
    name: `issues of ${github.repository}`,
    list,
    open,
    update,
    commands: (stored) => {
      const hasNone = seen.get(stored)?.comments === 0
      return hasNone ? Promise.resolve([]) : readCommands(github, writers, stored)
    },
    comment: (stored, text) => say(github, Number(stored.id), text),
  }
}

async function readCommands(github: GitHub, writers: Writers, stored: StoredIncident): Promise<IncidentComment[]> {
  const read = Number(stored.incident.readComment ?? 0)
  const found: IncidentComment[] = []
  for (const { id, body, user, created_at } of await listComments(github, Number(stored.id))) {
    const text = body ?? ""
    if (id <= read || user?.type !== "User" || isOwnComment(text) || !looksLikeCommand(text)) continue
    if (await writers.mayWrite(user.login)) {
      found.push({ id: String(id), by: user.login, at: new Date(created_at), text, mayCommand: true })
    }
  }
  return found
}

async function say(github: GitHub, number: number, text: string): Promise<void> {
  const body = renderComment(text)
  await doOnce(
    () => createComment(github, number, body),
    async () => (await listComments(github, number)).slice(-3).find((comment) => comment.body?.trim() === body.trim()),
  )
}

/** Only ours change when the severity does: what people put there stays. */
function labelChange(fresh: Issue, was: Incident, is: Incident): { labels?: string[] } {
  if (was.severity === is.severity) return {}
  return { labels: [...fresh.labels.filter((label) => label !== was.severity && label !== is.severity), is.severity] }
}

/** What a person closed or opened meanwhile stays so, unless it was known and is meant to change. */
function stateChange(
  fresh: Issue,
  was: Incident,
  is: Incident,
  mayReopen: boolean,
): Pick<IssuePatch, "state" | "state_reason"> {
  const isOver = is.state === "closed"
  if (isOver && fresh.state === "open" && was.state !== "closed") return { state: "closed", state_reason: "completed" }
  if (!isOver && fresh.state === "closed" && mayReopen) return { state: "open", state_reason: "reopened" }
  return {}
}

function isChange(fresh: Issue, patch: IssuePatch): boolean {
  if (patch.state !== undefined || patch.labels !== undefined) return true
  return patch.body !== fresh.body || (patch.title !== undefined && patch.title !== fresh.title)
}

async function closeDuplicates(github: GitHub, original: number, issues: Issue[]): Promise<void> {
  for (const { number } of issues) {
    const fresh = await readIssue(github, number)
    const parsed = parseBody(fresh.body ?? "")
    if (!parsed || fresh.state === "closed") continue
    const { title, incident } = parsed.block
    const over: Incident = { ...incident, state: "closed", closedAt: incident.lastBadAt, duplicateOf: original }
    const body = renderBody({ ...parsed, block: { title, incident: over } })
    await patchIssue(github, number, { body, state: "closed", state_reason: "duplicate" })
    await say(github, number, `Two runs opened this at once: it goes on in #${original}.`)
  }
}
