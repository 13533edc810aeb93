import { formatDuration } from "../core/duration.ts"
import type { Finding } from "../core/finding.ts"
import type { Annotation, WorkflowJob, WorkflowRun } from "../github/runs.ts"
import type { WorkflowJob as JobOfFile, WorkflowFile } from "../github/workflow-file.ts"

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
const nearLimitMs = 60_000

/** What to tell of a run that ended badly: a finding for each job of ours in it that did not tell of itself. Pure. */
export function judgeFailedRun(failure: FailedRun): Finding[] {
  const { run, file, failed, told } = failure
  if (failed.length === 0) {
    const name = file.jobs.flatMap(jobsOfOurs)[0] ?? file.name
    return told.has(name)
      ? []
      : [finding(name, `the run ${ending(run.conclusion)} before any of its jobs began`, failure)]
  }
  const seen = new Set<string>()
  return failed.flatMap((one) => {
    const { name, step } = placeOf(one.job, file)
    if (told.has(name) || seen.has(name)) return []
    seen.add(name)
    return [finding(name, describe(one, step, file), failure)]
  })
}

function finding(name: string, what: string, { run, lastSuccess, rerun }: FailedRun): Finding {
  const last = lastSuccess
    ? `its workflow last succeeded ${lastSuccess.updated_at.slice(0, 16).replace("T", " ")} UTC`
    : "no success of its workflow is known"
  return {
    subject: `job/${name}`,
    outcome: "fail",
    detail: `${what}; ${last}; again: ${rerun}; ${run.html_url}`,
    class: run.conclusion ?? "unknown",
    runbook: name,
    isConfirmed: true,
  }
}

/** Which of our jobs a job of the workflow was at, and in which step. */
function placeOf(job: WorkflowJob, file: WorkflowFile): { name: string; step: string | undefined } {
  const step = job.steps.find(({ conclusion }) => conclusion !== undefined && isBad(conclusion))?.name
  const written = file.jobs.find(({ id }) => id === job.name) ?? file.jobs.find(({ steps }) => hasStep(steps, step))
  const ours = written?.steps.find(({ name }) => name === step)
  const name = (ours && jobOf(ours.run)) ?? (written && jobsOfOurs(written)[0]) ?? file.name
  return { name, step }
}

function hasStep(steps: JobOfFile["steps"], name: string | undefined): boolean {
  return name !== undefined && steps.some((step) => step.name === name)
}

function jobsOfOurs({ steps }: JobOfFile): string[] {
  return steps.flatMap(({ run }) => jobOf(run) ?? [])
}

/** The job that a step runs. */
export function jobOf(command: string | undefined): string | undefined {
  return /\blib\/job\/main\.ts ([a-z][a-z0-9-]*)/.exec(command ?? "")?.[1]
}

function describe({ job, annotations, lastLines }: FailedJob, step: string | undefined, file: WorkflowFile): string {
  const where = step === undefined ? `job ${job.name}` : `step "${step}"`
  const words = annotations.flatMap(({ annotation_level: level, message }) =>
    level === "failure" && message ? [message] : [],
  )
  const said = words.filter((word) => !/^Process completed with exit code/.test(word)).slice(0, 2)
  const lines = said.length > 0 ? said : lastLines.slice(-maxLines)
  return `${where} ${endingOf(job, file)}${lines.length > 0 ? `: ${lines.join(" / ").replace(/\s+/g, " ").trim()}` : ""}`
}

/** A job that comes to its time limit is cancelled, and GitHub says no more than that. */
function endingOf(job: WorkflowJob, file: WorkflowFile): string {
  const tookMs = Date.parse(job.completed_at ?? "") - Date.parse(job.started_at ?? "")
  const { timeoutMinutes } = file.jobs.find(({ id }) => id === job.name) ?? {}
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
