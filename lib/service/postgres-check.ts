import type { Client } from "pg"
import { ConfigError } from "../core/config-error.ts"
import { formatDuration } from "../core/duration.ts"
import { worstOutcome } from "../core/outcome.ts"
import { describeAddress } from "../postgres/address.ts"
import { startTimer } from "../system/clock.ts"
import type { CheckResult, PhaseTimings, Surroundings } from "./check.ts"
import { explainPostgresError } from "./postgres-failure.ts"
import type { PostgresProbe } from "./service.ts"
import { throwDefect, timedOut } from "./socket-failure.ts"

/** A statement that takes all the time is ended by the server a little before the connection is. */
const statementShare = 0.9

/**
 * Whether a Postgres answers `select 1`, and the queries that the configuration names: each in a statement of its own, the writing
 * one in a transaction that is rolled back. The time of each is in `numbers`, such as `read.ms`. After `timeoutMs` nothing more is
 * asked; where a statement still runs then, ending it on the server may take 3 s more.
 */
export async function checkPostgres(probe: PostgresProbe, { timeoutMs, signal }: Surroundings): Promise<CheckResult> {
  const { withClient } = await import("../postgres/connect.ts")
  const elapsed = startTimer()
  const deadline = AbortSignal.timeout(timeoutMs)
  const place = describeAddress(probe.address)
  const steps: Steps = { timings: {}, took: [] }
  const options = {
    applicationName: "nightshift/health",
    signal: AbortSignal.any([signal, deadline]),
    statementTimeoutMs: timeoutMs * statementShare,
  }
  const address = { ...probe.address, connectTimeoutSeconds: timeoutMs / 1000 }
  try {
    await withClient(address, options, async (client) => {
      steps.timings.connectMs = elapsed()
      await askAll(client, probe.queries, steps, elapsed)
      steps.timings.totalMs = elapsed() // without saying good-bye
    })
    return judgeSteps(place, probe.queries, steps, { totalMs: elapsed(), ...steps.timings })
  } catch (error) {
    signal.throwIfAborted()
    throwDefect(error)
    const timings = { totalMs: elapsed(), ...steps.timings }
    if (error instanceof ConfigError) return { outcome: "unknown", detail: error.message, timings } // an unreadable CA file
    const phase = steps.timings.connectMs === undefined ? "connect" : undefined
    const doing = steps.doing === undefined ? "" : `, ${steps.doing}`
    const result = deadline.aborted
      ? timedOut(`${place}${doing}`, phase, timeoutMs, timings)
      : { ...explainPostgresError(place, steps.doing, error), timings }
    return { ...result, ...(steps.took.length > 0 && { numbers: numbersOf(steps) }) }
  }
}

/** What was asked so far, for the result of a check that stops half-way. */
type Steps = {
  timings: Partial<PhaseTimings>
  took: { name: string; ms: number }[]
  doing?: string
  problem?: string
}

type Queries = PostgresProbe["queries"]

async function askAll(client: Client, queries: Queries, steps: Steps, elapsed: () => number): Promise<void> {
  await timed(steps, "ping", () => single(client, "select 1"))
  steps.timings.firstByteMs = elapsed()
  const { read, write, heavy } = queries ?? {}
  if (read !== undefined) {
    await timed(steps, "read", async () => {
      if ((await single(client, read)) === 0) steps.problem = "the read query returned no row"
    })
  }
  if (write !== undefined) await timed(steps, "write", () => rolledBack(client, write))
  if (heavy !== undefined) await timed(steps, "heavy", () => single(client, heavy))
}

async function timed(steps: Steps, name: string, fn: () => Promise<unknown>): Promise<void> {
  const elapsed = startTimer()
  steps.doing = name === "ping" ? "select 1" : `the ${name} query`
  await fn()
  steps.took.push({ name, ms: elapsed() })
}

/** Exactly one statement: the extended protocol takes no second one behind a semicolon, such as a commit. Returns the number of rows. */
async function single(client: Client, sql: string): Promise<number> {
  const text: { text: string; queryMode: "extended" } = { text: sql, queryMode: "extended" }
  return (await client.query(text)).rows.length
}

async function rolledBack(client: Client, sql: string): Promise<void> {
  await client.query("begin")
  await single(client, sql)
  await client.query("rollback")
}

function judgeSteps(place: string, queries: Queries, steps: Steps, timings: PhaseTimings): CheckResult {
  const numbers = numbersOf(steps)
  if (steps.problem !== undefined) {
    return { outcome: "fail", detail: `${place}: ${steps.problem}`, failure: { class: "query" }, timings, numbers }
  }
  const slow = steps.took.flatMap(({ name, ms }) => {
    const { failMs, degradedMs } = queries ?? {}
    if (failMs !== undefined && ms > failMs) return [tooSlow("fail", name, ms, failMs)]
    return degradedMs !== undefined && ms > degradedMs ? [tooSlow("warn", name, ms, degradedMs)] : []
  })
  if (slow.length > 0) {
    const detail = `${place}: ${slow.map(({ text }) => text).join(", ")}`
    return {
      outcome: worstOutcome(slow.map(({ outcome }) => outcome)),
      detail,
      failure: { class: "slow" },
      timings,
      numbers,
    }
  }
  const told = steps.took.map(({ name, ms }) => `${name} ${formatDuration(ms)}`).join(", ")
  return { outcome: "ok", detail: `${place} answers (${told})`, timings, numbers }
}

function tooSlow(outcome: "warn" | "fail", name: string, ms: number, limitMs: number) {
  return { outcome, text: `${name} took ${formatDuration(ms)}, limit ${formatDuration(limitMs)}` }
}

function numbersOf({ took }: Steps): Record<string, number> {
  return Object.fromEntries(took.map(({ name, ms }) => [`${name}.ms`, Math.round(ms * 10) / 10]))
}
