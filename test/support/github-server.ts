import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { text } from "node:stream/consumers"
import { type GitHubAnswer, plannedReply, type Reply, refuse, send } from "./github/answers.ts"
import { answerRepository } from "./github/routes.ts"
import * as state from "./github/state.ts"

export type { GitHubAnswer } from "./github/answers.ts"
export type * from "./github/state.ts"

export type GitHubRequest = {
  method: string
  path: string
  query: URLSearchParams
  authorization: string
  body: unknown
}

export type GitHubServer = AsyncDisposable & {
  /** What `GITHUB_API_URL` is set to. */
  url: string
  /** The token that is accepted; its requests come from `github-actions[bot]`. */
  token: string
  /** Other tokens that are accepted, with their users. */
  tokens: Map<string, string>
  /** All that is kept of a repository, made when it is asked for first; the API knows only those. `team/app` is there. */
  repository(fullName?: string): state.GitHubRepository
  issues(repository?: string): state.GitHubIssue[]
  issue(number: number, repository?: string): state.GitHubIssue
  comments(number: number, repository?: string): state.GitHubComment[]
  /** What people do on the site. */
  addIssue(issue: state.NewIssue, repository?: string): state.GitHubIssue
  addComment(number: number, by: string, body: string, repository?: string): state.GitHubComment
  editIssue(number: number, by: string, change: state.IssueChange, repository?: string): void
  closeIssue(number: number, by: string, repository?: string): void
  reopenIssue(number: number, by: string, repository?: string): void
  /** `admin`, `maintain`, `write`, `triage` or `read`. */
  setRole(login: string, role: string, repository?: string): void
  addRun(run: state.NewRun, repository?: string): state.GitHubRun
  addJob(job: state.NewJob, repository?: string): state.GitHubJob
  /** The time that GitHub has; the real one until set. */
  setClock(now: Date | string | undefined): void
  /** What came, whether it was answered or not. */
  requests: GitHubRequest[]
  /** How the next requests are answered, one each. */
  next(...answers: GitHubAnswer[]): void
  /** How the next requests of this method whose path matches are answered, one each; comes before `next`. */
  on(method: string, path: RegExp, ...answers: GitHubAnswer[]): void
  /** How every request is answered from now on. Forgets what was planned. */
  always(answer: GitHubAnswer): void
  close(): Promise<void>
}

const home = "team/app"

