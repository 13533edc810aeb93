import type { z } from "zod"
import { ConfigError } from "../core/config-error.ts"
import { formatDuration } from "../core/duration.ts"
import { errorText } from "../core/error-text.ts"
import type { Log } from "../core/log.ts"
import { startTimer } from "../system/clock.ts"
import { parseHttpUrl } from "../system/http.ts"
import { createRedactor } from "../system/redact.ts"
import { type Asked, failed, type Refusal, refused, unanswered } from "./errors.ts"
import { type Limits, limits, loadOctokit, type Octokit } from "./octokit.ts"

export type GitHubOptions = {
  token: string
  /** `owner/name`. */
  repository: string
  /** `GITHUB_API_URL`: GitHub Enterprise has its own. */
  apiUrl?: string
  log: Log
  signal?: AbortSignal
  /** How long to try and how fast to go; GitHub's own advice where not given. */
  limits?: Partial<Limits>
}

export type Parameters = Record<string, string | number | boolean | string[] | Record<string, string> | undefined>

/** One repository at GitHub, asked with one token. */
export type GitHub = {
  /** `owner/name`. */
  readonly repository: string
  readonly signal: AbortSignal | undefined
  /**
   * Asks for one thing: `ask("read issue 5", schema, "GET /repos/{owner}/{repo}/issues/{number}", { number: 5 })`. Reads, and writes that
   * may be done twice, are tried again when no answer came; a POST never is. Waits as GitHub asks while it stays within the limits.
   * Rejects with `GitHubFailed`, with the signal's reason when the signal fired.
   */
  ask<T>(what: string, schema: z.ZodType<T>, route: string, parameters?: Parameters): Promise<T>
  /** All rows of a list, page by page; rejects rather than give a part of more than 50 pages. */
  list<T>(what: string, schema: z.ZodType<T>, route: string, parameters?: Parameters): Promise<T[]>
  /** The address that GitHub sends the reader to, for what lies elsewhere, such as a log. */
  locate(what: string, route: string, parameters?: Parameters): Promise<string>
}

const maxPages = 50

