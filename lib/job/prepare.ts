import { existsSync } from "node:fs"
import { join, resolve } from "node:path"
import { pathToFileURL } from "node:url"
import { type LiveOptions, liveEnvironment, type SecretSink, tokenMissing } from "../config/environment.ts"
import { parseConfig, readConfig, salvageAlerts } from "../config/load.ts"
import { alertsSchema } from "../config/schema.ts"
import { ConfigError } from "../core/config-error.ts"
import type { Log } from "../core/log.ts"
import type { ActionsOutput } from "../github/actions-output.ts"
import type { IncidentMemory } from "../incident/incident.ts"
import { openIncidentMemory } from "../incident/open-memory.ts"
import { type Policy, policyOf } from "../incident/policy.ts"
import type { Ledger } from "../ledger/ledger.ts"
import { secretParts } from "../system/secret-forms.ts"
import { type Alerts, readAlerts } from "./alerts.ts"
import { type Command, parseCommandLine } from "./command-line.ts"
import { findJob } from "./find.ts"
import type { Job } from "./job.ts"
import { type Origin, readOrigin, type Variables } from "./origin.ts"
import { openRunLedger } from "./run-ledger.ts"
import { latestSlot } from "./slot.ts"

export type Request = {
  job?: Job
  name: string
  argv: readonly string[]
  env: Variables
  root: string
  actions: ActionsOutput | undefined
  log: Log
  /** Fires when the run must end. */
  signal: AbortSignal
}

/** Everything that is known before a job runs. With `problems` or `broken` it must not run; what is left out could not be read. */
export type Prepared = {
  name: string
  job?: Job
  command: Command
  origin: Origin
  dryRun: boolean
  now: Date
  slot: Date
  /** The slot is one that a schedule or a person named, not merely the time of the run. */
  isPlanned: boolean
  app: { name: string; environment: string }
  /** What the job's own `config` picked. */
  config?: unknown
  alerts: Alerts
  ledger?: Ledger
  /** Where incidents are kept; one that always fails when its address is wrong. */
  incidents: IncidentMemory
  policy: Policy
  /** The name of the job's runbook, where it has one. */
  runbook?: string
  /** Everything that the user must correct. */
  problems: string[]
  /** All the problems are in what was typed. */
  isUsageOnly: boolean
  /** What the job or its configuration threw that nobody expected. */
  broken?: { error: unknown }
}

/** Reads arguments, environment and configuration. Never rejects: everything that is wrong is in the result, all at once. */
export async function prepare(request: Request, startedAt: Date, redactor: SecretSink): Promise<Prepared> {
  const { env, root, name } = request
  const usage = createCollector()
  const settings = createCollector()
  const job = request.job ?? (await usage.attempt(() => findJob(root, name)))
  const command = parseCommandLine(request.argv, job?.options, env)
  if (job) usage.problems.push(...command.problems)
  const { origin, problems: originProblems } = await readOrigin(env)
  settings.problems.push(...originProblems)
  const now = command.now ?? startedAt
  const planned = await settings.attempt(() => plannedSlot(command, origin, now))
  const live = {
    root,
    inActions: origin.inActions,
    redactor: masked(redactor, command.json ? undefined : request.actions),
  }
  const configured = await configure({ job, name, env, file: command.config ?? "ops.config.ts", live, settings })
  const today = now < startedAt ? now : startedAt // a time that was typed must not make the ledger older than it is
  const ledger = await settings.attempt(() =>
    openRunLedger({ ...live, env, log: request.log, now: today, ending: request.signal }),
  )
  const incidents = await settings.attempt(() => openIncidents(request, origin, redactor))

  const problems = [...new Set([...usage.problems, ...settings.problems])]
  const broken = usage.broken ?? settings.broken
  return {
    ...{ name, command, origin, now, problems, ...configured },
    ...(job && { job }),
    dryRun: command.dryRun || origin.dryRun,
    slot: planned ?? now,
    isPlanned: planned !== undefined,
    ...(ledger && { ledger }),
    incidents: incidents ?? noMemory,
    ...(existsSync(join(root, "docs", "runbooks", `${name}.md`)) && { runbook: name }),
    isUsageOnly: problems.length > 0 && problems.length === new Set(usage.problems).size,
    ...(broken && { broken }),
  }
}

