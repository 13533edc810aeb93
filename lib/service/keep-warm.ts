import { formatDuration } from "../core/duration.ts"
import { errorText } from "../core/error-text.ts"
import type { Finding } from "../core/finding.ts"
import type { Log } from "../core/log.ts"
import { escapeCell } from "../core/markdown.ts"
import type { Observation } from "../core/observation.ts"
import type { Ledger } from "../ledger/ledger.ts"
import { readObservations } from "../ledger/observations.ts"
import { startTimer } from "../system/clock.ts"
import { createLimit } from "./limit.ts"
import { type PingAround, type PingResult, ping } from "./ping.ts"
import { planWarmth, type WarmPlan } from "./warm-plan.ts"
import { judgeWarmth, reportWarmth } from "./warm-report.ts"
import type { WarmSettings, WarmTarget } from "./warmth.ts"

/** What became of one service in one run. */
export type Kept = {
  name: string
  plan: WarmPlan
  /** Absent when it was not pinged. */
  result?: PingResult
  findings: Finding[]
  observation?: Observation
  /** What was delivered, in one line. */
  warmth: string
}

export type KeepOptions = PingAround & {
  dryRun: boolean
  log: Log
  /** For all pings together; 4 minutes unless told, so that the job has time left for health. */
  roundMs?: number
}

const dayMs = 86_400_000
const monthDays = 31
const atOnce = 20
const usualRoundMs = 240_000

/** What earlier runs saw, as far back as planning and judging need; `undefined`, with a warning, when it cannot be read. */
export async function readWarmHistory(
  ledger: Pick<Ledger, "read" | "streams">,
  targets: readonly WarmSettings[],
  now: Date,
  log: Log,
): Promise<Observation[] | undefined> {
  const days = Math.max(monthDays, ...targets.map(({ enoughDays }) => enoughDays))
  try {
    return await readObservations(ledger, new Date(now.getTime() - days * dayMs), now)
  } catch (error) {
    log.warn(`earlier pings are not known, so that no budget and no interval is kept to: ${errorText(error)}`)
    return undefined
  }
}

/** Pings what is to be pinged now, side by side, and says how warm each was kept. One service never stops the others. */
export async function keepWarm(
  targets: readonly WarmTarget[],
  history: readonly Observation[] | undefined,
  options: KeepOptions,
): Promise<Kept[]> {
  const limited = createLimit(atOnce)
  const elapsedMs = startTimer()
  const leftMs = () => (options.roundMs ?? usualRoundMs) - elapsedMs()
  const known = history && Map.groupBy(history, ({ service }) => service)
  return Promise.all(
    targets.map((target) => limited(() => keepOne(target, known && (known.get(target.name) ?? []), options, leftMs))),
  )
}

async function keepOne(
  target: WarmTarget,
  history: readonly Observation[] | undefined,
  options: KeepOptions,
  leftMs: () => number,
): Promise<Kept> {
  const { now, dryRun, log } = options
  const plan = planWarmth(target, history ?? [], now)
  log.info(`${target.name}: ${plan.act}: ${plan.reason}`)
  const result = plan.act === "ping" && !dryRun ? await pingWithin(leftMs(), target, options) : undefined
  const { warmth, finding } = measure(target, history, plan, now)
  return {
    ...{ name: target.name, plan, warmth },
    findings: [pingFinding(target.name, plan, result, dryRun), finding],
    ...(result && { result }),
    ...(result && result.tries > 0 && { observation: observationOf(target.name, plan, result, now) }),
  }
}

/** Waking up is waited for as long as the run has time. */
async function pingWithin(leftMs: number, target: WarmTarget, options: KeepOptions): Promise<PingResult> {
  if (leftMs <= 0)
    return { outcome: "unknown", detail: "not pinged: the time of the run was over", totalMs: 0, tries: 0 }
  return ping({ ...target, wakeMs: Math.min(target.wakeMs, Math.ceil(leftMs)) }, options)
}

