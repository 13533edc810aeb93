import { readFile, writeFile } from "node:fs/promises"
import path from "node:path"
import { holds, type Scope, text, texts } from "./expressions.ts"
import { cloneInto, commandFiles, installNode, type Machine } from "./machine.ts"
import { type ParsedStep, parseActionFile } from "./parse.ts"
import { runProcess } from "./process.ts"

export type Outcome = "success" | "failure" | "cancelled" | "skipped"

export type StepResult = {
  name: string
  outcome: Outcome
  exitCode?: number | null
  stdout: string
  stderr: string
  /** The whole environment of the step, and the part of it that the workflow gave. */
  env: Record<string, string>
  given: Record<string, string>
  summary: string
  /** How long the step took to end after the run was cancelled. */
  cancelMs?: number
  /** The steps of a composite action. */
  steps?: StepResult[]
}

/** What the steps of one job share. The contexts `env` and `steps` and the status are added for each step. */
export type JobState = {
  machine: Machine
  contexts: Record<string, unknown>
  /** Variables of the runner: `GITHUB_…`. */
  runnerEnv: Record<string, string>
  /** Variables of the workflow and the job, and what steps wrote to GITHUB_ENV. */
  env: Record<string, string>
  path: string[]
  status: "success" | "failure" | "cancelled"
  cancel: AbortSignal
  repositoryUrl: string
  onOutput(step: string, output: string): void
  /** Steps begun so far, those inside of actions included. */
  begun: number
}

/** Runs steps in order, as GitHub does: each `if` is asked, the first failure makes the job's status `failure`. */
export async function runSteps(steps: ParsedStep[], job: JobState): Promise<StepResult[]> {
  const results: StepResult[] = []
  const known: Record<string, { outcome: Outcome; conclusion: Outcome; outputs: Record<string, string> }> = {}
  for (const step of steps) {
    if (job.cancel.aborted) job.status = "cancelled"
    const scope: Scope = { contexts: { ...job.contexts, env: job.env, steps: known }, status: statusOf(job) }
    const { result, outputs } = await runStep(step, job, scope)
    results.push(result)
    known[step.id] = { outcome: result.outcome, conclusion: result.outcome, outputs }
    if (job.cancel.aborted) job.status = "cancelled"
    else if (result.outcome === "failure") job.status = "failure"
  }
  return results
}

function statusOf({ status }: JobState): { success: boolean; failure: boolean; cancelled: boolean } {
  return { success: status === "success", failure: status === "failure", cancelled: status === "cancelled" }
}

type Done = { result: StepResult; outputs: Record<string, string> }

async function runStep(step: ParsedStep, job: JobState, scope: Scope): Promise<Done> {
  const name = text(step.keys.get("name") ?? step.keys.get("uses") ?? step.keys.get("run"), scope)
  if (!holds(step.if, scope)) return { result: noResult(name, "skipped"), outputs: {} }
  const given = texts(step.keys.get("env"), scope)
  const inner: Scope = { ...scope, contexts: { ...scope.contexts, env: { ...job.env, ...given } } }
  if (step.keys.has("uses")) return { result: await runAction(name, step, job, inner, given), outputs: {} }
  return await runScript(name, step, job, inner, given)
}

function noResult(name: string, outcome: Outcome): StepResult {
  return { name, outcome, stdout: "", stderr: "", env: {}, given: {}, summary: "" }
}

/** The actions that are known, done as what they do. Any other is an error of the test, not of the step. */
async function runAction(name: string, step: ParsedStep, job: JobState, scope: Scope, given: Record<string, string>) {
  const uses = text(step.keys.get("uses"), scope)
  const inputs = texts(step.keys.get("with"), scope)
  if (uses.startsWith("./")) return await runComposite(name, uses, inputs, job, given)
  const action = uses.replace(/@.*/, "")
  if (action === "actions/checkout") {
    await cloneInto(job.machine, job.repositoryUrl)
  } else if (action === "actions/setup-node") {
    const { PATH, ...env } = await installNode(job.machine, inputs["node-version"] ?? "", inputs.cache === "npm")
    job.path.unshift(...(PATH ? [PATH] : []))
    Object.assign(job.env, env)
  } else {
    throw new Error(`${uses} is not known to this runner: teach it what the action does`)
  }
  return noResult(name, "success")
}

