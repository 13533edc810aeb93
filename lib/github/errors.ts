import { formatDuration } from "../core/duration.ts"
import { HttpFailed } from "../system/http.ts"

/** Something that GitHub did not do, with its words and the remedy; never with the token or the query of an address. */
export class GitHubFailed extends Error {
  /** What GitHub answered; `undefined` when no answer came. */
  readonly status: number | undefined
  /** A write whose answer was lost or useless may have been done all the same: look before doing it again. */
  readonly mayBeDone: boolean

  constructor(message: string, status: number | undefined, mayBeDone: boolean) {
    super(message)
    this.name = "GitHubFailed"
    this.status = status
    this.mayBeDone = mayBeDone
  }
}

/** What was asked, for the words of a failure. */
export type Asked = {
  /** Such as `list the incidents`. */
  what: string
  repository: string
  method: string
  path: string
}

/** An answer of GitHub that is a refusal, as octokit read it. */
export type Refusal = { status: number; headers: Record<string, string | undefined>; data: unknown }

/** Says what a refusal means for whoever must act. `hide` takes secrets out of GitHub's own words. */
export function refused(asked: Asked, refusal: Refusal, hide: (text: string) => string): GitHubFailed {
  const words = wordsOf(refusal.data)
  const said = [refusal.status, hide(words)].filter(Boolean).join(" ")
  const mayBeDone = refusal.status >= 500 && asked.method !== "GET"
  return failed(asked, `${said}: ${remedyFor(asked, refusal, words)}`, refusal.status, mayBeDone)
}

/** Says why no answer came: how far the request had come, and with which host. */
export function unanswered(asked: Asked, error: unknown): GitHubFailed {
  const isHttp = error instanceof HttpFailed
  const words = error instanceof Error ? error.message : String(error)
  const mayBeDone = asked.method !== "GET" && !(isHttp && error.phase === "connect")
  const failure = failed(asked, `${words}: see https://www.githubstatus.com`, undefined, mayBeDone)
  failure.cause = error
  return failure
}

/** A failure in words of our own. */
export function failed({ what, repository }: Asked, problem: string, status?: number, mayBeDone = false): GitHubFailed {
  return new GitHubFailed(`cannot ${what} in ${repository}: ${problem}`, status, mayBeDone)
}

function remedyFor(asked: Asked, { status, headers }: Refusal, words: string): string {
  if (status === 403 || status === 429) return forbidden(asked, headers, words)
  if (status === 401) return "the token is not valid: give the step GITHUB_TOKEN, or make a new token"
  if (status === 404) return "check GITHUB_REPOSITORY, and that the token may read this repository"
  if (status === 410) return "turn issues on in the repository's settings, or set INCIDENTS to a directory"
  if (status >= 500) return "GitHub has trouble: see https://www.githubstatus.com"
  if (status >= 300 && status < 400) return "the repository has moved: set GITHUB_REPOSITORY to its new name"
  return "GitHub does not take it as it is: report it as a defect"
}

function forbidden(asked: Asked, headers: Refusal["headers"], words: string): string {
  const resetSeconds = Number(headers["x-ratelimit-reset"])
  if (headers["x-ratelimit-remaining"] === "0" && resetSeconds > 0) {
    const reset = new Date(resetSeconds * 1000).toISOString().replace(".000Z", "Z")
    return `the hourly limit of this token is used up until ${reset}: run less often, or give another token`
  }
  const waitSeconds = Number(headers["retry-after"])
  if (waitSeconds > 0)
    return `GitHub asks to wait ${formatDuration(waitSeconds * 1000)}: find what else uses this token`
  if (/rate limit/i.test(words)) return "GitHub asks to slow down: find what else uses this token"
  if (/archived|read-only/i.test(words)) return "the repository is archived: unarchive it"
  return `add ${neededPermission(asked, headers)} under permissions in the workflow, or to the token`
}

/** GitHub names what would do in a header; by the path where it does not. */
function neededPermission({ method, path }: Asked, headers: Refusal["headers"]): string {
  const [accepted] = (headers["x-accepted-github-permissions"] ?? "").split(";")
  if (accepted) return accepted.trim().replaceAll("=", ": ")
  const access = method === "GET" ? "read" : "write"
  const kind = /\/(actions|check-runs)\b/.exec(path)?.[1] ?? "issues"
  return `${kind === "check-runs" ? "checks" : kind}: ${access}`
}

const maxWords = 200

/** The message and the errors of an answer in JSON; nothing of a page. */
function wordsOf(data: unknown): string {
  if (typeof data !== "object" || data === null || !("message" in data)) return ""
  const errors = "errors" in data && Array.isArray(data.errors) ? data.errors.map(detailOf) : []
  return [String(data.message), ...errors].filter(Boolean).join("; ").replace(/\s+/g, " ").slice(0, maxWords)
}

function detailOf(error: unknown): string {
  if (typeof error !== "object" || error === null) return String(error)
  const { message, field, code } = error as { message?: unknown; field?: unknown; code?: unknown }
  return message === undefined ? [field, code].filter(Boolean).join(" ") : String(message)
}
