import { readFile } from "node:fs/promises"
import { z } from "zod"
import { errorText } from "../core/error-text.ts"
import type { Trigger } from "./job.ts"
import { parseInstant } from "./slot.ts"

export type Variables = Readonly<Record<string, string | undefined>>

/** What the environment tells of who or what started this run. */
export type Origin = {
  inActions: boolean
  /** Everyone can read what the run writes to its page and log. */
  isPublic: boolean
  trigger: Trigger
  /** The cron that fired, of a scheduled run. */
  cron?: string
  /** The slot that a person asked for. */
  slot?: Date
  dryRun: boolean
  reason?: string
  actor?: string
  commit?: string
  /** `<run id>-<attempt>` of the workflow run. */
  workflowRun?: string
  /** The run's page on GitHub. */
  url?: string
  /** Where files of the commit that runs can be read in a browser. */
  filesUrl?: string
}

/**
 * Reads the variables that GitHub sets and those that a workflow sets from its inputs. Never rejects: what is malformed is in
 * `problems` and left out of `origin`, so that it can be told with a link to the run.
 */
export async function readOrigin(env: Variables): Promise<{ origin: Origin; problems: string[] }> {
  const inActions = env.GITHUB_ACTIONS === "true"
  const trigger = inActions ? triggerOf(env.GITHUB_EVENT_NAME) : "hand"
  const { slot, dryRun, problems } = readInputs(env)
  const cron = trigger === "schedule" ? await firedCron(env.GITHUB_EVENT_PATH) : undefined
  if (cron && "problem" in cron) problems.push(cron.problem)
  const origin: Origin = {
    ...{ inActions, trigger, dryRun, isPublic: inActions && !(await isPrivate(env.GITHUB_EVENT_PATH)) },
    ...present({ slot, cron: cron && "cron" in cron ? cron.cron : undefined, reason: env.OPS_REASON?.trim() }),
    ...(trigger === "dispatch" ? present({ actor: env.GITHUB_TRIGGERING_ACTOR || env.GITHUB_ACTOR }) : {}),
    ...(inActions ? placeOf(env) : {}),
  }
  return { origin, problems }
}

function placeOf(env: Variables) {
  const repository = `${env.GITHUB_SERVER_URL ?? "https://github.com"}/${env.GITHUB_REPOSITORY}`
  const attempt = env.GITHUB_RUN_ATTEMPT ?? "1"
  const runId = env.GITHUB_RUN_ID
  return present({
    commit: env.GITHUB_SHA,
    workflowRun: runId && `${runId}-${attempt}`,
    url: runId && env.GITHUB_REPOSITORY && `${repository}/actions/runs/${runId}/attempts/${attempt}`,
    filesUrl: env.GITHUB_REPOSITORY && env.GITHUB_SHA && `${repository}/blob/${env.GITHUB_SHA}`,
  })
}

function triggerOf(event: string | undefined): Trigger {
  return event === "schedule" ? "schedule" : "dispatch"
}

/** Inputs that were not given are empty texts. */
function readInputs(env: Variables): { slot: Date | undefined; dryRun: boolean; problems: string[] } {
  const problems: string[] = []
  const slotText = env.OPS_SLOT?.trim()
  const slot = slotText ? parseInstant(slotText) : undefined
  if (slotText && !slot) problems.push(`OPS_SLOT is "${slotText}": it takes a time such as 2026-03-01T03:17Z`)
  const dryRun = env.OPS_DRY_RUN?.trim() || "false"
  if (dryRun !== "true" && dryRun !== "false") problems.push(`OPS_DRY_RUN is "${dryRun}": it takes true or false`)
  return { slot, dryRun: dryRun === "true", problems }
}

const privateEvent = z.object({ repository: z.object({ private: z.literal(true) }) })

/** Whether the event that started the run says that its repository is private, as it does of internal ones. What it does not say is not so. */
async function isPrivate(path: string | undefined): Promise<boolean> {
  try {
    return privateEvent.safeParse(JSON.parse(await readFile(path ?? "", "utf8"))).success
  } catch {
    return false // what is wrong with the file is said where it is needed
  }
}

const scheduleEvent = z.object({ schedule: z.string() })

async function firedCron(path: string | undefined): Promise<{ cron: string } | { problem: string }> {
  try {
    return { cron: scheduleEvent.parse(JSON.parse(await readFile(path ?? "", "utf8"))).schedule }
  } catch (error) {
    const takes = 'of a scheduled run it takes a JSON file that has the cron that fired as "schedule"'
    const reason = error instanceof z.ZodError ? "it has none" : errorText(error)
    return { problem: `GITHUB_EVENT_PATH is ${JSON.stringify(path ?? "")}: ${takes} (${reason})` }
  }
}

type Present<T> = { [K in keyof T]?: Exclude<T[K], undefined | ""> }

/** The fields that have a value: absent variables and empty inputs are left out. */
function present<T extends object>(fields: T): Present<T> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined && value !== ""),
  ) as Present<T>
}
