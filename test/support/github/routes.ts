import { type Reply, refuse } from "./answers.ts"
import * as state from "./state.ts"

export type Call = {
  method: string
  url: URL
  body: unknown
  repository: state.GitHubRepository
  /** Who asks. */
  login: string
  /** The time of GitHub, to the second. */
  at: string
  /** The address of this server. */
  origin: string
}

type Handler = (call: Call, ids: Record<string, string>) => Reply
const routes: { method: string; pattern: RegExp; handle: Handler }[] = []
const route = (method: string, path: string, handle: Handler) => {
  const pattern = new RegExp(`^${path.replace(/\{(\w+)\}/g, "(?<$1>[^/]+)")}$`)
  routes.push({ method, pattern, handle })
}

/** Answers what comes after `/repos/owner/name`. */
export function answerRepository(call: Call, path: string): Reply {
  for (const { method, pattern, handle } of routes) {
    const match = call.method === method ? pattern.exec(path) : null
    if (match) return handle(call, decoded(match.groups ?? {}))
  }
  return missing()
}

route("GET", "", ({ repository }) => {
  const [owner = "", name] = repository.fullName.split("/")
  return found({
    id: 1,
    name,
    full_name: repository.fullName,
    private: repository.isPrivate,
    visibility: repository.isPrivate ? "private" : "public",
    has_issues: repository.hasIssues,
    default_branch: "main",
    owner: state.userOf(owner),
    html_url: `https://github.com/${repository.fullName}`,
  })
})

route("GET", "/issues", (call) => {
  const { searchParams } = call.url
  const wanted = searchParams.get("state") ?? "open"
  const labels = (searchParams.get("labels") ?? "").toLowerCase().split(",").filter(Boolean)
  const since = Date.parse(searchParams.get("since") ?? "1970-01-01T00:00:00Z")
  const ascending = searchParams.get("direction") === "asc"
  const issues = [...call.repository.issues.values()]
    .filter((issue) => wanted === "all" || issue.state === wanted)
    .filter((issue) => labels.every((label) => issue.labels.some(({ name }) => name.toLowerCase() === label)))
    .filter((issue) => Date.parse(issue.updated_at) >= since)
    .sort((left, right) => (ascending ? left.number - right.number : right.number - left.number))
  return withIssues(call, () => paged(call, issues))
})

route("POST", "/issues", (call) =>
  withIssues(call, () => {
    const { title, body, labels } = call.body as { title?: unknown; body?: unknown; labels?: string[] }
    const problem = titleProblem(title) ?? bodyProblem(body)
    if (problem) return problem
    const given = { by: call.login, title: String(title), ...(typeof body === "string" && { body }), labels }
    return { status: 201, body: state.makeIssue(call.repository, given, call.at) }
  }),
)

route("GET", "/issues/{number}", (call, { number }) => withIssue(call, number, (issue) => found(issue)))

route("PATCH", "/issues/{number}", (call, { number }) =>
  withIssue(call, number, (issue) => {
    const change = call.body as state.IssueChange
    const problem = (change.title === undefined ? undefined : titleProblem(change.title)) ?? bodyProblem(change.body)
    if (problem) return problem
    state.changeIssue(call.repository, issue, call.login, change, call.at)
    return found(issue)
  }),
)

route("GET", "/issues/{number}/comments", (call, { number }) =>
  withIssue(call, number, (issue) => {
    const since = Date.parse(call.url.searchParams.get("since") ?? "1970-01-01T00:00:00Z")
    const comments = state.commentsOf(call.repository, issue)
    return paged(
      call,
      comments.filter((comment) => Date.parse(comment.updated_at) >= since),
    )
  }),
)

route("POST", "/issues/{number}/comments", (call, { number }) =>
  withIssue(call, number, (issue) => {
    const { body } = call.body as { body?: unknown }
    const problem = bodyProblem(body ?? null)
    if (problem || typeof body !== "string" || body.trim() === "")
      return problem ?? invalid("IssueComment", "body", "missing_field")
    return { status: 201, body: state.makeComment(call.repository, issue, call.login, body, call.at) }
  }),
)

route("GET", "/labels/{name}", ({ repository }, { name = "" }) => {
  const label = repository.labels.get(name.toLowerCase())
  return label ? found(label) : missing()
})

route("POST", "/labels", ({ repository, body }) => {
  const { name = "", color, description } = body as { name?: string; color?: string; description?: string }
  if (name === "") return invalid("Label", "name", "missing_field")
  if (repository.labels.has(name.toLowerCase())) return invalid("Label", "name", "already_exists")
  if ((description ?? "").length > 100) return invalid("Label", "description", "too_long")
  const label = Object.assign(state.labelOf(repository, name), {
    color: color ?? "ededed",
    description: description ?? null,
  })
  return { status: 201, body: label }
})

route("GET", "/collaborators/{login}/permission", ({ repository }, { login = "" }) => {
  const role = repository.roles.get(login) ?? "read"
  const permission = { maintain: "write", triage: "read" }[role] ?? role
  return found({ permission, role_name: role, user: state.userOf(login) })
})

route("GET", "/actions/runs", (call) => pagedAs(call, "workflow_runs", filteredRuns(call, call.repository.runs)))

route("GET", "/actions/workflows/{workflow}/runs", (call, { workflow = "" }) => {
  const runs = call.repository.runs.filter((run) => isOf(run, workflow))
  return runs.length === 0 ? missing() : pagedAs(call, "workflow_runs", filteredRuns(call, runs))
})

