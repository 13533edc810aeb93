import { errorText } from "../core/error-text.ts"
import type { CheckResult, FailureClass } from "./check.ts"
import { codeOf, explainSocketError, phaseOf } from "./socket-failure.ts"

const maxProblemLength = 300

/** The class of an error of Postgres in words; `doing` is what was asked, nothing while connecting. `place` never has the password in it. */
export function explainPostgresError(
  place: string,
  doing: string | undefined,
  error: unknown,
): Pick<CheckResult, "outcome" | "detail" | "failure"> {
  const failureClass = classOf(error, doing !== undefined)
  const remedy = remedies[codeOf(error)]
  const text = errorText(error)
  const problem = text.length > maxProblemLength ? `${text.slice(0, maxProblemLength)}…` : text
  const detail = doing === undefined ? problem : `${place}: ${doing} failed: ${problem}${remedy ? `: ${remedy}` : ""}`
  const phase = doing === undefined ? phaseOf(failureClass) : undefined
  return { outcome: "fail", detail, failure: { class: failureClass, phase } }
}

function classOf(error: unknown, isConnected: boolean): FailureClass {
  const text = innermost(error)
  const byText = texts.find(([pattern]) => pattern.test(text))
  if (byText) return byText[1]
  const code = codeOf(error)
  const byCode = isConnected ? sessionCodes[code] : connectCodes[code]
  if (byCode) return byCode
  if (/^[0-9A-Z]{5}$/.test(code) && /\d/.test(code)) return "query" // an SQLSTATE, not a code of the system such as EPIPE
  return explainSocketError(error).class
}

/** What server or client said itself, without the words that were put around it. */
function innermost(error: unknown): string {
  return error instanceof Error && error.cause instanceof Error ? innermost(error.cause) : errorText(error)
}

/** SQLSTATEs of a server that does not let anybody in, or not this user. */
const connectCodes: Record<string, FailureClass> = {
  "28P01": "auth",
  "28000": "auth",
  "42501": "auth",
  "53300": "refused", // too many connections
  "53400": "refused",
  "57P03": "refused", // starting up, shutting down
}

const sessionCodes: Record<string, FailureClass> = {
  "42501": "auth",
  "57014": "timeout", // the statement's limit
  "25P04": "timeout",
  "57P01": "reset", // the server shuts down
  "57P02": "reset",
  "57P03": "refused",
  "57P05": "reset",
}

/** What poolers, hosts and the client say without a code of their own. */
const texts: [RegExp, FailureClass][] = [
  [/exceeded the .{0,40}(quota|limit)|quota exceeded/i, "over-quota"],
  [/endpoint (has been|is) disabled|project is paused/i, "paused"],
  [/timeout expired|timeout exceeded when trying to connect/i, "timeout"],
  [/password must be|Tenant or user not found|no such user|password authentication failed/i, "auth"],
  [/max(imum)? client connections reached|no more connections allowed|sorry, too many clients/i, "refused"],
  [/does not support SSL/i, "tls"],
  [/^Connection terminated/, "reset"],
]

const remedies: Record<string, string> = {
  "25006": "it takes no writes: it is a standby, or its host made it read-only because the disk is full",
  "53100": "the disk of the server is full",
  "57014": "it ran longer than it may: see whether something holds a lock, or the server is overloaded",
  "42P01": "see whether the table was moved, and whether search_path names its schema",
}
