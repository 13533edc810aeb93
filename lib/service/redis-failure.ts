import { errorText } from "../core/error-text.ts"
import type { CheckResult, FailureClass } from "./check.ts"
import { codeOf, explainSocketError, phaseOf } from "./socket-failure.ts"

const maxProblemLength = 200

/** The class of an error of Redis in words; `doing` is what was asked, nothing while connecting. */
export function explainRedisError(
  place: string,
  doing: string | undefined,
  error: unknown,
): Pick<CheckResult, "outcome" | "detail" | "failure"> {
  const text = errorText(error)
  const known = replies.find(([pattern]) => pattern.test(text))
  if (known) return { outcome: "fail", detail: `${place} ${known[2]}`, failure: { class: known[1] } }
  if (doing !== undefined && codeOf(error) === "" && !/socket|client is closed/i.test(text)) {
    return { outcome: "fail", detail: `${place}: ${doing} failed: ${cut(text)}`, failure: { class: "query" } }
  }
  const { class: failureClass, problem } = isHungUp(text) ? hungUp : explainSocketError(error)
  const phase = doing === undefined ? phaseOf(failureClass) : undefined
  const begin = doing === undefined ? `${place} cannot be reached` : `${place}: ${doing} failed`
  return { outcome: "fail", detail: `${begin}: ${cut(problem)}`, failure: { class: failureClass, phase } }
}

function cut(text: string): string {
  return text.length > maxProblemLength ? `${text.slice(0, maxProblemLength)}…` : text
}

function isHungUp(text: string): boolean {
  return /^(Socket closed unexpectedly|The client is closed)/i.test(text)
}

const hungUp = { class: "reset", problem: "the other side hung up" } as const

/** What a server answers that lives but does not serve. */
const replies: [RegExp, FailureClass, string][] = [
  [/^WRONGPASS |^ERR invalid password/, "auth", "refuses user or password: correct them in the URL"],
  [/^NOAUTH /, "auth", "asks for a password: add it to the URL"],
  [
    /^ERR (Client sent AUTH, but no password is set|AUTH <password> called without)/,
    "auth",
    "has no password set, and the URL has one",
  ],
  [/^NOPERM /, "auth", "does not let this user write and read keys that begin with nightshift:probe:"],
  [/^LOADING /, "refused", "is starting: it still loads its data"],
  [/^ERR max number of clients/, "refused", "has no connection left: see maxclients, and who holds them"],
  [/^MASTERDOWN /, "refused", "is a replica that has lost its master"],
  [/^READONLY /, "query", "takes no writes: it is a replica"],
  [/^OOM /, "query", "takes no writes: its memory is full (maxmemory)"],
  [/^MISCONF /, "query", "takes no writes: it cannot save to its disk"],
  [/^CLUSTERDOWN /, "query", "belongs to a cluster that is down"],
  [/^BUSY /, "query", "is kept busy by a script"],
  [/max (daily |monthly )?requests? limit/i, "over-quota", "has used up its requests"],
  [/^ERR DB index is out of range/, "query", "has no database of that number"],
  [/^Connection timeout/i, "timeout", "took no connection in time"],
]
