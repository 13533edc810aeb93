import { z } from "zod"
import type { GitHub } from "./client.ts"

const user = z.object({ login: z.string() }).nullish()

const runSchema = z.object({
  id: z.int(),
  name: z.string().nullish(),
  display_title: z.string().nullish(),
  /** `.github/workflows/health.yml`, perhaps with `@ref`. */
  path: z.string(),
  workflow_id: z.int(),
  run_number: z.int(),
  run_attempt: z.int().default(1),
  event: z.string(),
  status: z.string().nullish(),
  conclusion: z.string().nullish(),
  head_branch: z.string().nullish(),
  head_sha: z.string(),
  created_at: z.iso.datetime(),
  run_started_at: z.iso.datetime().nullish(),
  updated_at: z.iso.datetime(),
  html_url: z.string(),
  actor: user,
})

const stepSchema = z.object({ name: z.string(), number: z.int(), status: z.string(), conclusion: z.string().nullish() })

const jobSchema = z.object({
  id: z.int(),
  run_attempt: z.int().default(1),
  name: z.string(),
  status: z.string(),
  conclusion: z.string().nullish(),
  started_at: z.iso.datetime().nullish(),
  completed_at: z.iso.datetime().nullish(),
  html_url: z.string().nullish(),
  check_run_url: z.string(),
  steps: z.array(stepSchema).default([]),
})

const annotationSchema = z.object({
  path: z.string().nullish(),
  start_line: z.int().nullish(),
  annotation_level: z.string().nullish(),
  title: z.string().nullish(),
  message: z.string().nullish(),
})

export type WorkflowRun = z.output<typeof runSchema>
export type WorkflowJob = z.output<typeof jobSchema>
export type Annotation = z.output<typeof annotationSchema>

const runs = "/repos/{owner}/{repo}/actions/runs/{id}"

export function readRun(github: GitHub, id: number): Promise<WorkflowRun> {
  return github.ask(`read run ${id}`, runSchema, `GET ${runs}`, { id })
}

/** The jobs of one attempt of a run; of all attempts when none is named. Empty for a run that never started. */
export function listJobs(github: GitHub, run: number, attempt?: number): Promise<WorkflowJob[]> {
  const what = `list the jobs of run ${run}`
  if (attempt === undefined) return github.list(what, jobSchema, `GET ${runs}/jobs`, { id: run, filter: "all" })
  return github.list(what, jobSchema, `GET ${runs}/attempts/{attempt}/jobs`, { id: run, attempt })
}

/** What a job said in `::error::`, `::warning::` and `::notice::`, and what Actions said about it. */
export function listAnnotations(
  github: GitHub,
  job: Pick<WorkflowJob, "id" | "name" | "check_run_url">,
): Promise<Annotation[]> {
  const id = Number(/\/check-runs\/(\d+)$/.exec(job.check_run_url)?.[1] ?? job.id)
  const route = "GET /repos/{owner}/{repo}/check-runs/{id}/annotations"
  return github.list(`read the annotations of ${job.name}`, annotationSchema, route, { id })
}

/** The runs of all workflows that failed and were created since, the newest first. */
export function listFailedRuns(github: GitHub, since: Date): Promise<WorkflowRun[]> {
  const query = { status: "failure", created: `>=${since.toISOString().slice(0, 19)}Z`, exclude_pull_requests: true }
  return github.list("list the failed runs", runSchema, "GET /repos/{owner}/{repo}/actions/runs", query)
}

export type SuccessQuery = { branch?: string; before?: WorkflowRun }

/** The latest run of a workflow (`health.yml`) that succeeded, by the time at which it was created. */
export async function lastSuccess(
  github: GitHub,
  workflow: string,
  { branch, before }: SuccessQuery = {},
): Promise<WorkflowRun | undefined> {
  const answer = z.object({ workflow_runs: z.array(runSchema) })
  const created = before && `<${before.created_at}`
  const query = { workflow, status: "success", per_page: 1, exclude_pull_requests: true, branch, created }
  const route = "GET /repos/{owner}/{repo}/actions/workflows/{workflow}/runs"
  const found = await github.ask(`find the last success of ${workflow}`, answer, route, query)
  return found.workflow_runs[0]
}

/** What a person types to start the failed jobs of a run again. */
export function rerunCommand(github: Pick<GitHub, "repository">, run: Pick<WorkflowRun, "id" | "conclusion">): string {
  // Only of a run that has jobs can some be started again.
  const failedOnly = run.conclusion === "startup_failure" ? "" : " --failed"
  return `gh run rerun ${run.id}${failedOnly} --repo ${github.repository}`
}