type Sources = {
  job: Job | undefined
  name: string
  env: Variables
  /** The configuration file, relative to the checkout. */
  file: string
  live: LiveOptions
  settings: Collector
}

/** What the configuration file and the settings behind it come to. Alerts are read even when the rest is wrong. */
async function configure({
  job,
  name,
  env,
  file,
  live,
  settings,
}: Sources): Promise<Pick<Prepared, "app" | "config" | "alerts" | "policy">> {
  const raw = await settings.attempt(() => readConfig(resolve(live.root, file)))
  const ops = raw === undefined ? undefined : await settings.attempt(() => parseConfig(raw, file))
  const environment = liveEnvironment(env, live)
  const config = job && ops ? await settings.attempt(() => job.config(ops, environment)) : undefined
  const told = ops?.alerts ?? salvageAlerts(raw) ?? alertsSchema.parse({})
  const { alerts, problems } = readAlerts(told, name, env, live)
  settings.problems.push(...environment.problems(), ...problems)
  return {
    app: ops?.app ?? { name: env.GITHUB_REPOSITORY ?? "app", environment: "unknown" },
    config,
    alerts,
    policy: policyOf(told),
  }
}

/**
 * Every secret is hidden by GitHub as well, before anything is written: it knows those that it keeps itself, but not the password
 * inside one. Masks are commands on stdout, so with `--json` there are none.
 */
function masked(redactor: SecretSink, actions: ActionsOutput | undefined): SecretSink {
  if (!actions) return redactor
  const known = new Set<string>()
  return {
    add(secret) {
      redactor.add(secret)
      for (const part of secretParts(secret)) {
        if (!known.has(part)) actions.mask(part)
        known.add(part)
      }
    },
  }
}

/** `INCIDENTS`, else the issues of this repository in Actions and a directory of the checkout elsewhere. */
async function openIncidents(
  { env, root, log }: Request,
  origin: Origin,
  redactor: SecretSink,
): Promise<IncidentMemory> {
  const token = env.GITHUB_TOKEN?.trim() ?? ""
  redactor.add(token)
  if (origin.inActions && token === "" && !env.INCIDENTS?.trim()) throw new ConfigError(tokenMissing)
  const standard = origin.inActions
    ? `github:${env.GITHUB_REPOSITORY}`
    : pathToFileURL(join(root, ".ops", "incidents")).href
  const apiUrl = env.GITHUB_API_URL?.trim() || "https://api.github.com"
  return openIncidentMemory(env.INCIDENTS?.trim() || standard, { token, apiUrl, log })
}

const noMemory: IncidentMemory = {
  name: "no place",
  list: () => Promise.reject(new Error("INCIDENTS is wrong")),
  open: () => Promise.reject(new Error("INCIDENTS is wrong")),
  update: () => Promise.reject(new Error("INCIDENTS is wrong")),
  commands: () => Promise.reject(new Error("INCIDENTS is wrong")),
  comment: () => Promise.reject(new Error("INCIDENTS is wrong")),
}

type Collector = ReturnType<typeof createCollector>

/** Runs steps whose `ConfigError` is noted and not passed on. Of other errors the first is kept. */
function createCollector() {
  const collector = {
    problems: [] as string[],
    broken: undefined as { error: unknown } | undefined,
    async attempt<T>(step: () => T | Promise<T>): Promise<T | undefined> {
      try {
        return await step()
      } catch (error) {
        if (error instanceof ConfigError) collector.problems.push(...error.problems)
        else collector.broken ??= { error }
        return undefined
      }
    },
  }
  return collector
}

function plannedSlot(command: Command, origin: Origin, now: Date): Date | undefined {
  const slot = command.slot ?? origin.slot ?? (origin.cron === undefined ? undefined : latestSlot(origin.cron, now))
  if (slot && slot > now)
    throw new ConfigError(`the slot ${slot.toISOString()} is in the future: it is ${now.toISOString()}`)
  return slot
}
