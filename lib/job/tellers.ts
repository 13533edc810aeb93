import { errorText } from "../core/error-text.ts"
import { summarizeFindings } from "../core/finding.ts"
import type { Log } from "../core/log.ts"
import type { ActionsOutput } from "../github/actions-output.ts"
import { type GitHub, openGitHub } from "../github/client.ts"
import { looksWanted } from "../incident/policy.ts"
import type { Redactor } from "../system/redact.ts"
import { bounded, type Curfew } from "./curfew.ts"
import type { Variables } from "./origin.ts"
import { type History, readHistory } from "./past-runs.ts"
import type { Verdict } from "./perform.ts"
import type { Prepared } from "./prepare.ts"
import { hidesDetails, publicRecords, publicRun, recordsOf } from "./public-run.ts"
import { readRecentLooks } from "./recent-looks.ts"
import { exitCodeOf, type Run } from "./run.ts"
import { type Telling, tell } from "./tell.ts"
import { type IncidentContext, incidentTeller, type Legacy } from "./tell-incidents.ts"
import { ledgerTeller } from "./tell-ledger.ts"
import { summaryTeller } from "./tell-summary.ts"
import { postNotes, readUnkeptNotes } from "./unkept-notes.ts"

/** Pages of failed runs are asked for beside the incidents: they must not use up the time for telling. */
const pageLimits = { callMs: 10_000, patienceMs: 20_000 }

/** A finished run and all that telling it takes. */
export type Scene = {
  prepared: Prepared
  verdict: Verdict
  env: Variables
  actions: ActionsOutput | undefined
  log: Log
  curfew: Curfew
  redactor: Redactor
}

/**
 * Tells everyone, whatever happens to the others. The ledger comes last, so that its line says how the telling went.
 * `run` has passed the redaction; the rest of what is told passes it here. In a public repository only Slack hears the details.
 */
export async function tellAll(scene: Scene, run: Run): Promise<Run["told"]> {
  const { prepared, verdict, redactor } = scene
  const { json } = prepared.command
  const isHidden = hidesDetails(prepared, verdict)
  const records = redactor.value(isHidden ? publicRecords(verdict) : recordsOf(verdict))
  const legacy: Legacy = { unkept: [], caughtUp: "nowhere" }
  const telling: Telling = { run, records, page: verdict.page && redactor.text(verdict.page) }
  const shown = isHidden ? { ...telling, run: publicRun(run), page: undefined } : telling
  const [summary, incidents] = await Promise.all([
    tell(summaryTeller({ ...scene, json }), shown, { ...scene, reserveMs: 500 }),
    tell(incidentTeller(incidentContext(scene, legacy)), telling, { ...scene, reserveMs: 500 }),
  ])
  const told = redactor.value({ summary, incidents })
  const left = redactor.value(bequeath(legacy))
  if (left.unkept && scene.actions && !json) postNotes(left.unkept, scene.actions)
  const line = ledgerLine({ ...shown.run, ...left, told, exitCode: exitCodeOf(verdict, told) }, prepared.job?.observer)
  const ledger = await tell(
    ledgerTeller(prepared.ledger, verdict.kind),
    { ...telling, run: line },
    { ...scene, reserveMs: 250 },
  )
  return redactor.value({ ...told, ledger })
}

/** What of a legacy is worth a word in the run's line. */
function bequeath({ unkept, caughtUp }: Legacy): Pick<Run, "unkept" | "caughtUp"> {
  return { ...(unkept.length > 0 && { unkept: [...unkept] }), ...(caughtUp !== "nowhere" && { caughtUp }) }
}

/** An observer runs every few minutes: of what is as it should be its observations say enough. */
function ledgerLine(run: Run, isObserver = false): Run {
  if (!isObserver) return run
  const findings = run.findings.filter(({ outcome }) => outcome !== "ok")
  return { ...run, findings, summary: findings.length === 0 ? "all is as it should be" : summarizeFindings(findings) }
}

function incidentContext(scene: Scene, legacy: Legacy): IncidentContext {
  const { prepared, verdict, log, curfew, redactor } = scene
  const { alerts, app, origin, ledger, job, name, now } = prepared
  return {
    ...{ memory: prepared.incidents, policy: prepared.policy, slackUrl: alerts.slackUrl, app, log },
    ...{ impact: impactOf(prepared), kind: verdict.kind, isObserver: job?.observer ?? false },
    isWhole: verdict.isWhole ?? prepared.command.ownOptions.length === 0,
    ...{ drill: verdict.drill ?? false, isPublic: origin.isPublic, aboutSubjects: redactor.value(verdict.about ?? {}) },
    readRecent: async (subjects) =>
      ledger ? readRecentLooks(ledger, name, subjects, { now, wanted: looksWanted(prepared.policy) }) : new Map(),
    legacy,
    readNotes: (hasMemory) => {
      const sources = { ledger, workflowRun: origin.workflowRun, now, log }
      return readUnkeptNotes({ ...sources, ...(hasMemory && job?.observer && { github: githubOf(scene) }) })
    },
    readPast: () => readPast(prepared, log, curfew),
    runbookAddress: (name) => `${origin.filesUrl ? `${origin.filesUrl}/` : ""}docs/runbooks/${name}.md`,
  }
}

/** GitHub, for runs in Actions: others have no pages. Not for one that must end. */
function githubOf({ prepared: { origin }, env, log, curfew }: Scene): GitHub | undefined {
  const [token, repository] = [env.GITHUB_TOKEN?.trim(), env.GITHUB_REPOSITORY?.trim()]
  if (!origin.inActions || !token || !repository || curfew.signal.aborted) return undefined
  const apiUrl = env.GITHUB_API_URL?.trim() || "https://api.github.com"
  return openGitHub({ token, repository, apiUrl, log, limits: pageLimits })
}

function impactOf({ job, name }: Prepared): string {
  return job?.impact ?? `this work is not done, or in doubt: ${job?.about ?? name}`
}

/**
 * What is known of earlier runs: from the ledger, and where that is not kept between runs from the job's own store.
 * `undefined` when nothing can be known. Never rejects and takes 15 s at most: it must not delay bad news.
 */
async function readPast(prepared: Prepared, log: Log, curfew: Curfew): Promise<History | undefined> {
  const { ledger, job, config } = prepared
  const attempt = async <T>(what: string, work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await bounded(work, { what, timeoutMs: 7500, curfew, reserveMs: 700 })
    } catch (error) {
      log.warn(`cannot see earlier runs: ${errorText(error)}`)
      return undefined
    }
  }
  const history = ledger && (await attempt("reading the ledger", () => readHistory(ledger, prepared.name)))
  if (history?.lastSuccess) return history
  // A ledger that knows no run of it may be new: that is no proof that the job never did its work.
  const known = history?.failing && history
  const isConfigured = prepared.problems.length === 0 && !prepared.broken
  if (!job?.lastSuccess || !isConfigured) return known
  const store = await attempt("asking the store", async () => ({ at: await job.lastSuccess?.(config) }))
  if (!store) return known
  return { ...history, ...(store.at && { lastSuccess: store.at }) }
}
