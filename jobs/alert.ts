import { z } from "zod"
import { ConfigError } from "../lib/core/config-error.ts"
import { errorText } from "../lib/core/error-text.ts"
import type { Log } from "../lib/core/log.ts"
import { type GitHub, openGitHub } from "../lib/github/client.ts"
import { readLogTail } from "../lib/github/job-log.ts"
import { lastSuccess, listAnnotations, listJobs, readRun, rerunCommand, type WorkflowJob } from "../lib/github/runs.ts"
import { readWorkflow, sketchWorkflow } from "../lib/github/workflow-file.ts"
import { endedBadly, type FailedJob, type FailedRun, judgeFailedRun } from "../lib/incident/failed-run.ts"
import type { About } from "../lib/incident/incident.ts"
import { defineJob } from "../lib/job/job.ts"
import { findToldJobs } from "../lib/job/past-runs.ts"

const fields = z.strictObject({
  run: z.coerce
    .number({ error: "the number of a workflow run" })
    .int()
    .positive()
    .optional()
    .describe("the workflow run to tell of"),
  drill: z.boolean().default(false).describe("ring every channel, say that it is a drill, and record who answers"),
})

const options = fields.refine(({ run, drill }) => drill || run !== undefined, {
  error: "name a workflow run with --run NUMBER, or ring everybody with --drill",
})

const logLines = 20

/**
 * Speaks for runs that could not speak for themselves: cancelled, timed out, never started, or broken before they could tell. Reads
 * them through GitHub's API and runs none of their code. Of a run that told of itself nothing is said twice.
 */
export default defineJob({
  name: "alert",
  about:
    "Tell of a workflow run that ended badly and could not tell of itself; with --drill ring everybody as an exercise",
  impact: "a run that was cancelled, timed out or never started is not noticed",
  observer: true,
  options,
  config: (_ops, env) => ({ github: env.part((own) => own.github()) }),

  async run({ config, options, ledger, log, signal, now }) {
    if (options.drill || options.run === undefined)
      return { summary: "a drill for every channel", findings: [], drill: true, isWhole: true }
    if ("missing" in config.github) throw new ConfigError(config.github.missing)
    const github = openGitHub({ ...config.github.value, log, signal })
    const run = await readRun(github, options.run)
    const path = run.path.replace(/@.*$/, "")
    const workflow = path.split("/").at(-1) ?? path
    const bad = (await listJobs(github, run.id, run.run_attempt)).filter(endedBadly)
    const failed: FailedJob[] = []
    for (const job of bad) failed.push(await readFailedJob(github, job, log))
    const created = new Date(run.created_at)
    const failure: FailedRun = {
      ...{ run, failed, rerun: rerunCommand(github, run) },
      file: (await attempt(log, () => readWorkflow(path))) ?? (await sketchWorkflow(path)),
      told: (await attempt(log, () => findToldJobs(ledger, `${run.id}-${run.run_attempt}`, created, now))) ?? new Set(),
      lastSuccess: await attempt(log, () => lastSuccess(github, workflow, { before: run })),
    }
    const findings = judgeFailedRun(failure)
    const what = `${workflow} run ${run.id} (${run.conclusion ?? "not over"})`
    const silent = failed.length > 0 || endedBadly(run) ? `${what} told of itself` : `${what}: there is nothing to tell`
    const summary = findings.length === 0 ? silent : findings.map(({ detail }) => detail).join("; ")
    const about = Object.fromEntries(findings.map(({ subject }) => [subject, aboutRun(failure)]))
    return { summary, findings, about, isWhole: true }
  },
})

/** What a message must name however much the run said before it ended. */
function aboutRun({ run, rerun, lastSuccess }: FailedRun): About {
  return {
    runUrl: run.html_url,
    firstAction: `open the run, then start it again: ${rerun}`,
    ...(lastSuccess && { lastGood: lastSuccess.updated_at }),
  }
}

/** What was said in a job helps, and is no reason to stay silent when it cannot be read. */
async function readFailedJob(github: GitHub, job: WorkflowJob, log: Log): Promise<FailedJob> {
  return {
    job,
    annotations: (await attempt(log, () => listAnnotations(github, job))) ?? [],
    lastLines: (await attempt(log, () => readLogTail(github, job, logLines))) ?? [],
  }
}

async function attempt<T>(log: Log, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    log.warn(errorText(error))
    return undefined
  }
}
