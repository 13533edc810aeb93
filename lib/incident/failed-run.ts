import { formatDuration } from "../core/duration.ts"
import type { Finding } from "../core/finding.ts"
import type { Annotation, WorkflowJob, WorkflowRun } from "../github/runs.ts"
import type { WorkflowJob as JobOfFile, WorkflowFile } from "../github/workflow-file.ts"
import { shortError } from "../notify/message-lines.ts"

/** How a run ends that may not have been able to speak for itself. */
export const badConclusions = [
  "failure",
  "cancelled",
  "timed_out",
  "startup_failure",
  "action_required",
  "stale",
] as const

/** One job of a run that ended badly, with what was said in it. */
export type FailedJob = { job: WorkflowJob; annotations: readonly Annotation[]; lastLines: readonly string[] }

export type FailedRun = {
  run: WorkflowRun
  /** The workflow as it is written now. */
  file: WorkflowFile
  failed: readonly FailedJob[]
  /** Jobs of ours that told of themselves. */
  told: ReadonlySet<string>
  lastSuccess?: WorkflowRun | undefined
  /** What a person types to start it again. */
  rerun: string
}

const maxLines = 5
const maxLineChars = 300
const nearLimitMs = 60_000

/**
 * What to tell of a run that ended badly: a finding for each job of ours in it that did not tell of itself; a further one for each
 * further failure of the same job, as of a matrix. Nothing of a run in which nothing is bad. Pure.
 */
export function judgeFailedRun(failure: FailedRun): Finding[] {
  const { run, file, failed, told } = failure
  if (failed.length === 0 && !isBad(run.conclusion ?? null)) return []
  const begun = failed.flatMap(({ job, ...said }) => {
    const written = writtenJob(job, file)
    return placesOf(job, written, file).map((place) => ({ ...place, what: describe(job, said, place.step, written) }))
  })
  const what = `the run ${ending(run.conclusion)} before any of its jobs began`
  const places = failed.length > 0 ? begun : [{ ...firstOf(file.jobs.flatMap(jobsOfOurs), file), what }]
  const untold = places.filter(({ name }) => !told.has(name))
  const isFirst = (name: string, at: number) => untold.findIndex((place) => place.name === name) === at
  return untold.map((place, at) => finding(place, isFirst(place.name, at), failure))
}

type Place = { name: string; isOurs: boolean }

function finding(
  { name, isOurs, what }: Place & { what: string },
  isFirst: boolean,
  { run, lastSuccess, rerun }: FailedRun,
): Finding {
  const last = lastSuccess
    ? `its workflow last succeeded ${lastSuccess.updated_at.slice(0, 16).replace("T", " ")} UTC`
    : "no success of its workflow is known"
  return {
    subject: `job/${name}`,
    outcome: "fail",
    detail: isFirst ? `${what}; ${last}; again: ${rerun}; ${run.html_url}` : what,
    class: run.conclusion ?? "unknown",
    runbook: isOurs ? name : "alert",
    isConfirmed: true,
  }
}

/** The job in the file: by its id, which in a matrix has values behind it and in a called workflow a name before it, or by its steps. */
function writtenJob({ name, steps }: WorkflowJob, { jobs }: WorkflowFile): JobOfFile | undefined {
  const id = name
    .split(" / ")
    .at(-1)
    ?.replace(/ \(.*\)$/, "")
  const bad = steps.find(isStopped)?.name
  return jobs.find((job) => job.id === id) ?? jobs.find((job) => job.steps.some((step) => step.name === bad))
}

/** Our jobs that a job of the workflow was at when it ended, each with its step; for a step of another kind the first of ours. */
function placesOf(
  { steps }: WorkflowJob,
  written: JobOfFile | undefined,
  file: WorkflowFile,
): (Place & { step: string | undefined })[] {
  const bad = steps.filter(isStopped)
  const ours = bad.flatMap(({ name: step }) => {
    const name = jobOf(written?.steps.find((one) => one.name === step)?.run)
    return name === undefined ? [] : [{ name, isOurs: true, step }]
  })
  return ours.length > 0 ? ours : [{ ...firstOf(written ? jobsOfOurs(written) : [], file), step: bad[0]?.name }]
}

/** It ended badly, or was under way when the machine was lost. */
function isStopped({ status, conclusion }: WorkflowJob["steps"][number]): boolean {
  return conclusion === undefined || conclusion === null ? status === "in_progress" : isBad(conclusion)
}

function firstOf([name]: readonly string[], file: WorkflowFile): Place {
  return name === undefined ? { name: file.name, isOurs: false } : { name, isOurs: true }
}

function jobsOfOurs({ steps }: JobOfFile): string[] {
  return steps.flatMap(({ run }) => jobOf(run) ?? [])
}

/** The job that a step runs. */
export function jobOf(command: string | undefined): string | undefined {
  return /\blib\/job\/main\.ts ([a-z][a-z0-9-]*)/.exec(command ?? "")?.[1]
}

function describe(
  job: WorkflowJob,
  { annotations, lastLines }: Omit<FailedJob, "job">,
  step: string | undefined,
  written: JobOfFile | undefined,
): string {
  const where = step === undefined ? `job ${job.name}` : `step "${step}"`
  const words = annotations.flatMap(({ annotation_level: level, message }) =>
    level === "failure" && message ? [message] : [],
  )
  const said = words.filter((word) => !/^Process completed with exit code/.test(word)).slice(0, 2)
  const lines = (said.length > 0 ? said : lastLines.slice(-maxLines)).map((line) => shortError(line, maxLineChars))
  return `${where} ${endingOf(job, written)}${lines.length > 0 ? `: ${lines.join(" / ")}` : ""}`
}

/** A job that comes to its time limit is cancelled, and GitHub says no more than that. */
function endingOf(job: WorkflowJob, { timeoutMinutes }: Partial<JobOfFile> = {}): string {
  const tookMs = Date.parse(job.completed_at ?? "") - Date.parse(job.started_at ?? "")
  const isLate = timeoutMinutes !== undefined && tookMs >= timeoutMinutes * 60_000 - nearLimitMs
  if (job.conclusion === "cancelled" && isLate) return `came to its time limit of ${timeoutMinutes} minutes`
  return `${ending(job.conclusion)}${tookMs > 0 ? ` after ${formatDuration(tookMs)}` : ""}`
}

function ending(conclusion: string | null | undefined): string {
  const words: Record<string, string> = {
    failure: "failed",
    cancelled: "was cancelled",
    timed_out: "came to its time limit",
    startup_failure: "could not start: the workflow file is wrong, or Actions had trouble",
    action_required: "waits for somebody's approval",
    stale: "was given up by GitHub after days without an answer",
  }
  return words[conclusion ?? ""] ?? `ended with ${conclusion ?? "no conclusion"}`
}

function isBad(conclusion: string | null): boolean {
  return badConclusions.some((bad) => bad === conclusion)
}

/** Whether a job of a run ended so that somebody must hear of it. */
export function endedBadly({ conclusion }: Pick<WorkflowJob, "conclusion">): boolean {
  return isBad(conclusion ?? null)
}
