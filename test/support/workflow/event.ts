import type { EventsConfig, InputConfig } from "@actions/workflow-parser/model/workflow-template"
import { text } from "./expressions.ts"
import type { ParsedWorkflow } from "./parse.ts"

/** What starts a workflow run. The cron of a schedule is the file's first unless it is given. */
export type WorkflowEvent = {
  event: "schedule" | "workflow_dispatch" | "push" | "workflow_run"
  /** The run whose end starts this one. */
  ended?: { id: number; name: string; conclusion: string }
  cron?: string
  inputs?: Record<string, string | boolean>
  actor?: string
  /** Whether everyone can see the repository. */
  isPublic?: boolean
}

type Contexts = { github: Record<string, unknown>; inputs: Record<string, unknown> }

/** The contexts `github` and `inputs` of an event. Throws when the workflow does not listen to it or the inputs are wrong. */
export function eventContexts(
  workflow: ParsedWorkflow,
  fileName: string,
  sha: string,
  { event, cron, inputs = {}, actor = "octocat", isPublic = false, apiUrl, ended }: WorkflowEvent & { apiUrl?: string },
): Contexts {
  const { schedule, workflow_dispatch: dispatch, push, workflow_run: watched } = workflow.events
  if (!{ schedule, workflow_dispatch: dispatch, push, workflow_run: watched }[event])
    throw new Error(`${fileName} does not run on ${event}`)
  const fired = cron ?? schedule?.[0]?.cron
  if (event === "schedule" && !schedule?.some((one) => one.cron === fired))
    throw new Error(`${fileName} has no cron ${fired}`)
  if (event === "workflow_run" && !(ended && watched?.workflows?.includes(ended.name)))
    throw new Error(`${fileName} does not watch ${ended?.name}`)
  const given = event === "workflow_dispatch" ? dispatchInputs(dispatch, inputs) : {}
  const repository = { full_name: "octocat/night", private: !isPublic, visibility: isPublic ? "public" : "private" }
  const payloads = {
    schedule: { schedule: fired, repository },
    workflow_dispatch: { inputs: mapValues(given, String), repository },
    push: { ref: "refs/heads/main", after: sha, repository },
    workflow_run: { action: "completed", workflow_run: ended, repository },
  }
  const name = text(workflow.keys.get("name"), { contexts: {} }) || fileName
  return {
    inputs: given,
    github: { ...place(fileName, sha, actor, apiUrl), workflow: name, event_name: event, event: payloads[event] },
  }
}

function place(
  fileName: string,
  sha: string,
  actor: string,
  apiUrl = "https://api.github.com",
): Record<string, unknown> {
  return {
    token: "ghs_tokenOfTheRun",
    repository: "octocat/night",
    repository_owner: "octocat",
    repository_id: "1001",
    repository_owner_id: "1002",
    actor,
    triggering_actor: actor,
    sha,
    ref: "refs/heads/main",
    ref_name: "main",
    ref_type: "branch",
    run_id: "4242",
    run_number: "7",
    run_attempt: "1",
    retention_days: "90",
    server_url: "https://github.com",
    api_url: apiUrl,
    graphql_url: `${apiUrl}/graphql`,
    workflow_ref: `octocat/night/.github/workflows/${fileName}@refs/heads/main`,
    workflow_sha: sha,
  }
}

function dispatchInputs(dispatch: EventsConfig["workflow_dispatch"], given: Record<string, string | boolean>) {
  const known = dispatch?.inputs ?? {}
  const unknown = Object.keys(given).find((name) => !known[name])
  if (unknown) throw new Error(`the workflow has no input ${unknown}`)
  return Object.fromEntries(Object.entries(known).map(([name, input]) => [name, inputValue(name, input, given[name])]))
}

function inputValue(name: string, input: InputConfig, given: string | boolean | undefined): unknown {
  const value = given ?? input.default
  if (value === undefined && input.required) throw new Error(`the input ${name} is required`)
  if (String(input.type) === "boolean") return value === true || value === "true"
  if (input.options && value !== undefined && !input.options.includes(String(value))) {
    throw new Error(`the input ${name} is ${value}: it must be one of ${input.options.join(", ")}`)
  }
  return value === undefined ? "" : String(value)
}

function mapValues<T>(from: Record<string, unknown>, change: (value: unknown) => T): Record<string, T> {
  return Object.fromEntries(Object.entries(from).map(([key, value]) => [key, change(value)]))
}
