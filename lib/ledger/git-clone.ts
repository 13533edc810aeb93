import { randomInt } from "node:crypto"
import { sleep } from "../system/clock.ts"
import { ProgramFailed } from "../system/program-failed.ts"
import { makeTempDir, removeTempDir } from "../system/temp.ts"
import type { GitAddress } from "./git-address.ts"
import { checkOut, type Tip } from "./git-branch.ts"
import { type Git, openGit } from "./git-command.ts"
import { readGitError } from "./git-error.ts"
import type { Place } from "./read-rows.ts"

/** The branch as it is on this machine for the time of a run. */
export type Clone = { readonly git: Git; readonly place: Place; readonly address: GitAddress; tip: Tip }

const maxFetchTries = 3
const longestPauseMs = 1500

/** Fetches the newest commit into a new temp directory, which the caller removes with `removeTempDir(clone.place.root)`. */
export async function openClone(
  address: GitAddress,
  place: Omit<Place, "root">,
  token: string | undefined,
  signal?: AbortSignal,
): Promise<Clone> {
  const root = await makeTempDir("ledger")
  try {
    const git = openGit(root, address.remote, token)
    await git(["init", "--quiet", "--template="], { signal })
    return { git, place: { ...place, root }, address, tip: await fetchTip(git, address, signal) }
  } catch (error) {
    await removeTempDir(root)
    throw inWords(`cannot read the ledger ${place.name}`, error, signal)
  }
}

/** `checkOut`, tried again when the network fails it. */
export async function fetchTip(git: Git, address: GitAddress, signal?: AbortSignal, depth?: number): Promise<Tip> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await checkOut(git, address, signal, depth)
    } catch (error) {
      if (attempt >= maxFetchTries || readGitError(error).kind !== "transient") throw error
      await pause(attempt, signal)
    }
  }
}

/** Longer after each attempt, and never as long as that of whoever met us there. */
export async function pause(attempt: number, signal?: AbortSignal): Promise<void> {
  await sleep(randomInt(20, Math.min(longestPauseMs, 50 * 2 ** attempt)), signal)
}

/** An error of git with what it means for the ledger; the signal's reason when that has fired. */
export function inWords(what: string, error: unknown, signal?: AbortSignal): unknown {
  if (signal?.aborted) return signal.reason
  if (!(error instanceof ProgramFailed)) return new Error(what, { cause: error })
  return new Error(`${what}: ${readGitError(error).words}`, { cause: error })
}
