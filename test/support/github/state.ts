/** What GitHub keeps of one repository, in the shapes that its API answers with. Tests read and change it as they like. */
export type GitHubRepository = {
  fullName: string
  isPrivate: boolean
  hasIssues: boolean
  labels: Map<string, GitHubLabel>
  issues: Map<number, GitHubIssue>
  comments: GitHubComment[]
  /** `admin`, `maintain`, `write`, `triage` or `read`, by login; everyone else reads. */
  roles: Map<string, string>
  runs: GitHubRun[]
  jobs: GitHubJob[]
  annotations: Map<number, GitHubAnnotation[]>
  /** Texts of logs by the id of the job. */
  logs: Map<number, string>
  /** What was dispatched: the workflow's file (or `repository`) and the body of the request. */
  dispatches: { workflow: string; body: unknown }[]
}

export type GitHubUser = { login: string; id: number; type: "User" | "Bot"; html_url: string }
export type GitHubLabel = { id: number; name: string; color: string; description: string | null }

export type GitHubIssue = {
  id: number
  node_id: string
  number: number
  url: string
  html_url: string
  title: string
  body: string | null
  state: "open" | "closed"
  state_reason: string | null
  labels: GitHubLabel[]
  user: GitHubUser
  author_association: string
  closed_by: GitHubUser | null
  comments: number
  created_at: string
  updated_at: string
  closed_at: string | null
  pull_request?: { url: string }
}

export type GitHubComment = {
  id: number
  node_id: string
  issue_url: string
  html_url: string
  user: GitHubUser | null
  author_association: string
  body: string
  created_at: string
  updated_at: string
}

export type GitHubRun = {
  id: number
  node_id: string
  name: string
  display_title: string
  path: string
  workflow_id: number
  run_number: number
  run_attempt: number
  event: string
  status: string
  conclusion: string | null
  head_branch: string
  head_sha: string
  created_at: string
  run_started_at: string
  updated_at: string
  html_url: string
  actor: GitHubUser
}

export type GitHubStep = { name: string; status: string; conclusion: string | null; number: number }

export type GitHubJob = {
  id: number
  run_id: number
  run_attempt: number
  name: string
  status: string
  conclusion: string | null
  started_at: string
  completed_at: string | null
  html_url: string
  check_run_url: string
  steps: GitHubStep[]
}

export type GitHubAnnotation = {
  path: string
  start_line: number
  end_line: number
  annotation_level: "notice" | "warning" | "failure"
  title: string | null
  message: string
}

let lastId = 1_000_000

/** A number that GitHub never gave before. */
export function newId(): number {
  return ++lastId
}

export function userOf(login: string): GitHubUser {
  const id = [...login].reduce((sum, letter) => sum * 31 + (letter.codePointAt(0) ?? 0), 7) % 1_000_003
  return { login, id, type: login.endsWith("[bot]") ? "Bot" : "User", html_url: `https://github.com/${login}` }
}

export function newRepository(fullName: string): GitHubRepository {
  const [owner = ""] = fullName.split("/")
  return {
    fullName,
    isPrivate: true,
    hasIssues: true,
    labels: new Map(),
    issues: new Map(),
    comments: [],
    roles: new Map([[owner, "admin"]]),
    runs: [],
    jobs: [],
    annotations: new Map(),
    logs: new Map(),
    dispatches: [],
  }
}

/** Finds a label by its name, in any case, or makes it, as GitHub does for an issue. */
export function labelOf(repository: GitHubRepository, name: string): GitHubLabel {
  const key = name.toLowerCase()
  const label = repository.labels.get(key) ?? { id: newId(), name, color: "ededed", description: null }
  repository.labels.set(key, label)
  return label
}

export function associationOf(repository: GitHubRepository, login: string): string {
  if (login === repository.fullName.split("/")[0]) return "OWNER"
  const role = repository.roles.get(login)
  return role === undefined ? "NONE" : role === "read" ? "CONTRIBUTOR" : "COLLABORATOR"
}

export type NewIssue = { by: string; title: string; body?: string; labels?: string[]; isPullRequest?: boolean }