/** Measured over the last day, or the time after which the host sleeps where that is longer. It begins with the first ping that is known. */
function measure(
  target: WarmTarget,
  history: readonly Observation[] | undefined,
  plan: WarmPlan,
  now: Date,
): { warmth: string; finding: Finding } {
  if (!history) {
    const detail = "not measured: earlier pings could not be read"
    return { warmth: detail, finding: { subject: `service/${target.name}/warmth`, outcome: "unknown", detail } }
  }
  const first = history.find(({ service, by }) => service === target.name && by === "keep-warm")?.at ?? now
  const from = Math.max(first.getTime(), now.getTime() - Math.max(dayMs, target.idleMs))
  const report = reportWarmth(target, history, new Date(from), now)
  const finding = judgeWarmth(target, report, plan.budget)
  return { warmth: finding.detail, finding }
}

/** Of what was not pinged the last ping still holds: a pause heals nothing. */
function pingFinding(name: string, plan: WarmPlan, result: PingResult | undefined, dryRun: boolean): Finding {
  const finding = { subject: `service/${name}/ping`, runbook: "keep-warm", severity: "P3" as const }
  if (!result) {
    const words = plan.act === "ping" && dryRun ? "would be pinged" : "not pinged"
    const before = plan.lastFailed ? "; the last ping did not count" : ""
    return { ...finding, outcome: plan.lastFailed ? "unknown" : "ok", detail: `${words}: ${plan.reason}${before}` }
  }
  return {
    ...finding,
    outcome: result.outcome,
    detail: `${result.detail}; ${plan.reason}`,
    ...(result.class !== undefined && { class: result.class }),
    facts: {
      ...(result.firstByteMs !== undefined && { firstByteMs: Math.round(result.firstByteMs) }),
      ...(plan.gapMs !== undefined && { gapMinutes: Math.round(plan.gapMs / 60_000) }),
      ...(plan.budget && { budgetHoursLeft: Math.floor(plan.budget.leftHours) }),
      ...(result.isCold && { coldStart: "yes" }),
      actionsMinutes: plan.actionsMinutes,
    },
  }
}

/** A service that could not be pinged, since the values behind its settings are not there. */
export function unreadablePing(name: string, missing: readonly string[]): Finding {
  return { subject: `service/${name}/ping`, outcome: "unknown", detail: `${name} not pinged: ${missing.join("; ")}` }
}

function observationOf(service: string, plan: WarmPlan, result: PingResult, at: Date): Observation {
  return {
    ...{ at, service, by: "keep-warm", outcome: result.outcome, totalMs: Math.round(result.totalMs) },
    ...(result.class !== undefined && { class: result.class }),
    ...(result.firstByteMs !== undefined && { latencyMs: Math.round(result.firstByteMs) }),
    ...(result.status !== undefined && { status: result.status }),
    ...(result.tries > 1 && { tries: result.tries }),
    ...(result.isCold && { isCold: true }),
    ...(plan.gapMs !== undefined && { numbers: { gapMinutes: Math.round(plan.gapMs / 60_000) } }),
  }
}

/** All services in one line. */
export function summarizeKept(kept: readonly Kept[]): string {
  return kept.map((one) => `${one.name}: ${told(one)}`).join("; ")
}

/** A table of what was done and delivered, for the page of the run. */
export function renderKept(kept: readonly Kept[]): string {
  const rows = kept.map((one) =>
    [one.name, told(one), one.plan.reason, one.warmth, `${one.plan.actionsMinutes} min`].map(escapeCell).join(" | "),
  )
  return [
    "| Service | This run | Plan | Delivered | Actions this month |",
    "| --- | --- | --- | --- | --- |",
    ...rows.map((row) => `| ${row} |`),
    "",
  ].join("\n")
}

function told({ plan, result }: Kept): string {
  if (!result) return plan.act === "ping" ? "would be pinged" : `not pinged (${plan.reason})`
  if (result.outcome !== "ok") return `the ping did not count: ${result.detail}`
  const ms = result.firstByteMs === undefined ? "" : ` in ${formatDuration(result.firstByteMs)}`
  return `${result.isCold ? "woke up" : "warm"}${ms}`
}
