import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import path from "node:path"
import { eventContexts, type WorkflowEvent } from "./workflow/event.ts"
import { holds, type Scope, text, texts } from "./workflow/expressions.ts"
import { type LeftBehind, makeMachine, pushedRepository } from "./workflow/machine.ts"
import { type ParsedJob, type ParsedWorkflow, parseWorkflowFile } from "./workflow/parse.ts"
import { type JobState, type Outcome, runSteps, type StepResult } from "./workflow/steps.ts"

export type { StepResult } from "./workflow/steps.ts"

export type WorkflowOptions = WorkflowEvent & {
  vars?: Record<string, string>
  secrets?: Record<string, string>
  /** Where GitHub's API is, for jobs that talk to it. */
  apiUrl?: string
  /** Asked after every output of a step; `true` cancels the workflow run, as the button does. */
  cancelWhen?(seen: { job: string; step: string; output: string }): boolean
  /** Cancels the workflow run as well. */
  signal?: AbortSignal
  /** The checkout that was pushed; the current folder when absent. */
  root?: string
  /** Files that were changed in it before, by path. */
  files?: Record<string, string>
  /** GitHub's "Enable debug logging". */
  debug?: boolean
}

export type JobRun = { result: Outcome; steps: StepResult[]; leftBehind: LeftBehind }
export type WorkflowRun = { runName: string; jobs: Record<string, JobRun> }

/**
 * Runs a workflow file as GitHub would: every job on a machine of its own with a clean clone, each step with the
 * environment that the file gives it and nothing else. Rejects when the file is not valid or needs what is not known here.
 */
export async function runWorkflow(file: string, options: WorkflowOptions): Promise<WorkflowRun> {
  const workflow = await parseWorkflowFile(file)
  const folder = await mkdtemp(path.join(tmpdir(), "workflow-"))
  await chmod(folder, 0o711)
  try {
    return await run(workflow, folder, path.basename(file), options)
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

type Shared = {
  folder: string
  options: WorkflowOptions
  workflow: ParsedWorkflow
  contexts: Record<string, unknown>
  github: Record<string, unknown>
  repositoryUrl: string
  cancel: AbortController
}

async function run(
  workflow: ParsedWorkflow,
  folder: string,
  fileName: string,
  options: WorkflowOptions,
): Promise<WorkflowRun> {
  const root = options.root ?? process.cwd()
  const repository = await pushedRepository(root, path.join(folder, "pushed"), options.files)
  const { github, inputs } = eventContexts(workflow, fileName, repository.sha, options)
  const secrets = { GITHUB_TOKEN: github.token, ...options.secrets }
  const contexts = { github, inputs, vars: options.vars ?? {}, secrets }
  const cancel = new AbortController()
  const onAbort = () => cancel.abort()
  options.signal?.addEventListener("abort", onAbort, { once: true })
  const shared: Shared = { folder, options, workflow, contexts, github, repositoryUrl: repository.url, cancel }
  const running = new Map<string, Promise<JobRun>>()
  for (const job of inOrder(workflow.jobs)) running.set(job.id, runJob(job, running, shared))
  const ended = await Promise.allSettled(running.values())
  options.signal?.removeEventListener("abort", onAbort)
  const broken = ended.find((one) => one.status === "rejected")
  if (broken) throw broken.reason
  const jobs = await Promise.all(Array.from(running, async ([id, one]) => [id, await one] as const))
  return { runName: text(workflow.keys.get("run-name"), { contexts }), jobs: Object.fromEntries(jobs) }
}

/** Jobs so that each comes after those that it needs. */
function inOrder(jobs: ParsedJob[]): ParsedJob[] {
  const placed: ParsedJob[] = []
  const visit = (job: ParsedJob) => {
    if (placed.includes(job)) return
    for (const need of job.needs) for (const other of jobs) if (other.id === need) visit(other)
    placed.push(job)
  }
  for (const job of jobs) visit(job)
  return placed
}

async function runJob(job: ParsedJob, running: Map<string, Promise<JobRun>>, shared: Shared): Promise<JobRun> {
  const results = new Map<string, Outcome | undefined>()
  for (const id of ancestors(job, shared.workflow.jobs)) results.set(id, (await running.get(id))?.result)
  const needs = Object.fromEntries(job.needs.map((id) => [id, { result: results.get(id) }]))
  const outcomes = [...results.values()]
  const cancelled = shared.cancel.signal.aborted
  const status = {
    success: !cancelled && outcomes.every((outcome) => outcome === "success"),
    failure: !cancelled && outcomes.includes("failure"),
    cancelled,
  }
  const { github, inputs, vars } = shared.contexts
  if (holds(job.if, { contexts: { github, inputs, vars, needs }, status }))
    return await runOnMachine(job, needs, shared)
  return { result: cancelled ? "cancelled" : "skipped", steps: [], leftBehind: { processes: [], files: [] } }
}

async function runOnMachine(job: ParsedJob, needs: Record<string, unknown>, shared: Shared): Promise<JobRun> {
  const machine = await makeMachine(path.join(shared.folder, job.id), shared.options.root ?? process.cwd())
  const eventFile = path.join(machine.files, "event.json")
  await mkdir(machine.files, { recursive: true })
  await writeFile(eventFile, JSON.stringify(shared.github.event))
  const github = { ...shared.github, job: job.id, workspace: machine.workspace, event_path: eventFile }
  const runner = {
    os: "Linux",
    arch: "X64",
    name: "local",
    temp: machine.env.RUNNER_TEMP,
    environment: "github-hosted",
  }
  const contexts = { ...shared.contexts, github, runner, needs, job: { status: "success" } }
  const scope: Scope = { contexts }
  const [workflowEnv, jobEnv] = [shared.workflow.keys.get("env"), job.keys.get("env")].map((env) => texts(env, scope))
  const state: JobState = {
    machine,
    contexts,
    runnerEnv: runnerEnv(github),
    env: { ...(shared.options.debug && { RUNNER_DEBUG: "1" }), ...workflowEnv, ...jobEnv },
    path: [],
    status: "success",
    // Jobs that start after a cancellation, because they say always(), run to their end.
    cancel: shared.cancel.signal.aborted ? new AbortController().signal : shared.cancel.signal,
    repositoryUrl: shared.repositoryUrl,
    onOutput(step, output) {
      if (shared.options.cancelWhen?.({ job: job.id, step, output })) shared.cancel.abort()
    },
    begun: 0,
  }
  const steps = await runSteps(job.steps, state).catch(async (error: unknown) => {
    await machine.clear()
    throw error
  })
  return { result: state.status, steps, leftBehind: await machine.clear() }
}

function ancestors(job: ParsedJob, jobs: ParsedJob[]): Set<string> {
  const found = new Set<string>()
  const visit = (ids: string[]) => {
    for (const id of ids) {
      if (found.has(id)) continue
      found.add(id)
      visit(jobs.find((one) => one.id === id)?.needs ?? [])
    }
  }
  visit(job.needs)
  return found
}

/** The variables of every step that repeat the github context. */
function runnerEnv(github: Record<string, unknown>): Record<string, string> {
  const names = Object.keys(github).filter((name) => !["event", "token"].includes(name))
  return Object.fromEntries(names.map((name) => [`GITHUB_${name.toUpperCase()}`, String(github[name])]))
}