/** `at` is a time of GitHub: to the second. */
export function makeIssue(
  repository: GitHubRepository,
  { by, title, body, labels = [], isPullRequest }: NewIssue,
  at: string,
): GitHubIssue {
  const number = Math.max(0, ...repository.issues.keys()) + 1
  const web = `https://github.com/${repository.fullName}`
  const issue: GitHubIssue = {
    id: newId(),
    node_id: `I_${number}`,
    number,
    url: `https://api.github.com/repos/${repository.fullName}/issues/${number}`,
    html_url: `${web}/${isPullRequest ? "pull" : "issues"}/${number}`,
    title,
    body: body ?? null,
    state: "open",
    state_reason: null,
    labels: labels.map((name) => labelOf(repository, name)),
    user: userOf(by),
    author_association: associationOf(repository, by),
    closed_by: null,
    comments: 0,
    created_at: at,
    updated_at: at,
    closed_at: null,
    ...(isPullRequest && { pull_request: { url: `${web}/pull/${number}` } }),
  }
  repository.issues.set(number, issue)
  return issue
}

export function makeComment(
  repository: GitHubRepository,
  issue: GitHubIssue,
  by: string,
  body: string,
  at: string,
): GitHubComment {
  const id = newId()
  const comment: GitHubComment = {
    id,
    node_id: `IC_${id}`,
    issue_url: issue.url,
    html_url: `${issue.html_url}#issuecomment-${id}`,
    user: userOf(by),
    author_association: associationOf(repository, by),
    body,
    created_at: at,
    updated_at: at,
  }
  repository.comments.push(comment)
  issue.comments++
  issue.updated_at = at
  return comment
}

export function commentsOf(repository: GitHubRepository, issue: GitHubIssue): GitHubComment[] {
  return repository.comments.filter((comment) => comment.issue_url === issue.url)
}

export type IssueChange = {
  title?: string
  body?: string
  state?: "open" | "closed"
  state_reason?: string | null
  labels?: string[]
}

export function changeIssue(
  repository: GitHubRepository,
  issue: GitHubIssue,
  by: string,
  change: IssueChange,
  at: string,
): void {
  if (change.title !== undefined) issue.title = change.title
  if (change.body !== undefined) issue.body = change.body
  if (change.labels !== undefined) issue.labels = change.labels.map((name) => labelOf(repository, name))
  if (change.state === "closed" && issue.state === "open") {
    Object.assign(issue, { state: "closed", closed_at: at, closed_by: userOf(by) })
    issue.state_reason = change.state_reason ?? "completed"
  }
  if (change.state === "open" && issue.state === "closed") {
    Object.assign(issue, { state: "open", closed_at: null, closed_by: null, state_reason: "reopened" })
  }
  issue.updated_at = at
}

export type NewRun = Partial<GitHubRun> & { path: string }

export function makeRun(repository: GitHubRepository, run: NewRun, at: string): GitHubRun {
  const id = run.id ?? newId()
  const made: GitHubRun = {
    id,
    node_id: `WFR_${id}`,
    name: run.path.replace(/^.*\/|\.ya?ml$/g, ""),
    display_title: run.path,
    workflow_id: userOf(run.path).id,
    run_number: repository.runs.filter(({ path }) => path === run.path).length + 1,
    run_attempt: 1,
    event: "schedule",
    status: "completed",
    conclusion: "success",
    head_branch: "main",
    head_sha: "0a".repeat(20),
    created_at: at,
    run_started_at: at,
    updated_at: at,
    html_url: `https://github.com/${repository.fullName}/actions/runs/${id}`,
    actor: userOf("github-actions[bot]"),
    ...run,
  }
  repository.runs.push(made)
  return made
}

export type NewJob = Partial<GitHubJob> & { run_id: number; log?: string; annotations?: GitHubAnnotation[] }

export function makeJob(
  repository: GitHubRepository,
  { log, annotations = [], ...job }: NewJob,
  at: string,
): GitHubJob {
  const id = job.id ?? newId()
  const made: GitHubJob = {
    id,
    run_attempt: 1,
    name: "run",
    status: "completed",
    conclusion: "success",
    started_at: at,
    completed_at: at,
    html_url: `https://github.com/${repository.fullName}/actions/runs/${job.run_id}/job/${id}`,
    check_run_url: `https://api.github.com/repos/${repository.fullName}/check-runs/${id}`,
    steps: [],
    ...job,
  }
  repository.jobs.push(made)
  repository.annotations.set(id, annotations)
  if (log !== undefined) repository.logs.set(id, log)
  return made
}
