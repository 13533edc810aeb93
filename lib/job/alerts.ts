import {
  type Environment,
  type LiveOptions,
  liveEnvironment,
  type Need,
  recordingEnvironment,
} from "../config/environment.ts"
import type { AlertsConfig, OpsConfig } from "../config/schema.ts"
import { parseWebhookUrl } from "../notify/slack.ts"
import { parseHttpUrl } from "../system/http.ts"
import type { Job } from "./job.ts"
import type { Variables } from "./origin.ts"

/** Where a run is told, beside the summary and the ledger. */
export type Alerts = { slackUrl?: string; heartbeatUrl?: string }

/**
 * The addresses behind a configuration's alerts, each on its own: what is wrong with one does not silence the other.
 * On a developer's machine an address that is not exported is no problem: that person sees the result anyway.
 */
export function readAlerts(
  alerts: AlertsConfig,
  job: string,
  values: Variables,
  options: LiveOptions,
): { alerts: Alerts; problems: string[] } {
  const slackEnv = liveEnvironment(values, options)
  const slackUrl = slackAddress(alerts, slackEnv)
  const heartbeatEnv = liveEnvironment(values, options)
  const heartbeatUrl = heartbeatAddress(alerts, heartbeatEnv, job)
  if (heartbeatUrl && heartbeatEnv.problems().length === 0) options.redactor.add(heartbeatUrl)
  const isExported = (ref: { name: string } | undefined) => options.inActions || (ref && values[ref.name]?.trim())
  return {
    alerts: {
      ...(slackUrl && slackEnv.problems().length === 0 && { slackUrl }),
      ...(heartbeatUrl && heartbeatEnv.problems().length === 0 && { heartbeatUrl }),
    },
    problems: [
      ...(isExported(alerts.slack) ? slackEnv.problems() : []),
      ...(isExported(alerts.heartbeat) ? heartbeatEnv.problems() : []),
    ],
  }
}

/** Everything that the workflow step of a job needs in its environment, by name: what the job asks for, and what telling needs. */
export function stepNeeds(job: Job, ops: OpsConfig): Need[] {
  const env = recordingEnvironment()
  job.config(ops, env)
  slackAddress(ops.alerts, env)
  heartbeatAddress(ops.alerts, env, job.name)
  for (const name of ["LEDGER", "INCIDENTS"]) env.optional(name)
  env.github()
  return env.needs()
}

function slackAddress({ slack }: AlertsConfig, env: Environment): string | undefined {
  return slack && env.parsedSecret(slack, parseWebhookUrl)
}

/** `{job}` in the address becomes the job's name, so that each job may have a check of its own. */
function heartbeatAddress({ heartbeat }: AlertsConfig, env: Environment, job: string): string | undefined {
  const parse = (text: string, name: string) =>
    parseHttpUrl(text.replaceAll("{job}", job), name, "a ping URL, https://…")
  if (heartbeat?.kind === "secret") return env.parsedSecret(heartbeat, parse)
  return heartbeat && env.variable(heartbeat, parse)
}
