import { GitHubFailed } from "./errors.ts"

const maxTries = 2

/**
 * A write that must not be done twice: when its answer was lost or useless `find` looks for it, and it is tried again only when it is
 * not there. Rejects when that did not help either, and at once for what was surely refused.
 */
export async function doOnce<T>(write: () => Promise<T>, find: () => Promise<T | undefined>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await write()
    } catch (error) {
      if (!(error instanceof GitHubFailed && error.mayBeDone)) throw error
      const done = await find()
      if (done !== undefined) return done
      if (tries === maxTries) throw error
    }
  }
}
