import { z } from "zod"
import { defineJob, type JobResult } from "../lib/job/job.ts"
import { judgeMinutes } from "../lib/service/actions-minutes.ts"
import { chooseServices } from "../lib/service/choose.ts"
import { keepWarm, readWarmHistory, renderKept, summarizeKept, unreadablePing } from "../lib/service/keep-warm.ts"
import { type Printed, printKinds, printWarmth, warmOutlines } from "../lib/service/warm-print.ts"
import { readWarmTargets } from "../lib/service/warmth.ts"
import { pulseIntervalMs } from "../lib/slo/pulse-interval.ts"

const options = z.strictObject({
  service: z.array(z.string()).default([]).describe("keep this service warm only"),
  print: z
    .enum(printKinds, { error: `it takes ${printKinds.join(", ")}` })
    .optional()
    .describe("print what makes a scheduler elsewhere do it, and ping nothing"),
  repository: z
    .string()
    .regex(/^[\w.-]+\/[\w.-]+$/, "the repository on GitHub as owner/name")
    .optional()
    .describe("the repository that pg_cron-dispatch starts the pulse of, as owner/name"),
})

/**
 * Asks what a host would put to sleep, in its active hours and within its budget, and measures how warm that kept it. Only an answer
 * of the app itself counts. A ping that fails is no outage: health says that.
 */
export default defineJob({
  name: "keep-warm",
  about: "Keep services awake that their host puts to sleep, and measure how warm they were kept",
  impact: "what sleeps without requests falls asleep: the next visitor waits for a cold start",
  observer: true,
  options,
  config: (ops, env) => ({
    outlines: warmOutlines(ops),
    targets: readWarmTargets(ops, env),
    actionsMinutes: ops.app.actionsMinutes,
  }),

  async run({ config, options, now, dryRun, ledger, log, signal }) {
    const { outlines, targets } = config
    if (outlines.length === 0 && !options.print)
      return { summary: "no service has keepWarm: nothing to do", findings: [] }
    if (options.print) {
      const chosen = outlines.length === 0 ? [] : chooseServices(outlines, options.service)
      const { actionsMinutes: budget } = config
      const minutes = budget === undefined ? undefined : { budget, scheduleMs: await pulseIntervalMs(now) }
      const printed = printWarmth(options.print, chosen, options.repository, now, minutes)
      for (const note of printed.notes) log.warn(note)
      return shown(printed)
    }
    const chosen = chooseServices(targets, options.service)
    const ready = chosen.flatMap((target) => ("value" in target ? target.value : []))
    const unreadable = chosen.flatMap((target) =>
      "missing" in target ? unreadablePing(target.name, target.missing) : [],
    )
    const history = await readWarmHistory(ledger, ready, now, log)
    const kept = await keepWarm(ready, history, { now, signal, dryRun, log })
    const { actionsMinutes: budget } = config
    const minutes =
      budget && history ? [judgeMinutes(history, { budget, scheduleMs: await pulseIntervalMs(now), now })] : []
    return {
      summary: [summarizeKept(kept), ...[...unreadable, ...minutes].map(({ detail }) => detail)]
        .filter(Boolean)
        .join("; "),
      findings: [...kept.flatMap(({ findings }) => findings), ...unreadable, ...minutes],
      observations: kept.flatMap(({ observation }) => observation ?? []),
      page: renderKept(kept),
    }
  },
})

function shown({ text, notes }: Printed): JobResult {
  const page = [...notes.map((note) => `- ${note}`), "", "~~~", text.trimEnd(), "~~~", ""].join("\n")
  return { summary: "printed what a scheduler elsewhere needs; nothing was pinged", findings: [], output: text, page }
}
