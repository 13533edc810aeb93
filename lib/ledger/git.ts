import { startTimer } from "../system/clock.ts"
import { removeTempDir } from "../system/temp.ts"
import { parseGitAddress } from "./git-address.ts"
import { appendByPush } from "./git-append.ts"
import type { HistoryLimits } from "./git-branch.ts"
import { type Clone, inWords, openClone } from "./git-clone.ts"
import type { Ledger, LedgerOptions } from "./ledger.ts"
import { listStreams, readRows } from "./read-rows.ts"
import { checkStream } from "./stream-name.ts"

/** Six weeks of runs every half an hour, or a week of runs every five minutes. */
const defaultLimits: HistoryLimits = { maxCommits: 2000, maxHistoryKiB: 256 * 1024 }

/** A host that does not answer costs a minute each time: a run with bad news asks several questions before it may tell. */
const refusalHoldsMs = 120_000

/** How long fetching may take once the run must end: people are to be told in what is left of five seconds. */
const lastFetchMs = 1000

/**
 * A ledger on a branch of a git repository, made with the first record: each append is one commit and one push, and one that someone
 * else was faster than is done again on top of theirs. The newest commit is fetched once, with the first question, into a folder that
 * `close` removes; where that failed, reading fails in the same way for two minutes, and adding tries again.
 */
export function gitLedger(url: string, options: LedgerOptions = {}, limits: HistoryLimits = defaultLimits): Ledger {
  const address = parseGitAddress(url)
  const name = `git+${address.remote}#${address.branch}`
  const inTurn = createQueue()
  let clone: Clone | undefined
  const opened = async (signal?: AbortSignal) => {
    clone ??= await openClone(address, { name, warn: (message) => options.log?.warn(message) }, options.token, signal)
    return clone
  }
  let refused: { error: unknown; ageMs: () => number } | undefined
  const openedToRead = async () => {
    if (!clone && refused && refused.ageMs() < refusalHoldsMs) throw refused.error
    try {
      return await opened(options.ending?.aborted ? AbortSignal.timeout(lastFetchMs) : options.ending)
    } catch (error) {
      refused = { error, ageMs: startTimer() }
      throw error
    }
  }
  const discard = async () => {
    const dir = clone?.place.root
    clone = undefined
    if (dir) await removeTempDir(dir)
  }
  return {
    name,
    async append(records, signal) {
      for (const { stream } of records) checkStream(stream)
      if (records.length === 0) return
      await inTurn(async () => {
        try {
          await appendByPush(await opened(signal), { records, limits, now: options.now, signal })
        } catch (error) {
          await discard() // what did not reach the branch must not be read as if it had
          throw inWords(`cannot add to the ledger ${name}`, error, signal)
        }
      })
    },
    read: (stream) => inTurn(async () => readRows((await openedToRead()).place, stream)),
    streams: (folder) => inTurn(async () => listStreams((await openedToRead()).place, folder)),
    close: () => inTurn(discard),
  }
}

/** Runs what it is given one after the other: the folder must not change while it is read. */
function createQueue() {
  let last: Promise<unknown> = Promise.resolve()
  return <T>(work: () => Promise<T>): Promise<T> => {
    const next = last.then(work)
    last = next.catch(() => undefined) // reaches whoever asked; the next in the queue goes on
    return next
  }
}
