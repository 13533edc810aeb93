import { readFile } from "node:fs/promises"
import { basename } from "node:path"
import { parse } from "yaml"
import { z } from "zod"
import { errorText } from "../core/error-text.ts"

export type WorkflowInput = {
  type: string
  required: boolean
  default?: string | number | boolean
  description?: string
}

export type WorkflowStep = {
  name?: string
  uses?: string
  run?: string
  env: Record<string, string>
  with: Record<string, string>
}

export type WorkflowJob = {
  id: string
  needs: string[]
  if?: string
  permissions?: unknown
  timeoutMinutes?: number
  env: Record<string, string>
  steps: WorkflowStep[]
}

/** What Nightshift reads of a workflow file: when it runs, what it takes, and what its steps do. */
export type WorkflowFile = {
  name: string
  runName?: string
  /** Five fields each, in UTC. */
  crons: string[]
  /** The inputs of `workflow_dispatch`; absent when nobody can start it by hand. */
  inputs?: Record<string, WorkflowInput>
  /** Names of the workflows whose end starts this one. */
  watches: string[]
  permissions?: unknown
  env: Record<string, string>
  jobs: WorkflowJob[]
}

/** Reads a workflow file. Rejects with its name when it is not there, no YAML, or not in the shape of a workflow. */
export async function readWorkflow(file: string): Promise<WorkflowFile> {
  return parseWorkflow(await readFile(file, "utf8"), file)
}

/**
 * What can be made out of a file that is gone or no workflow: its name without ending, and the commands in it as steps of one job.
 * Never rejects.
 */
export async function sketchWorkflow(file: string): Promise<WorkflowFile> {
  const name = basename(file).replace(/\.ya?ml$/, "")
  const text = await readFile(file, "utf8").catch(() => "")
  const commands = [...text.matchAll(/^[ \t]*(?:- )?run: (.+)$/gm)].flatMap(([, command]) => command ?? [])
  const steps = commands.map((run) => ({ run, env: {}, with: {} }))
  return { name, crons: [], watches: [], env: {}, jobs: [{ id: name, needs: [], env: {}, steps }] }
}

/** The workflow in a text; `file` is for messages. */
export function parseWorkflow(text: string, file: string): WorkflowFile {
  const { on, jobs, ...rest } = workflowOf(text, file)
  const { "run-name": runName, name, permissions, env } = rest
  const { schedule, workflow_dispatch: dispatch, workflow_run: watched } = on
  return {
    name: name ?? file,
    ...(runName !== undefined && { runName }),
    crons: schedule?.map(({ cron }) => cron) ?? [],
    ...(dispatch !== undefined && { inputs: dispatch?.inputs ?? {} }),
    watches: watched?.workflows ?? [],
    ...(permissions !== undefined && { permissions }),
    env,
    jobs: Object.entries(jobs).map(([id, job]) => jobOf(id, job)),
  }
}

const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()]).transform((value) => String(value ?? ""))
const texts = z.record(z.string(), scalar).default({})
const listOf = (one: z.ZodType<string>) => z.union([one.transform((value) => [value]), z.array(one)])

const step = z.object({
  name: z.string().optional(),
  uses: z.string().optional(),
  run: z.string().optional(),
  env: texts,
  with: texts,
})

const job = z.object({
  needs: listOf(z.string()).default([]),
  if: scalar.optional(),
  permissions: z.unknown().optional(),
  "timeout-minutes": z.number().optional(),
  env: texts,
  steps: z.array(step).default([]),
})

const input = z.object({
  type: z.string().default("string"),
  required: z.boolean().default(false),
  default: z.union([z.string(), z.number(), z.boolean()]).optional(),
  description: z.string().optional(),
})

const events = z.object({
  schedule: z.array(z.object({ cron: z.string() })).optional(),
  workflow_dispatch: z.object({ inputs: z.record(z.string(), input).default({}) }).nullish(),
  workflow_run: z.object({ workflows: z.array(z.string()).default([]) }).nullish(),
})

/** `on: push` and `on: [push]` are short for a mapping without settings. */
const on = z.preprocess((value) => {
  const names = typeof value === "string" ? [value] : value
  return Array.isArray(names) ? Object.fromEntries(names.map((name) => [name, null])) : names
}, events)

const workflow = z.object({
  name: z.string().optional(),
  "run-name": z.string().optional(),
  on,
  permissions: z.unknown().optional(),
  env: texts,
  jobs: z.record(z.string(), job),
})

function workflowOf(text: string, file: string): z.output<typeof workflow> {
  let content: unknown
  try {
    content = parse(text)
  } catch (cause) {
    throw new Error(`${file} is no YAML: ${errorText(cause)}`, { cause })
  }
  const parsed = workflow.safeParse(content)
  if (parsed.success) return parsed.data
  const problems = parsed.error.issues.map((issue) => `${issue.path.join(".") || "the file"}: ${issue.message}`)
  throw new Error(`${file} is no workflow: ${problems.join("; ")}`)
}

function jobOf(
  id: string,
  { "timeout-minutes": timeoutMinutes, if: condition, permissions, ...rest }: z.output<typeof job>,
): WorkflowJob {
  return {
    id,
    needs: rest.needs,
    ...(condition !== undefined && { if: condition }),
    ...(permissions !== undefined && { permissions }),
    ...(timeoutMinutes !== undefined && { timeoutMinutes }),
    env: rest.env,
    steps: rest.steps.map(({ name, uses, run, ...step }) => ({
      ...step,
      ...(name !== undefined && { name }),
      ...(uses !== undefined && { uses }),
      ...(run !== undefined && { run }),
    })),
  }
}
