import type { Client } from "pg"
import { errorText } from "../core/error-text.ts"
import type { PostgresAddress } from "../postgres/address.ts"
import { withClient } from "../postgres/connect.ts"
import { isConnectionLoss } from "../postgres/connect-error.ts"
import { refuseUnsuitableAddress } from "../postgres/pooler.ts"
import { startTimer } from "../system/clock.ts"
import { readCapabilities } from "./capabilities.ts"
import type { CareCheck, CareContext, CheckResult, Threshold } from "./check.ts"

/** What became of one check; `failed` is a check that broke, which says nothing about the database. */
export type CheckReport = {
  check: CareCheck
  result: CheckResult | { status: "failed"; reason: string }
  durationMs: number
}

export type ChecksOrder = Pick<CareContext, "settings" | "now" | "earlier"> & {
  address: PostgresAddress
  checks: readonly CareCheck[]
  signal: AbortSignal
}

const statementTimeoutMs = 30_000
const lockTimeoutMs = 2000

/**
 * Asks all questions that are not switched off in one session that cannot write, one after the other: the database has work of its own.
 * A check that breaks is reported as such and the others go on; a lost connection ends all of it. Behind a transaction pooler the session's
 * settings would stay with whoever comes next: `ConfigError` then, before anything is set.
 */
export async function runChecks({ address, checks, signal, ...order }: ChecksOrder): Promise<CheckReport[]> {
  const connection = { applicationName: "nightshift/database", signal, statementTimeoutMs }
  await refuseUnsuitableAddress(address, { applicationName: "nightshift/database", signal })
  return withClient(address, connection, async (client) => {
    const versionNumber = await prepareSession(client)
    const context: CareContext = { ...order, client, versionNumber, may: await readCapabilities(client) }
    const reports: CheckReport[] = []
    for (const check of checks.filter(({ name }) => !order.settings.checks[name]?.off)) {
      signal.throwIfAborted()
      const elapsed = startTimer()
      const result = await runOne(check, context)
      reports.push({ check, result, durationMs: elapsed() })
    }
    return reports
  })
}

/** Nothing that a check asks may write, wait long for a lock, or be misled by a search path. Returns the server's version number. */
async function prepareSession(client: Client): Promise<number> {
  const { rows } = await client.query(
    `select set_config('default_transaction_read_only', 'on', false), set_config('search_path', '', false), set_config('jit', 'off', false),
            set_config('datestyle', 'ISO, YMD', false),
            set_config('lock_timeout', $1, false), current_setting('server_version_num') as version`,
    [String(lockTimeoutMs)],
  )
  return Number(rows[0]?.version)
}

async function runOne(check: CareCheck, context: CareContext): Promise<CheckReport["result"]> {
  try {
    return await check.run(context, thresholdOf(check, context.settings))
  } catch (error) {
    if (isConnectionLoss(error) || context.client.connection.stream.destroyed) throw error
    if (codeOf(error) === "42501")
      return { status: "skipped", reason: `${context.may.role} may not: ${errorText(error)}` }
    return { status: "failed", reason: errorText(error) }
  }
}

/** The team's thresholds, each of which wins over the check's own. */
export function thresholdOf(check: CareCheck, settings: CareContext["settings"]): Threshold {
  const { warn, fail } = settings.checks[check.name] ?? {}
  return { warn: warn ?? check.threshold.warn, fail: fail ?? check.threshold.fail }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : ""
}
