import { runProgram } from "../system/program.ts"

/** Runs git in one folder and returns what it wrote, trimmed. Rejects with `ProgramFailed`. */
export type Git = (args: readonly string[], options?: GitOptions) => Promise<string>

export type GitOptions = { input?: string; signal?: AbortSignal | undefined; env?: Record<string, string> }

const timeoutMs = 60_000

/**
 * Git that sees no setting, hook or password of this machine and asks nobody. The token reaches it in its environment, as a header
 * for `remote` alone: never in an argument, and never on disk. Redirects are not followed, since the header would follow them.
 */
export function openGit(dir: string, remote: string, token: string | undefined): Git {
  const settings: [string, string][] = [
    ["core.hooksPath", "/dev/null"],
    ["core.symlinks", "false"],
    ["core.autocrlf", "false"],
    ["core.fsmonitor", "false"],
    ["credential.helper", ""],
    ["gc.auto", "0"],
    ["maintenance.auto", "false"],
    ["fetch.unpackLimit", "1"],
    ["http.followRedirects", "false"],
    ["http.lowSpeedLimit", "1000"],
    ["http.lowSpeedTime", "15"],
    ["protocol.allow", "never"],
    ...["https", "http", "file"].map((protocol): [string, string] => [`protocol.${protocol}.allow`, "always"]),
  ]
  if (token && !remote.startsWith("file:")) settings.push([`http.${remote}.extraHeader`, authorization(token)])
  const env = {
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_ATTR_NOSYSTEM: "1",
    GIT_TERMINAL_PROMPT: "0",
    GIT_DIR: `${dir}/.git`,
    GIT_WORK_TREE: dir,
    HOME: `${dir}/.git`,
    ...identity("AUTHOR"),
    ...identity("COMMITTER"),
    GIT_CONFIG_COUNT: String(settings.length),
    ...Object.fromEntries(
      settings.flatMap(([key, value], index) => [
        [`GIT_CONFIG_KEY_${index}`, key],
        [`GIT_CONFIG_VALUE_${index}`, value],
      ]),
    ),
  }
  return async (args, { signal, input, env: more } = {}) => {
    const limits = { timeoutMs, ...(signal && { signal }), ...(input !== undefined && { input }) }
    const { stdout } = await runProgram("git", args, { cwd: dir, env: { ...env, ...more }, ...limits })
    return stdout.trim()
  }
}

/** The header that GitHub's own checkout uses. */
export function authorization(token: string): string {
  return `Authorization: Basic ${basicCredentials(token)}`
}

/** The form in which a token crosses the network: as secret as the token. */
export function basicCredentials(token: string): string {
  return Buffer.from(`x-access-token:${token}`).toString("base64")
}

function identity(role: "AUTHOR" | "COMMITTER"): Record<string, string> {
  return { [`GIT_${role}_NAME`]: "nightshift", [`GIT_${role}_EMAIL`]: "nightshift@localhost" }
}
