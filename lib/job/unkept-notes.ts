import { z } from "zod"
import { errorText } from "../core/error-text.ts"
import type { Log } from "../core/log.ts"
import type { ActionsOutput } from "../github/actions-output.ts"
import type { GitHub } from "../github/client.ts"
import { GitHubFailed } from "../github/errors.ts"
import { listAnnotations, listFailedRuns, listJobs, type WorkflowRun } from "../github/runs.ts"
import { badConclusions } from "../incident/failed-run.ts"
import { type UnkeptNote, type UnkeptNotes, unkeptNoteSchema } from "../incident/unkept-note.ts"
import type { Ledger } from "../ledger/ledger.ts"
import { runStream } from "./past-runs.ts"

/*
 * What a run told without being able to write it down is left in two places, since either may be out of reach: in its line of the ledger,
 * and as a notice on the page of its workflow run, which the runner hands to GitHub another way than the API.
 */

const dayMs = 24 * 3600 * 1000
const daysBack = 7
/** How long after its telling the last of what a run leaves is there to be read. */
const settledMs = 10 * 60_000
const title = "told without being written down"
const intro = "the next run that can write incidents reads this: "
const notesPerNotice = 10
const maxNotices = 10
/** More failed runs than this since the last one that caught up are not read in one run; the newest are. */
const maxRuns = 30

export type NoteSources = {
  ledger: Pick<Ledger, "read"> | undefined
  /** Who is asked for the pages of workflow runs; without it only the ledger is read. */
  github?: GitHub | undefined
  /** The workflow run of this run, whose own page cannot be read yet. */
  workflowRun?: string | undefined
  now: Date
  log: Log
}

/** What runs of the last seven days left and no run took in for certain, oldest first. Never rejects. */
export async function readUnkeptNotes(sources: NoteSources): Promise<UnkeptNotes> {
  const { ledger, log, now } = sources
  if (!ledger) return { notes: [], from: "nowhere", isDoubtful: true }
  const lines = await readLines(ledger, now).catch((error: unknown) => errorText(error))
  if (typeof lines === "string") {
    log.warn(`cannot see what earlier runs could not write down: ${lines}`)
    return { notes: [], from: "nowhere", isDoubtful: true }
  }
  const pages = await readPages(sources, lines.pagesReadAt)
  const notes = [...pages.notes, ...lines.notes.filter(({ at }) => Date.parse(at) > lines.readAt - settledMs)]
  // In both places it is the same note, and the ledger's says more.
  const single = new Map(notes.map((note) => [`${note.key} ${note.kind} ${note.at}`, note]))
  const sorted = [...single.values()].sort((a, b) => Date.parse(a.at) - Date.parse(b.at))
  return { notes: sorted, from: pages.from, isDoubtful: pages.isDoubtful }
}

/** Puts notes on the page of the workflow run. All that is in them may be read by everyone. */
export function postNotes(notes: readonly UnkeptNote[], actions: Pick<ActionsOutput, "annotate">): void {
  for (let from = 0; from < notes.length && from < notesPerNotice * maxNotices; from += notesPerNotice) {
    actions.annotate("notice", title, intro + JSON.stringify(notes.slice(from, from + notesPerNotice)))
  }
}

const line = z.object({
  schema: z.literal(1),
  dryRun: z.boolean(),
  startedAt: z.iso.datetime(),
  findings: z.array(z.object({ subject: z.string(), detail: z.string().optional() })).default([]),
  unkept: z.array(z.unknown()).default([]),
  caughtUp: z.enum(["all", "ledger"]).optional(),
})

/** The notes in the ledger, and when the last runs began that took in all there was by then: in the ledger, and on pages too. */
async function readLines(ledger: Pick<Ledger, "read">, now: Date) {
  const notes: UnkeptNote[] = []
  const earliest = now.getTime() - daysBack * dayMs
  let readAt = earliest
  let pagesReadAt = earliest
  for (let day = daysBack; day >= 0; day--) {
    for (const row of await ledger.read(runStream(new Date(now.getTime() - day * dayMs)))) {
      if (typeof row !== "object" || row === null || !("unkept" in row || "caughtUp" in row)) continue
      const run = line.safeParse(row)
      if (!run.success || run.data.dryRun) continue
      const { startedAt, findings, caughtUp } = run.data
      if (caughtUp) readAt = Math.max(readAt, Date.parse(startedAt))
      if (caughtUp === "all") pagesReadAt = Math.max(pagesReadAt, Date.parse(startedAt))
      for (const note of notesIn(run.data.unkept)) {
        const detail = findings.find(({ subject }) => subject === note.subject)?.detail
        notes.push({ ...note, ...(detail !== undefined && { detail }) })
      }
    }
  }
  return { notes, readAt, pagesReadAt }
}

/** One that another version wrote is passed over. */
function notesIn(rows: readonly unknown[]): UnkeptNote[] {
  return rows.flatMap((row) => unkeptNoteSchema.safeParse(row).data ?? [])
}

/** The notices of failed workflow runs that ended since. */
async function readPages({ github, workflowRun, now, log }: NoteSources, since: number): Promise<UnkeptNotes> {
  if (!github) return { notes: [], from: "ledger", isDoubtful: false }
  try {
    const failed = await listFailedRuns(github, new Date(now.getTime() - daysBack * dayMs))
    const isUnread = ({ id, updated_at }: WorkflowRun) =>
      Date.parse(updated_at) > since - settledMs && !workflowRun?.startsWith(`${id}-`)
    const unread = failed.filter(isUnread).sort((a, b) => Date.parse(b.updated_at) - Date.parse(a.updated_at))
    const notes: UnkeptNote[] = []
    for (const run of unread.slice(0, maxRuns)) notes.push(...(await readPage(github, run)))
    return { notes, from: "all", isDoubtful: false }
  } catch (error) {
    // A token that may not read runs is how somebody set this up, and no reason for doubt in each message.
    const isRefused = error instanceof GitHubFailed && (error.status === 403 || error.status === 404)
    if (isRefused) log.debug(`the pages of failed runs are not read: ${errorText(error)}`)
    else log.warn(`cannot read the pages of failed runs: ${errorText(error)}`)
    return { notes: [], from: "ledger", isDoubtful: !isRefused }
  }
}

async function readPage(github: GitHub, run: WorkflowRun): Promise<UnkeptNote[]> {
  const notes: UnkeptNote[] = []
  for (const job of await listJobs(github, run.id)) {
    if (!badConclusions.some((bad) => bad === job.conclusion)) continue
    for (const { title: name, message } of await listAnnotations(github, job)) {
      if (name === title && message?.startsWith(intro)) notes.push(...notesIn(parseList(message.slice(intro.length))))
    }
  }
  return notes
}

function parseList(text: string): unknown[] {
  try {
    const list: unknown = JSON.parse(text)
    return Array.isArray(list) ? list : []
  } catch {
    return [] // cut off, or of another version: the notes before and after it count all the same
  }
}
