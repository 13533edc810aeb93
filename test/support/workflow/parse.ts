import { readFile } from "node:fs/promises"
import {
  convertWorkflowTemplate,
  isMapping,
  isSequence,
  NoOperationTraceWriter,
  parseWorkflow,
} from "@actions/workflow-parser"
import { convertActionTemplate, parseAction } from "@actions/workflow-parser/actions/index"
import type { EventsConfig, Step } from "@actions/workflow-parser/model/workflow-template"
import type { TemplateContext } from "@actions/workflow-parser/templates/template-context"
import type { MappingToken } from "@actions/workflow-parser/templates/tokens/mapping-token"
import type { TemplateToken } from "@actions/workflow-parser/templates/tokens/template-token"

/** `if` is the condition as GitHub reads it: with `success() && …` put in where it names no status function. */
export type ParsedStep = { id: string; if: string; keys: Map<string, TemplateToken> }
export type ParsedJob = {
  id: string
  if: string
  needs: string[]
  keys: Map<string, TemplateToken>
  steps: ParsedStep[]
}
export type ParsedWorkflow = { events: EventsConfig; keys: Map<string, TemplateToken>; jobs: ParsedJob[] }
export type ParsedAction = { inputs: Map<string, TemplateToken | undefined>; steps: ParsedStep[] }

const workflowKeys = ["name", "run-name", "on", "permissions", "env", "concurrency", "jobs"]
const jobKeys = [
  "name",
  "needs",
  "if",
  "runs-on",
  "timeout-minutes",
  "permissions",
  "env",
  "steps",
  "concurrency",
  "environment",
]
const stepKeys = ["id", "name", "if", "uses", "with", "run", "shell", "env", "working-directory", "timeout-minutes"]

/** Reads a workflow with GitHub's own schema. Rejects with all its errors, and on what the runner does not do. */
export async function parseWorkflowFile(file: string): Promise<ParsedWorkflow> {
  const { context, value } = parseWorkflow(
    { name: file, content: await readFile(file, "utf8") },
    new NoOperationTraceWriter(),
  )
  rejectErrors(file, context)
  if (!value) throw new Error(`${file} is empty`)
  const template = await convertWorkflowTemplate(context, value)
  rejectErrors(file, context, template.errors)
  const keys = mapping(value, file, workflowKeys)
  const rawJobs = mapping(keys.get("jobs"), `jobs of ${file}`)
  const jobs = template.jobs.map((job): ParsedJob => {
    const id = job.id.value
    if (job.type !== "job") throw new Error(`${file}: job ${id} calls a workflow, which this runner does not do`)
    const raw = mapping(rawJobs.get(id), `job ${id} of ${file}`, jobKeys)
    const needs = (job.needs ?? []).map((need) => need.value)
    return {
      id,
      if: job.if.expression,
      needs,
      keys: raw,
      steps: steps(job.steps, raw.get("steps"), `${file}, job ${id}`),
    }
  })
  return { events: template.events, keys, jobs }
}

/** Reads a composite action with GitHub's own schema. */
export async function parseActionFile(file: string): Promise<ParsedAction> {
  const { context, value } = parseAction(
    { name: file, content: await readFile(file, "utf8") },
    new NoOperationTraceWriter(),
  )
  rejectErrors(file, context)
  if (!value) throw new Error(`${file} is empty`)
  const { runs, inputs } = convertActionTemplate(context, value)
  rejectErrors(file, context)
  if (runs.using !== "composite")
    throw new Error(`${file} runs using ${runs.using}: only composite actions are run here`)
  const raw = mapping(mapping(value, file).get("runs"), `runs of ${file}`).get("steps")
  return { inputs: new Map(inputs?.map((input) => [input.id, input.default])), steps: steps(runs.steps, raw, file) }
}

/** The entries of a mapping; with `known`, a key that is not among them is an error. */
export function mapping(token: TemplateToken | undefined, where: string, known?: string[]): Map<string, TemplateToken> {
  if (token === undefined) return new Map()
  if (!isMapping(token)) throw new Error(`${where} is no mapping`)
  const entries = new Map(Array.from(token as Iterable<MappingEntry>, ({ key, value }) => [key.toString(), value]))
  const unknown = known && [...entries.keys()].find((key) => !known.includes(key))
  if (unknown) throw new Error(`${where} has ${unknown}, which this runner does not do`)
  return entries
}

type MappingEntry = ReturnType<MappingToken["get"]>

function steps(converted: Step[], raw: TemplateToken | undefined, where: string): ParsedStep[] {
  if (!raw || !isSequence(raw)) throw new Error(`${where} has no steps`)
  return Array.from(raw, (token, index) => {
    const step = converted[index]
    if (!step || !("run" in step || "uses" in step))
      throw new Error(`${where}: step ${index + 1} neither runs nor uses anything`)
    return { id: step.id, if: step.if.expression, keys: mapping(token, `step ${index + 1} of ${where}`, stepKeys) }
  })
}

function rejectErrors(file: string, context: TemplateContext, more: { Message: string }[] = []): void {
  const messages = [...context.errors.getErrors().map((error) => error.message), ...more.map((error) => error.Message)]
  if (messages.length > 0) throw new Error(`${file} is not valid: ${[...new Set(messages)].join("; ")}`)
}
