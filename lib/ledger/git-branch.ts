import { readdir } from "node:fs/promises"
import type { GitAddress } from "./git-address.ts"
import type { Git } from "./git-command.ts"
import { readGitError } from "./git-error.ts"
import { stateFile } from "./state.ts"

/** When the history of the branch is replaced by one commit without a past. */
export type HistoryLimits = { maxCommits: number; maxHistoryKiB: number }

/** The newest commit of the branch that is checked out, and what the commits up to it come to. */
export type Tip = { commit: string; commits: number; historyKiB: number } | undefined

const trailer = /^Ledger-History: (\d+) commits, (\d+) KiB$/m

/**
 * Gets the newest commit of the branch and nothing of its past, and makes the folder equal to it; empties the folder when there is no
 * such branch. `depth` is for whoever must know whether a commit of theirs has arrived.
 */
export async function checkOut(
  git: Git,
  { remote, branch }: GitAddress,
  signal?: AbortSignal,
  depth = 1,
): Promise<Tip> {
  const source = `+refs/heads/${branch}:refs/remotes/origin/${branch}`
  try {
    await git(["fetch", "--quiet", "--no-tags", `--depth=${depth}`, remote, source], { signal })
  } catch (error) {
    if (readGitError(error).kind !== "no branch") throw error
    await git(["read-tree", "--empty"], { signal })
    await git(["clean", "-dffxq"], { signal })
    return undefined
  }
  const [commit = "", message = ""] = split(
    await git(["log", "-1", "--format=%H%n%B", `refs/remotes/origin/${branch}`], { signal }),
  )
  await git(["read-tree", "--reset", "-u", commit], { signal })
  await git(["clean", "-dffxq"], { signal })
  const [, commits, historyKiB] = trailer.exec(message) ?? []
  return { commit, commits: Number(commits ?? 1), historyKiB: Number(historyKiB ?? 0) }
}

/** Whether the folder is a ledger, or as good as empty: a branch that holds something else is not written to. */
export async function isLedger(dir: string): Promise<boolean> {
  const names = (await readdir(dir)).filter((name) => !name.startsWith("."))
  return names.includes(stateFile) || names.every((name) => name === "README.md")
}

/** Commits all of the folder on top of `tip`; without a past when that has grown beyond the limits, which takes a forced push. */
export async function commitAll(
  git: Git,
  tip: Tip,
  subject: string,
  limits: HistoryLimits,
): Promise<{ commit: string; isSquash: boolean; tip: Tip }> {
  const looseBefore = await looseKiB(git)
  await git(["add", "--all", "--force", "."])
  const tree = await git(["write-tree"])
  const historyKiB = (tip?.historyKiB ?? 0) + (await looseKiB(git)) - looseBefore
  const isSquash = tip !== undefined && (tip.commits >= limits.maxCommits || historyKiB > limits.maxHistoryKiB)
  const size = isSquash || !tip ? { commits: 1, historyKiB: 0 } : { commits: tip.commits + 1, historyKiB }
  const message = `${subject}\n\nLedger-History: ${size.commits} commits, ${size.historyKiB} KiB\n`
  const parent = tip && !isSquash ? ["-p", tip.commit] : []
  const commit = await git(["commit-tree", tree, ...parent], { input: message })
  return { commit, isSquash, tip: { commit, ...size } }
}

/** Moves the branch from `tip` to `commit`, and to nothing else: rejects when it is elsewhere by now. */
export async function push(
  git: Git,
  address: GitAddress,
  commit: string,
  tip: Tip,
  signal?: AbortSignal,
): Promise<void> {
  const { remote, branch } = address
  const ref = `refs/heads/${branch}`
  const lease = `--force-with-lease=${ref}:${tip?.commit ?? ""}`
  await git(["push", "--quiet", "--no-verify", lease, remote, `${commit}:${ref}`], { signal })
}

/** Objects come in packs and are made loose, so that this is what the commits of this clone add to the history, before deltas. */
async function looseKiB(git: Git): Promise<number> {
  return Number(/^size: (\d+)$/m.exec(await git(["count-objects", "-v"]))?.[1] ?? 0)
}

function split(text: string): [string, string] {
  const end = text.indexOf("\n")
  return end < 0 ? [text, ""] : [text.slice(0, end), text.slice(end + 1)]
}
