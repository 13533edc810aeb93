import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { ProgramFailed } from "../system/program-failed.ts"
import { appendRows } from "./append-rows.ts"
import { renderDashboard, updateDashboard } from "./dashboard.ts"
import { commitAll, type HistoryLimits, isLedger, push } from "./git-branch.ts"
import { type Clone, fetchTip, pause } from "./git-clone.ts"
import { readGitError } from "./git-error.ts"
import type { LedgerRecord } from "./ledger.ts"
import type { Place } from "./read-rows.ts"
import { rollUpIfDue } from "./roll-up.ts"
import { readState, writeState } from "./state.ts"

const maxTries = 12
/** How far back a commit is looked for that may have arrived although the answer was lost: a second try then meets itself. */
const searchDepth = 50
const unlimited: HistoryLimits = { maxCommits: Number.POSITIVE_INFINITY, maxHistoryKiB: Number.POSITIVE_INFINITY }

export type Addition = {
  records: readonly LedgerRecord[]
  limits: HistoryLimits
  now: Date | undefined
  signal: AbortSignal | undefined
}

/**
 * Adds records in one commit and pushes it. When someone else was faster or the network failed, everything is done again on top of
 * what is there then, unless the commit has arrived all the same. Rejects after 12 tries; the clone is then of no more use.
 */
export async function appendByPush(clone: Clone, addition: Addition): Promise<void> {
  const { git, address, place } = clone
  const { records, signal } = addition
  let { limits } = addition
  for (let attempt = 1; ; attempt++) {
    if (!(await isLedger(place.root))) throw new Error(notOurs(address.branch))
    await addTo(place, addition)
    const made = await commitAll(git, clone.tip, subjectOf(records), limits)
    const trouble = await troubleOf(push(git, address, made.commit, clone.tip, signal))
    signal?.throwIfAborted()
    if (!trouble) {
      clone.tip = made.tip
      return
    }
    if (made.isSquash && trouble.kind === "refused force") {
      place.warn(`the history of the ledger ${place.name} cannot be cut and goes on growing: ${trouble.words}`)
      limits = unlimited
    } else if (attempt >= maxTries || (trouble.kind !== "race" && trouble.kind !== "transient")) throw trouble.error
    await pause(attempt, signal)
    clone.tip = await fetchTip(git, address, signal, searchDepth)
    if (await hasArrived(clone, made.commit)) return
  }
}

function notOurs(branch: string): string {
  return `the branch ${branch} holds something else than a ledger: set LEDGER to another branch, which is made when it is missing`
}

/** The rows, the roll-up that is due and the page that people see. */
async function addTo(place: Place, { records, now }: Addition): Promise<void> {
  await appendRows(place, records)
  await rollUpIfDue(place, now)
  const state = await readState(place)
  const dashboard = updateDashboard(state.dashboard, records, now)
  await writeState(place, { ...state, dashboard })
  await writeFile(join(place.root, "README.md"), renderDashboard(dashboard))
}

async function troubleOf(pushed: Promise<void>) {
  try {
    await pushed
    return undefined
  } catch (error) {
    return { error, ...readGitError(error) }
  }
}

async function hasArrived({ git, tip }: Clone, commit: string): Promise<boolean> {
  if (!tip) return false
  try {
    await git(["merge-base", "--is-ancestor", commit, tip.commit])
    return true
  } catch (error) {
    if (error instanceof ProgramFailed && error.exitCode === 1) return false
    throw error
  }
}

/** The first line of the commit: how many rows, and of what. */
function subjectOf(records: readonly LedgerRecord[]): string {
  const kinds = new Set(records.map(({ stream }) => stream.split("/")[0]))
  return `${records.length} ${records.length === 1 ? "row" : "rows"} of ${[...kinds].sort().join(", ")}`
}
