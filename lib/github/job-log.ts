import { httpRequest } from "../system/http.ts"
import type { GitHub } from "./client.ts"
import { failed, GitHubFailed, unanswered } from "./errors.ts"
import type { WorkflowJob } from "./runs.ts"

const maxBytes = 50_000_000
const timeoutMs = 30_000

/**
 * The last lines of a job's log up to its last error, without times and colours; `undefined` when the log is gone or not there yet.
 * They may hold what the job printed by mistake: hide secrets before they go anywhere. A log over 50 MB rejects.
 */
export async function readLogTail(
  github: GitHub,
  job: Pick<WorkflowJob, "id" | "name">,
  maxLines: number,
): Promise<string[] | undefined> {
  const what = `read the log of ${job.name}`
  const asked = { what, repository: github.repository, method: "GET", path: "/actions/jobs" }
  const url = await locateLog(github, what, job.id)
  if (url === undefined) return undefined
  // The address is signed and lies with another provider: it gets no token, and shows in no message.
  const answer = await httpRequest({ url, timeoutMs, maxBytes, signal: github.signal }).catch((error: unknown) => {
    github.signal?.throwIfAborted()
    throw unanswered(asked, error)
  })
  if (answer.status === 404 || answer.status === 410) return undefined
  if (answer.status !== 200) throw failed(asked, `${answer.status} from ${new URL(url).host}`, answer.status)
  return lastLines(answer.body, maxLines)
}

async function locateLog(github: GitHub, what: string, id: number): Promise<string | undefined> {
  try {
    return await github.locate(what, "GET /repos/{owner}/{repo}/actions/jobs/{id}/logs", { id })
  } catch (error) {
    if (error instanceof GitHubFailed && (error.status === 404 || error.status === 410)) return undefined
    throw error
  }
}

/** What comes after the last error is the tidying up of steps that went well. */
function lastLines(log: string, maxLines: number): string[] {
  const lines = log.split(/\r?\n/).map(plain)
  const lastError = lines.findLastIndex((line) => line.startsWith("##[error]"))
  const end = lastError < 0 ? lines.length : lastError + 1
  const shown = lines.slice(0, end).filter((line) => line.trim() !== "" && !line.startsWith("##[endgroup]"))
  return shown.slice(-maxLines).map((line) => line.replace(/^##\[\w+\]/, ""))
}

const time = /^\uFEFF?\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z ?/
const colours = new RegExp(`${String.fromCharCode(0x1b)}\\[[0-9;]*[A-Za-z]`, "g")

function plain(line: string): string {
  return line.replace(time, "").replace(colours, "")
}
