import { errorText } from "../core/error-text.ts"
import type { Finding } from "../core/finding.ts"
import type { Log } from "../core/log.ts"
import type { About, IncidentMemory } from "../incident/incident.ts"
import type { Policy } from "../incident/policy.ts"
import type { Recent } from "../incident/reconcile.ts"
import { tellIncidents } from "../incident/tell.ts"
import type { NotesFrom, UnkeptNote, UnkeptNotes } from "../incident/unkept-note.ts"
import { sendSlack } from "../notify/slack.ts"
import type { History } from "./past-runs.ts"
import type { Verdict } from "./perform.ts"
import type { Run } from "./run.ts"
import type { Teller } from "./tell.ts"

export type IncidentContext = {
  memory: IncidentMemory
  /** The webhook; without one the memory is all there is. */
  slackUrl: string | undefined
  policy: Policy
  app: { name: string; environment: string }
  /** What it means that the job failed, in its own words. */
  impact: string
  kind: Verdict["kind"]
  /** It did all of its work, not a part that somebody asked for. */
  isWhole: boolean
  /** What the job saw is about others: it may pass by itself, and a second look tells. */
  isObserver: boolean
  drill: boolean
  /** What the job says of subjects beside its findings. */
  aboutSubjects: Readonly<Record<string, About>>
  isPublic: boolean
  /** What earlier runs saw of these subjects. */
  readRecent(subjects: readonly string[]): Promise<Recent>
  /** What earlier runs told that could not write it down; never rejects. */
  readNotes(hasMemory: boolean): Promise<UnkeptNotes>
  /** Hears what this run leaves for the runs after it. */
  legacy: Legacy
  /** What is known of earlier runs; `undefined` when there is no history to read. */
  readPast(): Promise<History | undefined>
  /** An address or a path for the name of a runbook. */
  runbookAddress(name: string): string
  log: Log
}

/** What a run leaves for those after it: kept while it tells, since a run that is cut off leaves it as well. */
export type Legacy = { unkept: readonly UnkeptNote[]; caughtUp: NotesFrom }

const sendTimeoutMs = 10_000

/** Makes incidents of what a run saw, and tells people of what changed: once, however often it is seen. Of a dry run nobody hears. */
export function incidentTeller(context: IncidentContext): Teller {
  const { slackUrl, log, legacy } = context
  return {
    name: "incidents",
    timeoutMs: 180_000,
    async tell({ run }, signal) {
      if (run.dryRun) return "skipped (dry run)"
      const findings = findingsToTell(run, context)
      const isBad = findings.some(({ outcome }) => outcome === "fail" || outcome === "warn")
      const recent = findings.length === 0 ? new Map() : await recentOf(findings, context)
      const past = isBad && !context.isObserver ? await context.readPast() : undefined
      const tidings = await tellIncidents({
        ...context,
        ...{ findings, recent, signal, now: new Date(run.endedAt) },
        ...(slackUrl && { send: (message) => sendSlack(slackUrl, message, { timeoutMs: sendTimeoutMs, signal }) }),
        ...(run.url && { runUrl: run.url }),
        leave: (notes) => {
          legacy.unkept = notes
        },
        about: (finding) => aboutOf(finding, run, context, past),
      })
      legacy.caughtUp = tidings.caughtUp
      for (const problem of tidings.problems) log.error(problem)
      return tidings.told
    },
  }
}

/**
 * The job itself is a subject, `job/<name>`, that is well when it did its work. What it found of its own work is certain; what an
 * observer saw of others only when it looked again and says so.
 */
function findingsToTell(run: Run, { kind, isWhole, isObserver }: IncidentContext): Finding[] {
  if (kind === "slot done") return []
  const own = `job/${run.job}`
  const findings = run.findings.map((finding) =>
    isObserver && finding.subject !== own ? finding : { ...finding, isConfirmed: true },
  )
  const isKnown = findings.some(({ subject }) => subject === own)
  if (isKnown || kind !== "ran" || !isWhole) return findings
  return [...findings, { subject: own, outcome: "ok", detail: "it did its work", isConfirmed: true }]
}

/** Without the ledger every look is the first: what is not certain waits for the next one. */
async function recentOf(findings: readonly Finding[], { readRecent, log }: IncidentContext): Promise<Recent> {
  try {
    return await readRecent(findings.map(({ subject }) => subject))
  } catch (error) {
    log.warn(`cannot see what earlier runs saw: ${errorText(error)}`)
    return new Map()
  }
}

function aboutOf(finding: Finding, run: Run, context: IncidentContext, past: History | undefined): About {
  const isOwn = !context.isObserver || finding.subject === `job/${run.job}`
  return {
    ...(run.commit && { commit: run.commit }),
    ...(isOwn && {
      impact: context.impact,
      firstAction: firstAction(run, context),
      slot: run.slot,
      ...(past && { lastGood: past.lastSuccess?.toISOString() ?? ("never" as const) }),
    }),
    ...context.aboutSubjects[finding.subject],
  }
}

function firstAction(run: Run, { kind }: IncidentContext): string {
  if (kind === "misconfigured")
    return `correct what the error names, then start ${run.job} as a dry run: it lists what is still wrong`
  return `${run.url ? "open the run" : "read the log"}, follow the runbook, then start ${run.job} again: it may run any number of times`
}
