import { z } from "zod"
import { summarizeFindings } from "../lib/core/finding.ts"
import { defineJob } from "../lib/job/job.ts"
import { readObservations } from "../lib/ledger/observations.ts"
import { chooseServices } from "../lib/service/choose.ts"
import { pulseIntervalMs } from "../lib/slo/pulse-interval.ts"
import { reportServices, windowDays } from "../lib/slo/report.ts"
import { objectiveFindings, renderTable } from "../lib/slo/table.ts"

const options = z.strictObject({
  service: z.array(z.string()).default([]).describe("this service only; may be given several times"),
})

const dayMs = 24 * 3600 * 1000

/** Tells what was really seen of each service, and what was not: availability, bounds, coverage and error budget. Changes nothing. */
export default defineJob({
  name: "slo",
  about: "Show the availability of each service with its coverage, bounds and error budget",
  byHand: true,
  observer: true,
  options,
  config: (ops) => ({
    services: Object.entries(ops.services).map(([name, { objective, interval }]) => ({
      name,
      objective,
      ownIntervalMs: interval?.ms ?? 0,
    })),
  }),

  async run({ config, options, ledger, now }) {
    const chosen = chooseServices(config.services, options.service)
    const scheduleMs = await pulseIntervalMs(now)
    const longestDays = Math.max(...windowDays)
    const observations = await readObservations(
      ledger,
      new Date(now.getTime() - longestDays * dayMs),
      new Date(now.getTime() + 1),
    )
    const services = chosen.map(({ ownIntervalMs, ...service }) => ({
      ...service,
      intervalMs: Math.max(scheduleMs, ownIntervalMs),
    }))
    const reports = reportServices(services, observations, now)
    const findings = objectiveFindings(reports)
    return {
      summary: findings.length === 0 ? "no service is configured" : summarizeFindings(findings),
      findings,
      output: renderTable(reports),
    }
  },
})
