import type { ServerResponse } from "node:http"

/** How GitHub answers when it does not do what was asked; statuses, words and headers are its own. */
const answers = {
  unauthorized: { status: 401, message: "Bad credentials" },
  forbidden: { status: 403, message: "Resource not accessible by integration" },
  not_found: { status: 404, message: "Not Found" },
  gone: { status: 410, message: "Issues are disabled for this repo" },
  invalid: { status: 422, message: "Validation Failed" },
  server_error: { status: 500, message: "Server Error" },
  unavailable: { status: 503, message: "Service Unavailable" },
} as const

/**
 * `hang` never answers, `reset` cuts the connection before anything is done, `lost` does what was asked and then cuts it,
 * `bad_gateway` is a page of the load balancer, `not_github` is some other page with status 200.
 */
export type GitHubAnswer =
  | "ok"
  | keyof typeof answers
  | "bad_gateway"
  | "not_github"
  | "hang"
  | "reset"
  | "lost"
  /** The hourly limit is used up for so many seconds. */
  | { rateLimitedSeconds: number }
  /** Too much at once; without a number GitHub does not say for how long. */
  | { secondarySeconds: number | undefined; status?: 403 | 429 }

export type Reply = { status: number; body?: unknown; headers?: Record<string, string> }

/** What GitHub says for a planned failure; `undefined` for those that are no answer at all. */
export function plannedReply(planned: GitHubAnswer, method: string, path: string, now: Date): Reply | undefined {
  if (typeof planned === "object") return "rateLimitedSeconds" in planned ? primary(planned, now) : secondary(planned)
  if (planned === "bad_gateway") return page(502, "<html><h1>Unicorn!</h1>We had issues producing the response</html>")
  if (planned === "not_github") return page(200, "<html>Sign in to the network</html>")
  if (planned === "ok" || planned === "hang" || planned === "reset" || planned === "lost") return undefined
  const { status, message } = answers[planned]
  const headers: Record<string, string> =
    planned === "forbidden" ? { "x-accepted-github-permissions": permissionFor(method, path) } : {}
  const errors = planned === "invalid" ? { errors: [{ resource: "Issue", field: "title", code: "invalid" }] } : {}
  return refuse(status, message, errors, headers)
}

/** An error as GitHub words it. */
export function refuse(
  status: number,
  message: string,
  more: object = {},
  headers: Record<string, string> = {},
): Reply {
  const body = { message, ...more, documentation_url: "https://docs.github.com/rest", status: String(status) }
  return { status, body, headers }
}

export function send(response: ServerResponse, { status, body, headers = {} }: Reply): void {
  const isText = typeof body === "string"
  const content = isText ? "text/html; charset=utf-8" : "application/json; charset=utf-8"
  response.writeHead(status, { ...(body !== undefined && { "content-type": content }), ...headers })
  response.end(body === undefined ? undefined : isText ? body : JSON.stringify(body))
}

function primary({ rateLimitedSeconds }: { rateLimitedSeconds: number }, now: Date): Reply {
  const reset = Math.ceil(now.getTime() / 1000 + rateLimitedSeconds)
  return refuse(
    403,
    "API rate limit exceeded for installation ID 1.",
    {},
    { "x-ratelimit-limit": "1000", "x-ratelimit-remaining": "0", "x-ratelimit-reset": String(reset) },
  )
}

function secondary({
  secondarySeconds,
  status = 403,
}: {
  secondarySeconds: number | undefined
  status?: number
}): Reply {
  const wait: Record<string, string> = secondarySeconds === undefined ? {} : { "retry-after": String(secondarySeconds) }
  const words = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
  return refuse(status, words, {}, wait)
}

function page(status: number, body: string): Reply {
  return { status, body }
}

function permissionFor(method: string, path: string): string {
  const kind = /\/actions\//.test(path) ? "actions" : /\/check-runs\//.test(path) ? "checks" : "issues"
  return `${/\/dispatches$/.test(path) && kind === "issues" ? "contents" : kind}=${method === "GET" ? "read" : "write"}`
}
