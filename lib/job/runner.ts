import { randomBytes } from "node:crypto"
import type { Writable } from "node:stream"
import { errorText } from "../core/error-text.ts"
import type { Log } from "../core/log.ts"
import type { ActionsOutput } from "../github/actions-output.ts"
import { startTimer } from "../system/clock.ts"
import { runProgram } from "../system/program.ts"
import { createRedactor } from "../system/redact.ts"
import { renderClosing } from "./closing.ts"
import { bounded, type Curfew, createCurfew } from "./curfew.ts"
import { createHeartbeat } from "./heartbeat.ts"
import type { Job } from "./job.ts"
import { createLog, isVerbose, logFormat } from "./log.ts"
import type { Variables } from "./origin.ts"
import { perform, type Verdict } from "./perform.ts"
import { type Prepared, prepare } from "./prepare.ts"
import { hidesDetails, mutedLog, publicRun } from "./public-run.ts"
import { type ExitCode, exitCodeOf, type Run } from "./run.ts"
import { tellAll } from "./tellers.ts"

export type RunInput = {
  /** Arguments after the job's name. */
  argv: readonly string[]
  env: Variables
  /** The checkout: where `ops.config.ts`, `jobs/` and `.ops/` are. */
  root: string
  stdout: Writable
  stderr: Writable
  /** Where the page of the workflow run is written; absent outside of Actions. */
  actions?: ActionsOutput
  /** Fires when the run must end: it then takes 5 s at most. */
  signal?: AbortSignal
  clock?: () => Date
} & ({ job: Job } | { name: string })

/** How long a run may go on once it was told to end, telling included. */
const curfewMs = 4800
const closeTimeoutMs = 10_000

/**
 * Runs one job from its arguments to its exit code, and tells everyone who must know. Never rejects for what a job, its
 * configuration or a teller does: that is in the run.
 */
export async function runJob(input: RunInput): Promise<{ run: Run; exitCode: ExitCode }> {
  const clock = input.clock ?? (() => new Date())
  const startedAt = clock()
  const elapsedMs = startTimer()
  const redactor = createRedactor()
  const traceId = randomBytes(16).toString("hex")
  const { stdout, stderr, env, root, argv, actions } = input
  const subject = "job" in input ? { job: input.job, name: input.job.name } : { name: input.name }
  const format = { format: logFormat(env), verbose: isVerbose(env), service: subject.name, traceId }
  const log = createLog({ ...format, stream: stderr, redactor, clock })
  const curfew = createCurfew(input.signal ?? new AbortController().signal, curfewMs)

  const checkedOut = env.GITHUB_SHA ? undefined : commitOf(root) // git answers while the rest is read
  const prepared = await prepare(
    { ...subject, argv, env, root, actions, log, signal: curfew.signal },
    startedAt,
    redactor,
  )
  const frame = frameOf(prepared, await checkedOut, traceId)
  const isPrivate = prepared.isUsageOnly && prepared.origin.trigger === "hand"
  const heartbeatUrl = prepared.dryRun || isPrivate ? undefined : prepared.alerts.heartbeatUrl
  const heartbeat = createHeartbeat(heartbeatUrl, log, curfew)
  heartbeat.start()
  const jobLog = prepared.origin.isPublic ? mutedLog : log
  const verdict = await perform(prepared, { log: jobLog, curfew, run: { id: frame.id, commit: frame.commit } })
  const endedAt = new Date(prepared.now.getTime() + elapsedMs()).toISOString()

  const untold = redactor.value(runOf(frame, verdict, endedAt))
  const told = isPrivate ? {} : await tellAll({ prepared, verdict, env, actions, log, curfew, redactor }, untold)
  const run: Run = { ...untold, told, exitCode: exitCodeOf(verdict, told) }
  await heartbeat.end(run.exitCode === 0 ? "success" : "fail", `exit code ${run.exitCode}`)
  await closeLedger(prepared, log, curfew)
  const shown = hidesDetails(prepared, verdict) ? publicRun(run) : run
  const output = prepared.command.json || prepared.origin.isPublic ? undefined : verdict.output
  if (output !== undefined) stdout.write(redactor.text(output))
  // An output may go into another program: what is said about the run stands beside it.
  const closing = output === undefined ? stdout : stderr
  closing.write(prepared.command.json ? `${JSON.stringify(shown)}\n` : renderClosing(shown))
  return { run, exitCode: run.exitCode }
}

/** What stays behind on this machine is no reason to keep the end of a run from those who wait for it. */
async function closeLedger({ ledger }: Prepared, log: Log, curfew: Curfew): Promise<void> {
  const bounds = { what: "closing the ledger", timeoutMs: closeTimeoutMs, curfew, reserveMs: 50 }
  await bounded(async () => ledger?.close(), bounds).catch((error: unknown) => log.warn(errorText(error)))
}

type Frame = Omit<Run, "endedAt" | "outcome" | "exitCode" | "summary" | "findings" | "told">

/** What is known of a run before it does anything. */
function frameOf(prepared: Prepared, checkedOut: string | undefined, traceId: string): Frame {
  const { name, origin, now, slot, dryRun, command } = prepared
  const commit = origin.commit ?? checkedOut
  return {
    schema: 1,
    id: origin.workflowRun ? `${origin.workflowRun}-${name}` : `${compact(now)}-${randomBytes(2).toString("hex")}`,
    job: name,
    slot: slot.toISOString(),
    trigger: origin.trigger,
    dryRun,
    ...(command.ownOptions.length > 0 && { options: command.ownOptions }),
    ...(origin.reason && { reason: origin.reason }),
    ...(origin.actor && { actor: origin.actor }),
    startedAt: now.toISOString(),
    ...(commit && { commit }),
    ...(origin.url && { url: origin.url }),
    traceId,
  }
}

function runOf(frame: Frame, verdict: Verdict, endedAt: string): Run {
  const { outcome, summary, findings } = verdict
  return { ...frame, endedAt, outcome, exitCode: exitCodeOf(verdict, {}), summary, findings, told: {} }
}

function compact(time: Date): string {
  return `${time.toISOString().slice(0, 19).replaceAll(/[-:]/g, "")}Z`
}

/** The commit that is checked out; `undefined` where there is no git or no checkout, which is no reason not to run. */
async function commitOf(root: string): Promise<string | undefined> {
  const git = runProgram("git", ["-C", root, "rev-parse", "--verify", "HEAD"], { timeoutMs: 2000 })
  const output = await git.catch(() => undefined)
  return output && /^[0-9a-f]{40,64}$/.exec(output.stdout.trim())?.[0]
}