/** A repository at GitHub. Touches nothing, and loads octokit, only at the first question; `ConfigError` for a name or address that cannot be. */
export function openGitHub(options: GitHubOptions): GitHub {
  const { repository, signal, log } = options
  const [, owner = "", repo = ""] = /^([\w-]+)\/([\w.-]+)$/.exec(repository) ?? []
  if (owner === "") throw new ConfigError(`${JSON.stringify(repository)} is no repository: write owner/name`)
  if (options.token === "") throw new ConfigError("GITHUB_TOKEN is missing: set it to a token that may write issues")
  const apiUrl = parseHttpUrl(options.apiUrl ?? "https://api.github.com", "GITHUB_API_URL", "https://api.github.com")
  const set: Limits = { ...limits, ...options.limits }
  const redactor = createRedactor()
  redactor.add(options.token)
  let octokit: Promise<Octokit> | undefined
  let lostMs = 0

  /** Runs one question within its time. What earlier questions lost counts, so that a dead GitHub costs a run minutes, not hours. */
  async function within<T>(asked: Asked, fn: (octokit: Octokit, signal: AbortSignal) => Promise<T>): Promise<T> {
    signal?.throwIfAborted()
    const leftMs = set.patienceMs - lostMs
    if (leftMs <= 0) throw failed(asked, `not tried: GitHub gave no answer for ${formatDuration(set.patienceMs)}`)
    octokit ??= loadOctokit({ token: options.token, apiUrl, limits: set, log })
    const timeout = AbortSignal.timeout(Math.min(set.callMs, leftMs))
    const both = signal ? AbortSignal.any([signal, timeout]) : timeout
    const elapsed = startTimer()
    try {
      return await unless(both, fn(await octokit, both))
    } catch (error) {
      signal?.throwIfAborted()
      const failure = explain(asked, error, timeout.aborted)
      if (failure.status === undefined || failure.status >= 500) lostMs += elapsed()
      throw failure
    }
  }

  function explain(asked: Asked, error: unknown, timedOut: boolean) {
    const refusal = refusalOf(error)
    if (refusal) return refused(asked, refusal, redactor.text)
    if (timedOut) return unanswered(asked, new Error(`no answer within ${formatDuration(set.callMs)}`))
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
    return unanswered(asked, cause instanceof Error ? cause : new Error(redactor.text(errorText(error))))
  }

  async function request(asked: Asked, route: string, parameters: Parameters): Promise<Answer> {
    return within(asked, async (octokit, signal) => {
      const given = { owner, repo, ...parameters, request: { signal } }
      return octokit.request(route, given)
    })
  }

  async function answered(asked: Asked, route: string, parameters: Parameters): Promise<Answer> {
    const answer = await request(asked, route, parameters)
    if (answer.status >= 300) throw refused(asked, answer, redactor.text)
    return answer
  }

  return {
    repository,
    signal,
    async ask(what, schema, route, parameters = {}) {
      const asked = askedFor(what, repository, route)
      return parse(asked, schema, (await answered(asked, route, parameters)).data)
    },
    async list(what, schema, route, parameters = {}) {
      const asked = askedFor(what, repository, route)
      const rows: z.output<typeof schema>[] = []
      let answer = await answered(asked, route, { per_page: 100, ...parameters })
      for (let page = 1; ; page++) {
        rows.push(...rowsOf(asked, answer.data).map((row) => parse(asked, schema, row)))
        const next = nextPage(asked, answer, apiUrl)
        if (next === undefined) return rows
        if (page === maxPages) throw failed(asked, `there are more than ${rows.length}: remove the label from old ones`)
        answer = await answered(asked, `GET ${next}`, {})
      }
    },
    async locate(what, route, parameters = {}) {
      const asked = askedFor(what, repository, route)
      const { status, headers } = await request(asked, route, parameters)
      if (headers.location !== undefined && URL.canParse(headers.location)) return headers.location
      throw failed(asked, `${status} without an address: check GITHUB_API_URL`, status)
    },
  }
}

type Answer = Awaited<ReturnType<Octokit["request"]>>

function askedFor(what: string, repository: string, route: string): Asked {
  const [method = "GET", path = ""] = route.split(" ")
  return { what, repository, method, path }
}

function parse<T>(asked: Asked, schema: z.ZodType<T>, data: unknown): T {
  const parsed = schema.safeParse(data)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  const where = issue && issue.path.length > 0 ? `${issue.path.join(".")}: ${issue.message}` : "it is of another kind"
  throw failed(
    asked,
    `the answer is not what GitHub sends (${where}): check GITHUB_API_URL`,
    200,
    asked.method !== "GET",
  )
}

/** Some lists come bare, some in an object beside their count. */
function rowsOf(asked: Asked, data: unknown): unknown[] {
  const list = Array.isArray(data) ? data : Object.values(data ?? {}).find(Array.isArray)
  if (list !== undefined && typeof data === "object") return list
  throw failed(asked, "the answer is no list: check GITHUB_API_URL", 200)
}

/** The token goes to no other server than the one that it is for. */
function nextPage(asked: Asked, { headers }: Answer, apiUrl: string): string | undefined {
  const [, link] = /<([^<>]+)>;\s*rel="next"/.exec(headers.link ?? "") ?? []
  if (link === undefined || URL.parse(link)?.origin === new URL(apiUrl).origin) return link
  throw failed(
    asked,
    "the next page is said to be on another host: set GITHUB_API_URL to the address that GitHub itself uses",
  )
}

function refusalOf(error: unknown): Refusal | undefined {
  if (typeof error !== "object" || error === null || !("response" in error)) return undefined
  return error.response === undefined ? undefined : (error.response as Refusal)
}

/** What `fn` gives, or a rejection as soon as the signal fires: octokit's own waits know no signal. */
async function unless<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const stop = () => reject(signal.reason)
  if (signal.aborted) stop()
  signal.addEventListener("abort", stop, { once: true })
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener("abort", stop)
  }
}
