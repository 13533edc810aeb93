import type { Log } from "../core/log.ts"
import type { GitHub } from "./client.ts"
import { mayWrite } from "./issues.ts"

export type Writers = {
  /** Whether a person may write to the repository. Asked once for each. */
  mayWrite(login: string): Promise<boolean>
}

/** Strangers must not use up the limit of the token by commenting under many names. */
const maxAsked = 30

/** Who may write to a repository, as far as it was asked in this run. */
export function createWriters(github: GitHub, log: Log): Writers {
  const known = new Map<string, Promise<boolean>>()
  const ask = async (login: string) => {
    if (known.size < maxAsked) return mayWrite(github, login)
    log.warn(`${login} is taken for one who may not write: over ${maxAsked} people were asked about already`)
    return false
  }
  return {
    async mayWrite(login) {
      const asked = known.get(login) ?? ask(login)
      known.set(login, asked)
      return asked
    },
  }
}
