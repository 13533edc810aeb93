import type { Writable } from "node:stream"
import { errorText } from "../core/error-text.ts"
import type { Log } from "../core/log.ts"
import { bounded, type Curfew } from "./curfew.ts"
import type { Variables } from "./origin.ts"
import { type History, readHistory } from "./past-runs.ts"
import type { Verdict } from "./perform.ts"
import type { Prepared } from "./prepare.ts"
import { exitCodeOf, type Run } from "./run.ts"
import { type Teller, type Telling, tell } from "./tell.ts"
import { ledgerTeller } from "./tell-ledger.ts"
import { slackTeller } from "./tell-slack.ts"
import { summaryTeller } from "./tell-summary.ts"

export type Tellers = { summary: Teller; slack: Teller; ledger: Teller; verdict: Verdict }

type Scene = { prepared: Prepared; verdict: Verdict; env: Variables; stderr: Writable; log: Log; curfew: Curfew }

/** Everyone who hears of a run. */
export function tellersFor({ prepared, verdict, env, stderr, log, curfew }: Scene): Tellers {
  const { alerts, app, job, origin, ledger } = prepared
  const slack = slackTeller({
    url: alerts.slackUrl,
    app,
    about: job?.about ?? prepared.name,
    kind: verdict.kind,
    readPast: () => readPast(prepared, log, curfew),
    runbookAddress: (name) => `${origin.filesUrl ? `${origin.filesUrl}/` : ""}docs/runbooks/${name}.md`,
  })
  return { summary: summaryTeller(env, stderr), slack, ledger: ledgerTeller(ledger, verdict.kind), verdict }
}

/** Tells everyone, whatever happens to the others. The ledger comes last, so that its line says how the telling went. */
export async function tellAll(
  tellers: Tellers,
  telling: Telling,
  context: { log: Log; curfew: Curfew },
): Promise<Run["told"]> {
  const [summary, slack] = await Promise.all([
    tell(tellers.summary, telling, { ...context, reserveMs: 500 }),
    tell(tellers.slack, telling, { ...context, reserveMs: 500 }),
  ])
  const told = { summary, slack }
  const run = { ...telling.run, told, exitCode: exitCodeOf(tellers.verdict, told) }
  const ledger = await tell(tellers.ledger, { ...telling, run }, { ...context, reserveMs: 250 })
  return { ...told, ledger }
}

/**
 * What is known of earlier runs: from the ledger, and where that is not kept between runs from the job's own store.
 * `undefined` when nothing can be known. Never rejects and takes 15 s at most: it must not delay bad news.
 */
async function readPast(prepared: Prepared, log: Log, curfew: Curfew): Promise<History | undefined> {
  const { ledger, job, config, hasHistory } = prepared
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
  const isConfigured = prepared.problems.length === 0 && !prepared.broken
  if (!job?.lastSuccess || !isConfigured) return hasHistory ? history : undefined
  const store = await attempt("asking the store", async () => ({ at: await job.lastSuccess?.(config) }))
  if (!store) return hasHistory ? history : undefined
  return { ...history, ...(store.at && { lastSuccess: store.at }) }
}