/** GitHub's API on this machine: keeps issues, comments, labels, roles, runs, jobs, annotations, logs; fails on demand. */
export async function startGitHubServer(options: { token?: string } = {}): Promise<GitHubServer> {
  const token = options.token ?? `ghs_${"nightshift".repeat(3)}abcdef`
  const tokens = new Map([[token, "github-actions[bot]"]])
  const repositories = new Map<string, state.GitHubRepository>()
  const requests: GitHubRequest[] = []
  const plan = createPlan()
  let clock: Date | undefined
  const now = () => clock ?? new Date()
  const at = () => `${now().toISOString().slice(0, 19)}Z`

  const server = createServer((request, response) => {
    respond(request, response).catch((error: unknown) => response.destroy(error as Error))
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

  async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", origin)
    const method = request.method ?? "GET"
    const sent = await text(request)
    const authorization = request.headers.authorization ?? ""
    const body: unknown = sent === "" ? {} : JSON.parse(sent)
    requests.push({ method, path: url.pathname, query: url.searchParams, authorization, body })
    const planned = plan.take(method, url.pathname)
    if (planned === "hang") return
    if (planned === "reset") return void request.socket.resetAndDestroy()
    const reply = plannedReply(planned, method, url.pathname, now()) ?? answer(method, url, body, authorization)
    if (planned === "lost") return void request.socket.destroy()
    send(response, reply)
  }

  function answer(method: string, url: URL, body: unknown, authorization: string): Reply {
    const [, blobOf, blobId] = /^\/blobs\/([^/]+\/[^/]+)\/(\d+)$/.exec(url.pathname) ?? []
    if (blobOf !== undefined) return blob(repositories.get(blobOf)?.logs.get(Number(blobId)), authorization)
    const login = tokens.get(authorization.replace(/^(token|bearer) /i, ""))
    if (login === undefined) return refuse(401, authorization === "" ? "Requires authentication" : "Bad credentials")
    const [, fullName = "", path = ""] = /^\/repos\/([^/]+\/[^/]+)(\/.*)?$/.exec(url.pathname) ?? []
    const repository = repositories.get(fullName)
    if (!repository) return refuse(404, "Not Found")
    return answerRepository({ method, url, body, repository, login, at: at(), origin }, path)
  }

  const repository = (fullName = home) => {
    const kept = repositories.get(fullName) ?? state.newRepository(fullName)
    repositories.set(fullName, kept)
    return kept
  }
  repository()
  const close = async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  return {
    url: origin,
    token,
    tokens,
    repository,
    ...people(repository, at),
    setClock: (time) => {
      clock = typeof time === "string" ? new Date(time) : time
    },
    requests,
    ...plan,
    close,
    [Symbol.asyncDispose]: close,
  }
}

/** What people and Actions do, without the API. */
function people(repositoryOf: (fullName?: string) => state.GitHubRepository, at: () => string) {
  const issueOf = (number: number, repository?: string) => {
    const issue = repositoryOf(repository).issues.get(number)
    if (!issue) throw new Error(`there is no issue ${number}`)
    return issue
  }
  const edit = (number: number, by: string, change: state.IssueChange, repository?: string) =>
    state.changeIssue(repositoryOf(repository), issueOf(number, repository), by, change, at())
  return {
    issues: (repository?: string) => [...repositoryOf(repository).issues.values()],
    issue: issueOf,
    comments: (number: number, repository?: string) =>
      state.commentsOf(repositoryOf(repository), issueOf(number, repository)),
    addIssue: (issue: state.NewIssue, repository?: string) => state.makeIssue(repositoryOf(repository), issue, at()),
    addComment: (number: number, by: string, body: string, repository?: string) =>
      state.makeComment(repositoryOf(repository), issueOf(number, repository), by, body, at()),
    editIssue: edit,
    closeIssue: (number: number, by: string, repository?: string) => edit(number, by, { state: "closed" }, repository),
    reopenIssue: (number: number, by: string, repository?: string) => edit(number, by, { state: "open" }, repository),
    setRole: (login: string, role: string, repository?: string) => void repositoryOf(repository).roles.set(login, role),
    addRun: (run: state.NewRun, repository?: string) => state.makeRun(repositoryOf(repository), run, at()),
    addJob: (job: state.NewJob, repository?: string) => state.makeJob(repositoryOf(repository), job, at()),
  }
}

function createPlan() {
  let queue: GitHubAnswer[] = []
  let matching: { method: string; path: RegExp; answer: GitHubAnswer }[] = []
  let usual: GitHubAnswer = "ok"
  return {
    next: (...answers: GitHubAnswer[]) => void queue.push(...answers),
    on: (method: string, path: RegExp, ...answers: GitHubAnswer[]) =>
      void matching.push(...answers.map((answer) => ({ method, path, answer }))),
    always: (answer: GitHubAnswer) => {
      queue = []
      matching = []
      usual = answer
    },
    take: (method: string, path: string): GitHubAnswer => {
      const index = matching.findIndex((planned) => planned.method === method && planned.path.test(path))
      return matching.splice(index, index < 0 ? 0 : 1)[0]?.answer ?? queue.shift() ?? usual
    },
  }
}

/** Logs lie elsewhere, behind a signed address; whoever sends a token there has leaked it. */
function blob(log: string | undefined, authorization: string): Reply {
  if (authorization !== "") return { status: 400, body: "InvalidAuthenticationInfo" }
  return log === undefined ? { status: 404, body: "BlobNotFound" } : { status: 200, body: log }
}
