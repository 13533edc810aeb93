import { execFile } from "node:child_process"
import { chmod, cp, mkdir, readdir, rm, symlink, writeFile } from "node:fs/promises"
import { homedir } from "node:os"
import path from "node:path"
import { promisify } from "node:util"
import { killAll, processesOf } from "../../../lib/setup/processes.mjs"

const run = promisify(execFile)

/** What one job runs on: folders of its own and the few variables that a fresh runner has. */
export type Machine = {
  workspace: string
  /** Where the files of `GITHUB_ENV`, `GITHUB_OUTPUT` and the others are. */
  files: string
  tools: string
  env: Record<string, string>
  /** What still runs or lies about when the job is over. Ends and removes it. */
  clear(): Promise<LeftBehind>
}

export type LeftBehind = { processes: string[]; files: string[] }

/** How the machine reaches a registry: a matter of the network it is in, not of the workflow. */
const networkSettings =
  /^(https?_proxy|no_proxy|node_extra_ca_certs|ssl_cert_(file|dir)|npm_config_(registry|cafile))$/i

/** What npm and tsx keep in the folder for temporary files, on purpose. */
const caches = /^(node-compile-cache|tsx-\d+)$/

/** Makes the machine of a job below `folder`. */
export async function makeMachine(folder: string, root: string): Promise<Machine> {
  const below = (name: string) => path.join(folder, name)
  const [workspace, files, tools, home, temp] = [
    below("work"),
    below("files"),
    below("tools"),
    below("home"),
    below("temp"),
  ]
  for (const one of [workspace, files, tools, home, temp]) await mkdir(one, { recursive: true })
  // As on a real machine: anyone may pass through, and anyone may write to the folder for temporary files.
  await chmod(folder, 0o711)
  await chmod(temp, 0o1777)
  const network = Object.entries(process.env).flatMap(([name, value]) =>
    networkSettings.test(name) && value ? [[name, value]] : [],
  )
  const env = {
    ...Object.fromEntries(network),
    PATH: pathWithout(root),
    HOME: home,
    LANG: "C.UTF-8",
    TMPDIR: temp,
    CI: "true",
    GITHUB_ACTIONS: "true",
    GITHUB_WORKSPACE: workspace,
    RUNNER_OS: "Linux",
    RUNNER_ARCH: "X64",
    RUNNER_NAME: "local",
    RUNNER_ENVIRONMENT: "github-hosted",
    RUNNER_TEMP: temp,
    RUNNER_TOOL_CACHE: tools,
  }
  return { workspace, files, tools, env, clear: () => clear(folder, temp) }
}

async function clear(folder: string, temp: string): Promise<LeftBehind> {
  const processes = processesOf(temp).map(({ title }) => title)
  const files = (await readdir(temp)).filter((name) => !caches.test(name))
  await killAll(() => processesOf(temp))
  await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  return { processes, files }
}

/** Puts Node's own folder, and npm's cache where it is asked for, at the service of the following steps. */
export async function installNode(
  machine: Machine,
  version: string,
  withCache: boolean,
): Promise<Record<string, string>> {
  if (!process.version.startsWith(`v${version}.`))
    throw new Error(`setup-node wants ${version}: the tests run on ${process.version}`)
  const bin = path.join(machine.tools, "node")
  await mkdir(bin, { recursive: true })
  await symlink(process.execPath, path.join(bin, "node"))
  const cache = process.env.npm_config_cache ?? path.join(homedir(), ".npm")
  return { PATH: bin, ...(withCache && { npm_config_cache: cache, npm_config_prefer_offline: "true" }) }
}

/**
 * A repository with the files of a checkout as they are now, changes included: what a push would have brought. `files` are written over
 * them.
 */
export async function pushedRepository(
  root: string,
  folder: string,
  files: Record<string, string> = {},
): Promise<{ url: string; sha: string }> {
  await mkdir(folder, { recursive: true })
  const listed = await run("git", ["ls-files", "-coz", "--exclude-standard"], { cwd: root, maxBuffer: 16e6 })
  const gone = await run("git", ["ls-files", "-dz"], { cwd: root, maxBuffer: 16e6 })
  const removed = new Set(gone.stdout.split("\0"))
  const names = new Set(listed.stdout.split("\0").filter((name) => name !== "" && !removed.has(name)))
  for (const name of names) await cp(path.join(root, name), path.join(folder, name), { recursive: true })
  for (const [name, content] of Object.entries(files)) await writeFile(path.join(folder, name), content)
  const identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
  await run("git", ["init", "--quiet", "--initial-branch=main"], { cwd: folder })
  await run("git", ["add", "--all", "--force"], { cwd: folder })
  await run("git", [...identity, "commit", "--quiet", "--allow-empty", "--message=pushed"], { cwd: folder })
  const { stdout } = await run("git", ["rev-parse", "HEAD"], { cwd: folder })
  return { url: folder, sha: stdout.trim() }
}

export async function cloneInto(machine: Machine, url: string): Promise<void> {
  await run("git", ["clone", "--quiet", "--no-hardlinks", url, machine.workspace])
}

/** The files through which a step talks to the runner, made empty for each step. */
export async function commandFiles(machine: Machine, index: string): Promise<Record<string, string>> {
  const names = ["GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_STATE", "GITHUB_STEP_SUMMARY"]
  const entries = names.map((name): [string, string] => [name, path.join(machine.files, `${name}-${index}`)])
  for (const [, file] of entries) await writeFile(file, "")
  return Object.fromEntries(entries)
}

function pathWithout(root: string): string {
  const inside = path.join(root, "node_modules")
  const folders = (process.env.PATH ?? "").split(path.delimiter)
  return folders.filter((folder) => !folder.startsWith(inside)).join(path.delimiter)
}
