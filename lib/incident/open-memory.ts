import { ConfigError } from "../core/config-error.ts"
import type { Log } from "../core/log.ts"
import { type GitHubOptions, openGitHub } from "../github/client.ts"
import { directoryMemory } from "./directory-memory.ts"
import { githubMemory } from "./github-memory.ts"
import type { IncidentMemory } from "./incident.ts"

export type MemoryOptions = {
  /** May write issues; only for `github:`. */
  token?: string
  apiUrl?: string
  log: Log
  signal?: AbortSignal
  limits?: GitHubOptions["limits"]
}

/** The memory at `file:///dir` or `github:owner/name`. Throws `ConfigError` when none can be there; touches nothing. */
export function openIncidentMemory(url: string, options: MemoryOptions): IncidentMemory {
  const text = url.trim()
  if (/^file:/i.test(text)) return directoryMemory(text, options.log)
  const [, repository] = /^github:(.+)$/i.exec(text) ?? []
  if (repository !== undefined) {
    const github = openGitHub({ ...options, repository, token: options.token ?? "" })
    return githubMemory(github, options.log)
  }
  const found = /^[a-z][a-z\d+.-]*:/i.exec(text)?.[0]
  throw new ConfigError(
    `INCIDENTS is ${found ? `an address that begins with ${found}` : "no URL"}: set it to github:owner/name or file:///absolute/path`,
  )
}