route("GET", "/actions/runs/{id}", ({ repository }, { id }) => {
  const run = repository.runs.find((run) => run.id === Number(id))
  return run ? found(run) : missing()
})

route("GET", "/actions/runs/{id}/jobs", (call, { id }) => {
  const run = call.repository.runs.find((run) => run.id === Number(id))
  if (!run) return missing()
  const all = call.url.searchParams.get("filter") === "all"
  const jobs = call.repository.jobs.filter(
    (job) => job.run_id === run.id && (all || job.run_attempt === run.run_attempt),
  )
  return pagedAs(call, "jobs", jobs)
})

route("GET", "/actions/runs/{id}/attempts/{attempt}/jobs", (call, { id, attempt }) => {
  const run = call.repository.runs.find((run) => run.id === Number(id))
  if (!run || Number(attempt) > run.run_attempt) return missing()
  const ofAttempt = (job: state.GitHubJob) => job.run_id === run.id && job.run_attempt === Number(attempt)
  return pagedAs(call, "jobs", call.repository.jobs.filter(ofAttempt))
})

route("GET", "/actions/jobs/{id}/logs", ({ repository, origin }, { id }) => {
  const isThere = repository.logs.has(Number(id))
  const location = `${origin}/blobs/${repository.fullName}/${id}?sig=signature`
  return isThere ? { status: 302, headers: { location } } : missing()
})

route("GET", "/check-runs/{id}/annotations", (call, { id }) => {
  const annotations = call.repository.annotations.get(Number(id))
  return annotations ? paged(call, annotations) : missing()
})

route("POST", "/actions/workflows/{workflow}/dispatches", ({ repository, body }, { workflow = "" }) => {
  repository.dispatches.push({ workflow, body })
  return { status: 204 }
})

route("POST", "/dispatches", ({ repository, body }) => {
  repository.dispatches.push({ workflow: "repository", body })
  return { status: 204 }
})

function filteredRuns({ url }: Call, runs: state.GitHubRun[]): state.GitHubRun[] {
  const { searchParams } = url
  const status = searchParams.get("status")
  const branch = searchParams.get("branch")
  const event = searchParams.get("event")
  const created = searchParams.get("created")
  return runs
    .filter((run) => !created?.startsWith("<") || Date.parse(run.created_at) < Date.parse(created.slice(1)))
    .filter((run) => !created?.startsWith(">=") || Date.parse(run.created_at) >= Date.parse(created.slice(2)))
    .filter((run) => status === null || run.conclusion === status || run.status === status)
    .filter((run) => (branch === null || run.head_branch === branch) && (event === null || run.event === event))
    .sort((left, right) => Date.parse(right.created_at) - Date.parse(left.created_at) || right.id - left.id)
}

function isOf(run: state.GitHubRun, workflow: string): boolean {
  return String(run.workflow_id) === workflow || run.path.replace(/^.*\//, "") === workflow
}

function withIssues({ repository }: Call, answer: () => Reply): Reply {
  return repository.hasIssues ? answer() : refuse(410, "Issues has been disabled in this repository.")
}

function withIssue(call: Call, number: string | undefined, answer: (issue: state.GitHubIssue) => Reply): Reply {
  const issue = call.repository.issues.get(Number(number))
  return withIssues(call, () => (issue ? answer(issue) : missing()))
}

function paged(call: Call, rows: unknown[]): Reply {
  const { items, headers } = pageOf(call, rows)
  return { status: 200, body: items, headers }
}

function pagedAs(call: Call, key: string, rows: unknown[]): Reply {
  const { items, headers } = pageOf(call, rows)
  return { status: 200, body: { total_count: rows.length, [key]: items }, headers }
}

function pageOf({ url, origin }: Call, rows: unknown[]): { items: unknown[]; headers: Record<string, string> } {
  const size = Math.min(100, Number(url.searchParams.get("per_page") ?? 30))
  const page = Number(url.searchParams.get("page") ?? 1)
  const last = Math.max(1, Math.ceil(rows.length / size))
  const linkTo = (target: number, rel: string) => {
    const query = new URLSearchParams(url.searchParams)
    query.set("page", String(target))
    return `<${origin}${url.pathname}?${query}>; rel="${rel}"`
  }
  const links = page < last ? [linkTo(page + 1, "next"), linkTo(last, "last")] : []
  const items = rows.slice((page - 1) * size, page * size)
  return { items, headers: links.length > 0 ? { link: links.join(", ") } : {} }
}

function titleProblem(title: unknown): Reply | undefined {
  if (typeof title !== "string" || title.trim() === "") return invalid("Issue", "title", "missing_field")
  return title.length > 256 ? invalid("Issue", "title", "too_long") : undefined
}

function bodyProblem(body: unknown): Reply | undefined {
  if (typeof body !== "string" || [...body].length <= 65_536) return undefined
  const errors = [
    { resource: "Issue", field: "body", code: "custom", message: "body is too long (maximum is 65536 characters)" },
  ]
  return refuse(422, "Validation Failed", { errors })
}

function invalid(resource: string, field: string, code: string): Reply {
  return refuse(422, "Validation Failed", { errors: [{ resource, field, code }] })
}

function found(body: unknown): Reply {
  return { status: 200, body }
}

function missing(): Reply {
  return refuse(404, "Not Found")
}

function decoded(groups: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(groups).map(([name, value]) => [name, decodeURIComponent(value)]))
}
