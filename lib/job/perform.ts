import { ConfigError } from "../core/config-error.ts"
import { errorText, stackText } from "../core/error-text.ts"
import type { Finding } from "../core/finding.ts"
import type { Log } from "../core/log.ts"
import { type Outcome, worstOutcome } from "../core/outcome.ts"
import { bounded, type Curfew } from "./curfew.ts"
import type { JobResult } from "./job.ts"
import { findDoneRun } from "./past-runs.ts"
import type { Prepared } from "./prepare.ts"

/** What came of a run, before it is told. */
export type Verdict = JobResult & {
  kind: "ran" | "slot done" | "broken" | "misconfigured"
  outcome: Outcome
  isRed: boolean
}

export type Surroundings = { log: Log; curfew: Curfew; run: { id: string; commit: string | undefined } }

/** How much of the time that is left after a signal belongs to what comes after the job. */
const tellingReserveMs = 900

/** Runs the prepared job unless there is a reason not to. Never rejects: whatever goes wrong is a verdict. */
export async function perform(prepared: Prepared, surroundings: Surroundings): Promise<Verdict> {
  const { job, ledger, problems, broken, now, slot } = prepared
  if (problems.length > 0) return misconfigured(prepared, problems)
  if (broken || !job || !ledger) return brokenJob(prepared, broken?.error, surroundings.log)
  const done = await doneAlready(prepared, surroundings.log)
  if (done) return slotDone(slot, done.id)
  const { log, curfew, run } = surroundings
  const context = {
    ...{ now, slot, ledger, log, run },
    config: prepared.config,
    options: prepared.command.options,
    trigger: prepared.origin.trigger,
    dryRun: prepared.dryRun,
    signal: curfew.signal,
  }
  try {
    const bounds = { what: job.name, timeoutMs: Number.POSITIVE_INFINITY, curfew, reserveMs: tellingReserveMs }
    const result = await bounded(async () => job.run(context), bounds)
    return curfew.signal.aborted ? interrupted(prepared, curfew.signal, result) : judged(result, job.observer ?? false)
  } catch (error) {
    if (curfew.signal.aborted) return interrupted(prepared, curfew.signal, { findings: [] }, error)
    if (error instanceof ConfigError) return misconfigured(prepared, error.problems)
    return brokenJob(prepared, error, log)
  }
}

/** Only planned slots can be done: a run by hand is for its own time. An observer looks again whenever it is asked. */
async function doneAlready(
  { job, isPlanned, dryRun, command, ledger, slot }: Prepared,
  log: Log,
): Promise<{ id: string } | undefined> {
  if (!job || !ledger || !isPlanned || dryRun || command.again || job.observer) return undefined
  try {
    return await findDoneRun(ledger, job.name, slot)
  } catch (error) {
    log.warn(`cannot see whether the slot is done, so it is done again: ${errorText(error)}`)
    return undefined
  }
}

function judged(result: JobResult, isObserver: boolean): Verdict {
  const outcome = worstOutcome(result.findings.map((finding) => finding.outcome))
  return { ...result, kind: "ran", outcome, isRed: result.isRed ?? (outcome === "fail" && !isObserver) }
}

function slotDone(slot: Date, runId: string): Verdict {
  const summary = `slot ${slot.toISOString()} already done by run ${runId}: --again runs it all the same`
  return { kind: "slot done", outcome: "ok", isRed: false, summary, findings: [] }
}

function misconfigured(prepared: Prepared, problems: readonly string[]): Verdict {
  const count = problems.length === 1 ? "1 thing" : `${problems.length} things`
  const verdict = failure("misconfigured", prepared, `${count} to correct: ${problems.join("; ")}`)
  return {
    ...verdict,
    findings: verdict.findings.flatMap((finding) => problems.map((detail) => ({ ...finding, detail }))),
  }
}

function brokenJob(prepared: Prepared, error: unknown, log: Log): Verdict {
  const text = errorText(error)
  // A defect of the code itself is found by its stack; for bad days of the world the message says it all.
  const isDefect = [TypeError, ReferenceError, RangeError, SyntaxError].some((kind) => error instanceof kind)
  const stack = error instanceof Error ? { stack: stackText(error) } : {}
  if (isDefect) log.error(text, stack)
  else log.debug(text, stack)
  return failure("broken", prepared, text)
}

/** An interrupted job may have left work out without a word, so that whatever it returned the run is red. What it did is recorded. */
function interrupted(
  prepared: Prepared,
  signal: AbortSignal,
  { findings, records = [] }: Pick<JobResult, "findings" | "records">,
  error?: unknown,
): Verdict {
  const reason = errorText(signal.reason)
  const text = error === undefined || errorText(error) === reason ? "" : `: ${errorText(error)}`
  const verdict = failure("broken", prepared, `ended early (${reason})${text}`)
  // What failed for no other reason than that is not a second piece of news.
  const children = findings.map((finding) =>
    finding.outcome === "fail" && finding.detail.includes(reason)
      ? { ...finding, cause: `job/${prepared.name}` }
      : finding,
  )
  return { ...verdict, findings: [...verdict.findings, ...children], records }
}

function failure(kind: Verdict["kind"], { name, runbook }: Prepared, detail: string): Verdict {
  const finding: Finding = { subject: `job/${name}`, outcome: "fail", detail, ...(runbook && { runbook }) }
  return { kind, outcome: "fail", isRed: true, summary: detail, findings: [finding] }
}
