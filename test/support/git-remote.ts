import { spawn } from "node:child_process"
import { mkdtemp, readdir, rm } from "node:fs/promises"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Readable } from "node:stream"
import { buffer } from "node:stream/consumers"
import { pathToFileURL } from "node:url"
import { runProgram, startProgram } from "../../lib/system/program.ts"

const env = {
  ...{ GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_NOSYSTEM: "1" },
  ...{ GIT_AUTHOR_NAME: "a person", GIT_AUTHOR_EMAIL: "person@localhost" },
  ...{ GIT_COMMITTER_NAME: "a person", GIT_COMMITTER_EMAIL: "person@localhost" },
}

/** A bare repository in a temp directory, as a host of repositories keeps it. Removed when it is disposed. */
export type GitRemote = AsyncDisposable & {
  dir: string
  /** Its `git+file:` address, with the branch. */
  url: string
  /** Runs git in it and returns what it wrote, trimmed. */
  git(...args: string[]): Promise<string>
  /** The text of a file on the branch, trimmed. */
  show(path: string): Promise<string>
  bytes(path: string): Promise<Buffer>
  /** The paths on the branch. */
  files(): Promise<string[]>
  /** How many commits the branch has. */
  commits(): Promise<number>
  /** Replaces files on the branch in a commit, as a person does in a browser. */
  edit(files: Record<string, string>, mode?: "100644" | "120000"): Promise<void>
}

export async function makeGitRemote(branch = "ops-data"): Promise<GitRemote> {
  const folder = await mkdtemp(join(tmpdir(), "nightshift-remote-"))
  const dir = join(folder, "shop.git")
  const run = async (args: string[], options: { input?: string; env?: Record<string, string> } = {}) => {
    const { stdout } = await runProgram("git", ["-C", dir, ...args], { ...options, env: { ...env, ...options.env } })
    return stdout.trim()
  }
  await runProgram("git", ["init", "--quiet", "--bare", "--initial-branch=main", dir], { env })
  await run(["config", "http.receivepack", "true"])
  return {
    dir,
    url: `git+${pathToFileURL(dir).href}#${branch}`,
    git: (...args) => run(args),
    show: (path) => run(["show", `${branch}:${path}`]),
    async bytes(path) {
      const program = startProgram("git", ["-C", dir, "cat-file", "blob", `${branch}:${path}`], { env })
      const bytes = await buffer(program.stdout as Readable)
      await program.succeeded()
      return bytes
    },
    files: async () => (await run(["ls-tree", "-r", "--name-only", branch])).split("\n"),
    commits: async () => Number(await run(["rev-list", "--count", branch])),
    async edit(files, mode = "100644") {
      const index = { GIT_INDEX_FILE: join(folder, "index") }
      const parent = await run(["rev-parse", "--verify", "--quiet", `refs/heads/${branch}`]).catch(() => undefined)
      await run(["read-tree", ...(parent ? [parent] : ["--empty"])], { env: index })
      for (const [path, text] of Object.entries(files)) {
        const blob = await run(["hash-object", "-w", "--stdin"], { input: text })
        await run(["update-index", "--add", "--cacheinfo", `${mode},${blob},${path}`], { env: index })
      }
      const tree = await run(["write-tree"], { env: index })
      const commit = await run(["commit-tree", tree, "-m", "by hand", ...(parent ? ["-p", parent] : [])])
      await run(["update-ref", `refs/heads/${branch}`, commit])
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true, maxRetries: 5 }),
  }
}

/** A request to the server, and what it may answer instead of git: a status, or nothing at all. */
export type GitRequest = { method: string; path: string; authorization: string | undefined }
export type GitFault = { status: number; body?: string } | "hang up" | "hang up after the work" | undefined

export type GitServer = AsyncDisposable & { url: string; requests: GitRequest[] }

/** Serves a bare repository, as `/shop.git` below any folder, over HTTP with git's own program for that, to those who bring the token. */
export async function serveGit(
  remote: GitRemote,
  options: { token?: string; fault?: (request: GitRequest) => GitFault } = {},
): Promise<GitServer> {
  const requests: GitRequest[] = []
  const server = createServer((request, response) => {
    const { method = "", url: path = "", headers } = request
    const seen = { method, path, authorization: headers.authorization }
    requests.push(seen)
    const fault = options.fault?.(seen)
    if (fault === "hang up") return void request.socket.destroy()
    if (typeof fault === "object") return void response.writeHead(fault.status).end(fault.body)
    const expected = options.token && Buffer.from(`x-access-token:${options.token}`).toString("base64")
    if (expected && headers.authorization !== `Basic ${expected}`)
      return void response.writeHead(401, { "www-authenticate": "Basic realm=git" }).end()
    answer(remote.dir, request, response, fault === "hang up after the work")
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `git+http://127.0.0.1:${port}/shop.git#ops-data`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function answer(dir: string, request: IncomingMessage, response: ServerResponse, isMute: boolean): void {
  const url = new URL(request.url ?? "", "http://localhost")
  const backend = spawn("git", ["http-backend"], {
    env: {
      ...{ PATH: process.env.PATH, GIT_CONFIG_GLOBAL: "/dev/null", GIT_HTTP_EXPORT_ALL: "1", REMOTE_USER: "ops" },
      ...{
        GIT_PROJECT_ROOT: join(dir, ".."),
        PATH_INFO: url.pathname.replace(/^.*(?=\/shop\.git)/, ""),
        QUERY_STRING: url.search.slice(1),
      },
      ...{ REQUEST_METHOD: request.method, CONTENT_TYPE: request.headers["content-type"] ?? "" },
      ...{ HTTP_CONTENT_ENCODING: request.headers["content-encoding"] ?? "" },
      ...{ GIT_PROTOCOL: String(request.headers["git-protocol"] ?? "") },
      ...(request.headers["content-length"] && { CONTENT_LENGTH: request.headers["content-length"] }),
    },
    stdio: ["pipe", "pipe", "ignore"],
  })
  request.pipe(backend.stdin).on("error", () => undefined)
  const chunks: Buffer[] = []
  backend.stdout.on("data", (chunk: Buffer) => chunks.push(chunk))
  backend.once("close", () => {
    if (isMute) return void request.socket.destroy()
    const output = Buffer.concat(chunks)
    const end = output.indexOf("\r\n\r\n")
    const headers = output
      .subarray(0, end)
      .toString("latin1")
      .split("\r\n")
      .map((line) => line.split(": "))
    const status = headers.find(([name]) => name === "Status")?.[1]
    for (const [name = "", value = ""] of headers) if (name !== "Status") response.setHeader(name, value)
    response.writeHead(Number.parseInt(status ?? "200", 10)).end(output.subarray(end + 4))
  })
}

/** Temp directories of ledgers that this process left behind. */
export async function ledgerTempDirs(): Promise<string[]> {
  return (await readdir(tmpdir())).filter((name) => name.startsWith(`nightshift-ledger-${process.pid}-`))
}
