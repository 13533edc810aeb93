import type { Client } from "pg"
import { z } from "zod"
import { formatDuration } from "../core/duration.ts"
import { errorText } from "../core/error-text.ts"
import { isConnectionLoss } from "../postgres/connect-error.ts"
import type { ActionResult, MaintenanceAction } from "./actions.ts"
import { dropLeftover } from "./leftovers.ts"
import { lockHolder } from "./obstacles.ts"
import { ReindexFailed, reindex } from "./reindex.ts"
import { analyzeTable, vacuumTable } from "./vacuum.ts"
import { validateConstraint } from "./validate.ts"

type Limits = {
  limitMs: number
  /** Fires when the run must end. */
  ending: AbortSignal
}

/** Rows that break a constraint are counted for at most this long. */
const countLimitMs = 60_000

/** A table that is locked for longer is left for the next run. None of these waits holds up readers or writers. */
const longestLockMs = 60_000

/**
 * Runs one action and verifies it. Does not reject: what stands in the way is the result, and with `error` beside it nothing more can be
 * done in this session.
 */
export async function runAction(
  client: Client,
  action: MaintenanceAction,
  { limitMs, ending }: Limits,
): Promise<ActionResult & { error?: unknown }> {
  try {
    await limitStatements(client, limitMs)
    return await dispatch(client, action, limitMs)
  } catch (error) {
    const cause = error instanceof ReindexFailed ? error.cause : error
    if (ending.aborted || isConnectionLoss(cause)) {
      const why = ending.aborted ? "interrupted" : "the connection was lost while it ran"
      const detail = `${why}: ${action.action === "reindex" ? "an invalid index that it left is dropped by the next run" : "nothing is half done"}`
      return { end: "failed", detail, error: ending.aborted ? ending.reason : cause }
    }
    const result = await explain(client, action, cause, limitMs)
    return error instanceof ReindexFailed ? { ...result, detail: `${result.detail}; ${error.message}` } : result
  }
}

function dispatch(client: Client, action: MaintenanceAction, limitMs: number): Promise<ActionResult> {
  switch (action.action) {
    case "leftovers":
      return dropLeftover(client, action.index, action.need)
    case "validate":
      return validateConstraint(client, action, Math.min(limitMs, countLimitMs))
    case "reindex":
      return reindex(client, action)
    case "vacuum":
      return vacuumTable(client, action)
    case "analyze":
      return analyzeTable(client, action)
  }
}

/** Providers set a limit for the role, and some poolers drop what a session sets: it is read back. */
async function limitStatements(client: Client, limitMs: number): Promise<void> {
  const wanted = Math.ceil(limitMs)
  await client.query("select set_config('statement_timeout', $1, false), set_config('lock_timeout', $2, false)", [
    String(wanted),
    String(Math.ceil(Math.min(longestLockMs, limitMs / 2))),
  ])
  const { rows } = await client.query("select setting::float8 as ms from pg_settings where name = 'statement_timeout'")
  const { ms } = z.object({ ms: z.number() }).parse(rows[0])
  if (ms === wanted) return
  throw new Error(
    `the server keeps its own statement_timeout of ${formatDuration(ms)}: connect without a transaction pooler`,
  )
}

/** What an answer of the server means for this action. Its text is left out where it may hold a value of a row. */
async function explain(
  client: Client,
  action: MaintenanceAction,
  error: unknown,
  limitMs: number,
): Promise<ActionResult> {
  const code = error instanceof Error && "code" in error ? String(error.code) : ""
  if (code === "42501") return { end: "refused", detail: errorText(error) }
  if (code === "55P03" || code === "40P01") {
    const holder = await lockHolder(client, action.table.oid)
    const who = holder
      ? `it is held by ${holder}`
      : "it was given back just then, or this role may not see by whom it is held"
    return { end: "blocked", detail: `no lock was to be had in time: ${who}` }
  }
  if (code === "57014") {
    const detail = `it did not end within ${formatDuration(limitMs)}, or was cancelled: raise care.actionTimeLimit, or run it by hand`
    return { end: "blocked", detail }
  }
  if (code === "42P01" || code === "42704") return { end: "gone", detail: "it is gone since the plan was made" }
  if (code === "53100") return { end: "failed", detail: "the server's disk is full: make room before anything else" }
  const isOfTheServer = code === "" || ["0A", "25", "42", "53", "54", "55", "57", "58", "XX"].includes(code.slice(0, 2))
  return { end: "failed", detail: isOfTheServer ? errorText(error) : `the server answered with error ${code}` }
}
