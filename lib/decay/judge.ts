import { formatDuration } from "../core/duration.ts"
import { errorText } from "../core/error-text.ts"
import type { Finding } from "../core/finding.ts"
import { formatCount, formatCounted } from "../core/size.ts"
import type { Applied, DecayLimits, DecayOutcome } from "./apply.ts"
import type { DecayPlan } from "./plan.ts"
import type { PreparedRule } from "./prepared.ts"
import type { Verdict } from "./watermark.ts"

export type Subject = { database: string; rule: Pick<PreparedRule, "config"> }

type ToApply = Extract<Verdict, { kind: "apply" }>

/** What became of a rule, for people: one finding, and one for each threshold that only counts. Pure. */
export function judgeOutcome(at: Subject, outcome: DecayOutcome): Finding[] {
  if (outcome.kind === "done") return [finding(at, "ok", outcome.reason, { through: outcome.through.toISOString() })]
  if (outcome.kind === "refuse") return [finding(at, "fail", `nothing was changed: ${outcome.reason}`)]
  const { verdict, plan, applied } = outcome
  const detail = [
    `${formatCounted(applied.changed, "row")} of ${formatCount(plan.considered)} changed`,
    ...describe(at, plan, applied.crossed, "fell"),
    ...(applied.marked > 0 ? [`${formatCounted(applied.marked, "row")} marked`] : []),
    ...describeWhen(verdict),
  ]
  return [finding(at, "ok", detail.join("; "), facts(verdict, plan, applied)), ...judgeCrossed(at, plan, applied)]
}

/** The plan of a rule, as a finding of a dry run. Pure. */
export function judgePlan(at: Subject, verdict: Verdict, plan: DecayPlan | undefined): Finding[] {
  if (verdict.kind === "done") return [finding(at, "ok", `dry run: nothing to do: ${verdict.reason}`)]
  if (verdict.kind === "refuse" || !plan) {
    return [
      finding(at, "fail", `dry run: it would be refused: ${verdict.kind === "refuse" ? verdict.reason : "no plan"}`),
    ]
  }
  const crossing = plan.thresholds.map((threshold) => threshold.crossing)
  const detail = [
    `dry run: would change ${formatCounted(plan.changed, "row")} of ${formatCount(plan.considered)}`,
    ...describe(at, plan, crossing, "would fall"),
    ...describeWhen(verdict),
  ]
  return [finding(at, "ok", detail.join("; "), facts(verdict, plan, undefined))]
}

/** A rule that did not come to its end: what it did was rolled back. Values of rows do not get into the text. */
export function judgeFailure(
  at: Subject,
  error: unknown,
  { lockTimeoutMs }: Pick<DecayLimits, "lockTimeoutMs">,
): Finding {
  const text = failureText(error, lockTimeoutMs)
  return finding(at, "fail", `not applied (it is all or nothing, and running it again is harmless): ${text}`)
}

/** When and how far, and what is special about it. */
export function describeWhen({ through, steps, notes }: ToApply): string[] {
  const counted = steps === undefined ? [] : [formatCounted(steps, "step")]
  return [[...counted, `through ${through.toISOString()}`].join(" "), ...notes]
}

function describe({ rule }: Subject, plan: DecayPlan, crossed: number[], verb: string): string[] {
  const alone =
    plan.leftAlone === 0
      ? []
      : [`${formatCount(plan.leftAlone)} left alone, without a usable value, base, time or half-life`]
  const thresholds = plan.thresholds.map(
    ({ below, under }, index) =>
      `${formatCount(crossed[index] ?? 0)} ${verb} to ${below} or less, where ${formatCount(under)} are then`,
  )
  return rule.config.thresholds.length > 0 ? [...alone, ...thresholds] : alone
}

function facts(
  { through, steps }: ToApply,
  plan: DecayPlan,
  applied: Applied | undefined,
): Record<string, string | number> {
  const thresholds = plan.thresholds.flatMap(({ below, crossing, under }, index) => [
    [`crossed ${below}`, applied?.crossed[index] ?? crossing] as const,
    [`under ${below}`, under] as const,
  ])
  return {
    through: through.toISOString(),
    ...(steps === undefined ? {} : { steps }),
    considered: plan.considered,
    leftAlone: plan.leftAlone,
    ...(applied
      ? { planned: plan.changed, changed: applied.changed, marked: applied.marked }
      : { changed: plan.changed }),
    ...Object.fromEntries(thresholds),
    ...(plan.histogram ? histogramFacts(plan.histogram) : {}),
  }
}

function histogramFacts({
  from,
  to,
  before,
  after,
}: NonNullable<DecayPlan["histogram"]>): Record<string, string | number> {
  return { histogramFrom: from, histogramTo: to, histogramBefore: before.join(" "), histogramAfter: after.join(" ") }
}

function judgeCrossed({ database, rule }: Subject, plan: DecayPlan, applied: Applied): Finding[] {
  return plan.thresholds.flatMap(({ below, under }, index): Finding[] => {
    if (rule.config.thresholds[index]?.action !== "notify") return []
    const crossed = applied.crossed[index] ?? 0
    const detail = `${formatCounted(crossed, "row")} fell to ${below} or less; ${formatCount(under)} are there now`
    const subject = `${subjectOf({ database, rule })}/${below}`
    const outcome = crossed > 0 ? "warn" : "ok"
    return [{ subject, outcome, detail, facts: { crossed, under }, runbook: "decay", severity: "P3" }]
  })
}

/** What messages say of thresholds: the job did its work, and its own words on failures are not true of them. */
export function aboutThresholds(findings: readonly Finding[]): Record<string, { impact: string; firstAction: string }> {
  const about = {
    impact: "none for the app: rows are worth little by now, and nothing was done to them",
    firstAction: "see whether they should be marked or leave: `action` of the threshold, or a rule of cleanup",
  }
  const crossed = findings.filter(({ subject }) => /^database\/[^/]+\/decay\/.+\/-?[\d.e+-]+$/.test(subject))
  return Object.fromEntries(crossed.map(({ subject }) => [subject, about]))
}

function subjectOf({ database, rule }: Subject): string {
  return `database/${database}/decay/${rule.config.name}`
}

function finding(at: Subject, outcome: Finding["outcome"], detail: string, numbers?: Finding["facts"]): Finding {
  return { subject: subjectOf(at), outcome, detail, ...(numbers && { facts: numbers }), runbook: "decay" }
}

function failureText(error: unknown, lockTimeoutMs: number): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : ""
  if (code === "55P03") {
    return `a row or the table stayed locked by another session for ${formatDuration(lockTimeoutMs)}, time and again: end that session, see pg_blocking_pids in pg_stat_activity`
  }
  return errorText(error)
}
