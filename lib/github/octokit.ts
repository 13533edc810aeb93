import type { Log } from "../core/log.ts"
import { sleep, startTimer } from "../system/clock.ts"
import { httpRequest } from "../system/http.ts"

/** How long GitHub is waited for, and how fast it is written to. */
export type Limits = {
  /** For one try of one request. */
  tryMs: number
  /** For one question with all its tries and waits. */
  callMs: number
  /** What questions without an answer may cost together; after that nothing is asked any more. */
  patienceMs: number
  /** Tries after the first one. */
  retries: number
  /** Before the second try; four times as long before the third. */
  retryMs: number
  /** The longest wait that is granted when GitHub asks for one. */
  waitMs: number
  /** Between two writes: GitHub asks for a second. */
  writeGapMs: number
}

export const limits: Limits = {
  tryMs: 15_000,
  callMs: 60_000,
  patienceMs: 120_000,
  retries: 2,
  retryMs: 1000,
  waitMs: 30_000,
  writeGapMs: 1000,
}

/** As much of octokit as is used here. */
export type Octokit = {
  request(
    route: string,
    parameters: Record<string, unknown>,
  ): Promise<{ status: number; headers: Record<string, string | undefined>; data: unknown }>
}

type Settings = { token: string; apiUrl: string; limits: Limits; log: Log }

/** GitHub's client with retries and throttling. Takes longer to load than all the rest of a small job. */
export async function loadOctokit({ token, apiUrl, limits, log }: Settings): Promise<Octokit> {
  const [{ getOctokit }, { retry }, { throttling }] = await Promise.all([
    import("@actions/github"),
    import("@octokit/plugin-retry"),
    import("@octokit/plugin-throttling"),
  ])
  const patiently = (why: string) => (waitSeconds: number, _options: unknown, _octokit: unknown, tries: number) => {
    const willWait = tries < limits.retries && waitSeconds * 1000 <= limits.waitMs
    if (willWait) log.warn(`GitHub asks to wait ${waitSeconds} s: ${why}`)
    return willWait
  }
  const options = {
    baseUrl: apiUrl.replace(/\/+$/, ""),
    userAgent: "nightshift",
    log: quiet(log),
    request: { fetch: fetchWithin(limits.tryMs) },
    // What was refused stays refused; 403 and 429 are waited for by the other plugin, as long as GitHub asks.
    retry: { doNotRetry: refusals, retries: limits.retries, retryAfterBaseValue: limits.retryMs },
    throttle: {
      id: `${apiUrl} ${token}`,
      write: paced(limits.writeGapMs),
      notifications: paced(0),
      onRateLimit: patiently("the hourly limit is used up"),
      onSecondaryRateLimit: patiently("too much at once"),
    },
  }
  const octokit = getOctokit(token, options as unknown as Parameters<typeof getOctokit>[1], retry, throttling)
  octokit.hook.before("request", (request) => {
    // Whoever hears no answer to a POST must look whether it was done, not do it again.
    if (request.method === "POST") request.request = { ...request.request, retries: 0 }
  })
  return octokit as unknown as Octokit
}

const refusals = [400, 401, 403, 404, 405, 406, 409, 410, 412, 413, 415, 422, 429, 451, 501]
const maxBytes = 64_000_000

/** One connection a request, a time limit for each, and failures that tell how far it came. */
function fetchWithin(timeoutMs: number) {
  return async (
    url: string,
    init: { method: "GET"; headers: Record<string, string>; body?: string; signal?: AbortSignal },
  ) => {
    const { method, headers, body, signal } = init
    const answer = await httpRequest({ url, method, headers, body, signal, timeoutMs, maxBytes })
    const hasNoBody = answer.status === 204 || answer.status === 205 || answer.status === 304
    return new Response(hasNoBody ? null : answer.body, { status: answer.status, headers: answer.headers })
  }
}

/** Stands in for the limiter of the throttling plugin, whose gap of 3 s between issues cannot be set. */
function paced(gapMs: number) {
  let last: Promise<unknown> = Promise.resolve()
  let sinceLast: (() => number) | undefined
  const schedule = (_options: unknown, go: () => Promise<unknown>) => {
    last = last.then(async () => {
      const waitMs = gapMs - (sinceLast?.() ?? gapMs)
      if (waitMs > 0) await sleep(waitMs)
      sinceLast = startTimer()
    })
    return last.then(go)
  }
  return { key: () => ({ schedule }) }
}

function quiet(log: Log) {
  const debug = (message: string) => log.debug(`octokit: ${message}`)
  return { debug: () => undefined, info: () => undefined, warn: debug, error: debug }
}
