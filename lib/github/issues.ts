import { z } from "zod"
import type { GitHub } from "./client.ts"

const user = z.object({ login: z.string(), type: z.string() }).nullable()

const issueSchema = z.object({
  number: z.int(),
  title: z.string(),
  body: z.string().nullish(),
  state: z.enum(["open", "closed"]),
  labels: z.array(z.union([z.string(), z.object({ name: z.string() }).transform(({ name }) => name)])),
  user,
  author_association: z.string().default("NONE"),
  comments: z.int(),
  html_url: z.string(),
  created_at: z.iso.datetime(),
  updated_at: z.iso.datetime(),
  closed_at: z.iso.datetime().nullish(),
  pull_request: z.unknown().optional(),
})

const commentSchema = z.object({ id: z.int(), body: z.string().nullish(), user, created_at: z.iso.datetime() })

export type Issue = z.output<typeof issueSchema>
export type IssueComment = z.output<typeof commentSchema>

export type IssueQuery = { label: string; state: "open" | "closed"; updatedSince?: Date }
export type IssueDraft = { title: string; body: string; labels: string[] }
export type IssuePatch = Partial<IssueDraft> & {
  state?: "open" | "closed"
  state_reason?: "completed" | "reopened" | "duplicate"
}

const byNumber = "/repos/{owner}/{repo}/issues/{number}"

/** Issues with a label, oldest first; pull requests are not among them. */
export async function listIssues(github: GitHub, { label, state, updatedSince }: IssueQuery): Promise<Issue[]> {
  const order = { sort: "created", direction: "asc" }
  const query = { labels: label, state, since: updatedSince?.toISOString(), ...order }
  const issues = await github.list(
    `list the issues labelled ${label}`,
    issueSchema,
    "GET /repos/{owner}/{repo}/issues",
    query,
  )
  return issues.filter((issue) => issue.pull_request === undefined)
}

export function readIssue(github: GitHub, number: number): Promise<Issue> {
  return github.ask(`read issue ${number}`, issueSchema, `GET ${byNumber}`, { number })
}

/** Is not tried again: after a failure that `mayBeDone`, look first. */
export function createIssue(github: GitHub, draft: IssueDraft): Promise<Issue> {
  return github.ask("open an issue", issueSchema, "POST /repos/{owner}/{repo}/issues", draft)
}

export function patchIssue(github: GitHub, number: number, patch: IssuePatch): Promise<Issue> {
  return github.ask(`change issue ${number}`, issueSchema, `PATCH ${byNumber}`, { number, ...patch })
}

/** All comments of an issue, oldest first. */
export function listComments(github: GitHub, number: number, since?: Date): Promise<IssueComment[]> {
  const query = { number, since: since?.toISOString() }
  return github.list(`read the comments of issue ${number}`, commentSchema, `GET ${byNumber}/comments`, query)
}

/** Is not tried again: after a failure that `mayBeDone`, look first. */
export function createComment(github: GitHub, number: number, body: string): Promise<IssueComment> {
  return github.ask(`comment on issue ${number}`, commentSchema, `POST ${byNumber}/comments`, { number, body })
}

/** Makes a label where there is none of this name. */
export async function ensureLabel(
  github: GitHub,
  label: { name: string; color: string; description: string },
): Promise<void> {
  const route = "GET /repos/{owner}/{repo}/labels/{name}"
  const what = `make the label ${label.name}`
  const isThere = await unlessStatus(404, github.ask(what, z.unknown(), route, { name: label.name }))
  if (isThere) return
  await unlessStatus(422, github.ask(what, z.unknown(), "POST /repos/{owner}/{repo}/labels", label)) // 422: another run was faster
}

const permissionSchema = z.object({ permission: z.string(), role_name: z.string().optional() })

/** Whether a person may write to the repository; who is not known to it may not. */
export async function mayWrite(github: GitHub, login: string): Promise<boolean> {
  const route = "GET /repos/{owner}/{repo}/collaborators/{login}/permission"
  let permission = "none"
  const asking = github.ask(`read what ${login} may do`, permissionSchema, route, { login })
  await unlessStatus(
    404,
    asking.then((found) => {
      permission = found.permission
    }),
  )
  return permission === "admin" || permission === "maintain" || permission === "write"
}

/** False when GitHub answered with this status; rejects for every other failure. */
async function unlessStatus(status: number, work: Promise<unknown>): Promise<boolean> {
  try {
    await work
    return true
  } catch (error) {
    if (error instanceof Error && "status" in error && error.status === status) return false
    throw error
  }
}