async function runComposite(
  name: string,
  uses: string,
  inputs: Record<string, string>,
  job: JobState,
  given: Record<string, string>,
): Promise<StepResult> {
  const action = await parseActionFile(path.join(job.machine.workspace, uses, "action.yml"))
  const unknown = Object.keys(inputs).find((input) => !action.inputs.has(input))
  if (unknown) throw new Error(`${uses} has no input ${unknown}`)
  const { github, runner } = job.contexts
  const defaults = Array.from(action.inputs, ([id, value]) => [id, text(value, { contexts: { github } })])
  const contexts = { github, runner, inputs: { ...Object.fromEntries(defaults), ...inputs } }
  const inner: JobState = { ...job, contexts, env: { ...job.env, ...given }, status: "success" }
  const steps = await runSteps(action.steps, inner)
  job.begun = inner.begun
  for (const [key, value] of Object.entries(inner.env)) if (!(key in given)) job.env[key] = value
  const outcome = inner.status
  const all = (stream: "stdout" | "stderr" | "summary") => steps.map((step) => step[stream]).join("")
  return {
    ...noResult(name, outcome),
    given,
    stdout: all("stdout"),
    stderr: all("stderr"),
    summary: all("summary"),
    steps,
  }
}

async function runScript(
  name: string,
  step: ParsedStep,
  job: JobState,
  scope: Scope,
  given: Record<string, string>,
): Promise<Done> {
  const index = String(job.begun++)
  const files = await commandFiles(job.machine, index)
  const script = path.join(job.machine.files, `script-${index}.sh`)
  await writeFile(script, text(step.keys.get("run"), scope))
  const { machine } = job
  const env = { ...machine.env, ...job.runnerEnv, ...job.env, ...given, ...files }
  env.PATH = [...job.path, machine.env.PATH].join(path.delimiter)
  // Steps that run after a cancellation, because they say always() or cancelled(), run to their end.
  const signal = job.status === "cancelled" ? new AbortController().signal : job.cancel
  const end = await runProcess(shell(text(step.keys.get("shell"), scope), script), {
    cwd: path.join(machine.workspace, text(step.keys.get("working-directory"), scope)),
    env,
    signal,
    onOutput: (output) => job.onOutput(name, output),
  })
  const outputs = await takeCommands(files, job)
  const summary = await readFile(files.GITHUB_STEP_SUMMARY ?? "", "utf8")
  const outcome = signal.aborted ? "cancelled" : end.exitCode === 0 ? "success" : "failure"
  const { stdout, stderr, exitCode } = end
  const cancelMs = end.cancelMs === undefined ? {} : { cancelMs: end.cancelMs }
  return { result: { name, outcome, exitCode, stdout, stderr, env, given, summary, ...cancelMs }, outputs }
}

function shell(name: string, script: string): [string, ...string[]] {
  if (name === "") return ["bash", "-e", script]
  if (name === "bash") return ["bash", "--noprofile", "--norc", "-eo", "pipefail", script]
  throw new Error(`shell ${name} is not known to this runner`)
}

async function takeCommands(files: Record<string, string>, job: JobState): Promise<Record<string, string>> {
  const read = async (name: string) => await readFile(files[name] ?? "", "utf8")
  Object.assign(job.env, assignments(await read("GITHUB_ENV")))
  job.path.unshift(...(await read("GITHUB_PATH")).split("\n").filter(Boolean).reverse())
  return assignments(await read("GITHUB_OUTPUT"))
}

/** `NAME=value` lines and `NAME<<END … END` blocks. */
export function assignments(content: string): Record<string, string> {
  const found: Record<string, string> = {}
  const lines = content.split("\n")
  while (lines.length > 0) {
    const line = lines.shift() ?? ""
    const [, block, end] = line.match(/^([^=]+?)<<(.+)$/) ?? []
    if (block && end) {
      const until = lines.indexOf(end)
      if (until < 0) throw new Error(`${block}<<${end} has no end`)
      found[block] = lines
        .splice(0, until + 1)
        .slice(0, -1)
        .join("\n")
    } else if (line.includes("=")) {
      found[line.slice(0, line.indexOf("="))] = line.slice(line.indexOf("=") + 1)
    } else if (line !== "") {
      throw new Error(`${line} is neither NAME=value nor NAME<<END`)
    }
  }
  return found
}
