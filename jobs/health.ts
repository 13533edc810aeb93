import { z } from "zod"
import type { Environment } from "../lib/config/environment.ts"
import { duration } from "../lib/config/fields.ts"
import type { OpsConfig } from "../lib/config/schema.ts"
import { ConfigError } from "../lib/core/config-error.ts"
import { formatDuration } from "../lib/core/duration.ts"
import { errorText } from "../lib/core/error-text.ts"
import type { Finding } from "../lib/core/finding.ts"
import type { Log } from "../lib/core/log.ts"
import type { Observation } from "../lib/core/observation.ts"
import { type Context, defineJob, type JobResult } from "../lib/job/job.ts"
import { readObservations } from "../lib/ledger/observations.ts"
import { chooseServices } from "../lib/service/choose.ts"
import {
  findingsOf,
  observationOf,
  renderFindings,
  serviceFinding,
  summarizeRound,
  unreadableFinding,
} from "../lib/service/findings.ts"
import { gateFinding, passGate } from "../lib/service/gate.ts"
import { readLastGood, readLastLooks } from "../lib/service/past-looks.ts"
import { readServices } from "../lib/service/read-services.ts"
import { lookAround } from "../lib/service/round.ts"
import type { Service } from "../lib/service/service.ts"
import { burnWindowMs, judgeBudgets } from "../lib/slo/budgets.ts"
import { unmeasurable } from "../lib/slo/objective.ts"
import { pulseIntervalMs } from "../lib/slo/pulse-interval.ts"
import type { WatchedService } from "../lib/slo/report.ts"

const options = z.strictObject({
  service: z.array(z.string()).default([]).describe("look at this service only, whether its interval is over or not"),
  wait: duration()
    .optional()
    .describe("as a deploy gate: how long the services have to become as they should be; exit code 1 when they do not"),
  expectVersion: z
    .string()
    .trim()
    .min(1, "a version or commit")
    .optional()
    .describe("as a deploy gate: the version or commit that must be live"),
  noConfirm: z.boolean().default(false).describe("believe the first failure: look once, and not again at what failed"),
})

/**
 * Looks at every service once, again at what failed, and says which are down, which are slow, and of which nobody can tell. Others'
 * trouble leaves it green; as a deploy gate (`--wait`, `--expect-version`) it is red until what was deployed is live.
 */
export default defineJob({
  name: "health",
  about:
    "Look at every service: down, degraded, unknown, or as it should be; with --wait and --expect-version a deploy gate",
  impact: "nobody looks at the services: an outage would not be noticed",
  observer: true,
  options,
  config: (ops, env) => ({
    services: targets(ops, env),
    canaries: ops.canaries,
    deploy: `deploy/${ops.app.environment}`,
  }),

  async run(context) {
    const { config, options, now, ledger, log, signal, run } = context
    const chosen = chooseServices(config.services, options.service)
    const services = chosen.flatMap((target) => ("value" in target ? target.value : []))
    const unreadable = chosen.flatMap((target) => ("missing" in target ? [target] : []))
    if (options.wait || options.expectVersion !== undefined) {
      if (unreadable.length > 0) throw new ConfigError(unreadable.flatMap(({ missing }) => missing))
      return guardDeploy(services, context)
    }
    const lastLooks = options.service.length > 0 ? new Map() : await readLastLooks(ledger, services, now, log)
    const pace = options.noConfirm ? { retryWaitsMs: [], confirmAfterMs: [] } : {}
    const { canaries } = config
    const round = await lookAround(services, { now, signal, log, canaries, lastLooks, seed: run.id, pace })
    const observations = round.looks.map(observationOf)
    const looked = [...findingsOf(round), ...unreadable.map(({ name, missing }) => unreadableFinding(name, missing))]
    const budgets = options.service.length > 0 ? [] : await burnedBudgets(services, observations, context)
    const findings = [...looked, ...budgets]
    const burning = budgets.filter(({ outcome }) => outcome !== "ok")
    return {
      summary: [summarizeRound(looked, round), ...burning.map(({ detail }) => detail)].join("; "),
      findings,
      observations,
      output: renderFindings(findings),
      ...(round.looks.some((look) => look.isDefect) && { isRed: true }),
    }
  },
})

/** How fast the error budgets burn, this round included. Where the ledger cannot be read nothing is known of that. */
async function burnedBudgets(
  services: readonly Service[],
  seen: readonly Observation[],
  { ledger, now, log }: Pick<Context<unknown>, "ledger" | "now" | "log">,
): Promise<Finding[]> {
  if (!services.some(({ objective }) => objective)) return []
  try {
    const scheduleMs = await pulseIntervalMs(now)
    const past = await readObservations(ledger, new Date(now.getTime() - burnWindowMs), now)
    const watched = services.map(({ name, objective, intervalMs = 0 }) => {
      return { name, objective, intervalMs: Math.max(scheduleMs, intervalMs) }
    })
    for (const service of watched) warnUnmeasurable(service, log)
    return judgeBudgets(watched, [...past, ...seen], now)
  } catch (error) {
    log.warn(`cannot see how fast error budgets burn: ${errorText(error)}`)
    return []
  }
}

/** Said at every run as long as it is so: an objective that looks kept because it cannot be broken is a green lie. */
function warnUnmeasurable({ name, objective, intervalMs }: WatchedService, log: Log): void {
  const needed = objective && unmeasurable(objective, intervalMs)
  if (needed === undefined) return
  const minutes = Math.max(1, Math.floor(needed))
  log.warn(
    `services.${name}.objective cannot be measured at an interval of ${formatDuration(intervalMs)}: look every ${minutes} min or more often, or promise less`,
  )
}

type Target = { name: string } & ({ value: Service[] } | { missing: string[] })

/** Each service on its own, so that what is missing of one by hand is said of that one. */
function targets(ops: OpsConfig, env: Environment): Target[] {
  return Object.entries(ops.services).map(([name, service]) => ({
    name,
    ...env.part((own) => readServices({ ...ops, services: { [name]: service } }, own)),
  }))
}

type GateContext = Context<{ deploy: string; canaries: string[] }, z.output<typeof options>>

async function guardDeploy(services: Service[], context: GateContext): Promise<JobResult> {
  const { config, options, now, ledger, log, signal } = context
  const version = options.expectVersion
  const gate = await passGate(services, {
    ...{ now, signal, log, waitMs: options.wait?.ms ?? 0, version },
    canaries: config.canaries,
  })
  const good = gate.problems.length === 0 ? new Map() : await readLastGood(ledger, services, version, now, log)
  const finding = gateFinding(gate, { subject: config.deploy, version, good })
  return {
    summary: finding.detail,
    findings: [finding, ...gate.looks.map(serviceFinding)],
    observations: gate.looks.map(observationOf),
    isRed: finding.outcome !== "ok",
  }
}
