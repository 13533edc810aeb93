import { readFile } from "node:fs/promises"
import { ConfigError } from "../core/config-error.ts"

/** A user of this machine under which a program can be run. */
export type SystemUser = { name: string; uid: number; gid: number; home: string }

const candidates = ["postgres", "nobody"]

/**
 * A user without rights, for programs such as `postgres` that refuse to run as root; `undefined` when this process is not root
 * and needs none. Throws `ConfigError` on a machine that has no such user.
 */
export async function unprivilegedUser(): Promise<SystemUser | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const users = parsePasswd(await readFile("/etc/passwd", "utf8"))
  for (const name of candidates) {
    const user = users.find((user) => user.name === name && user.uid !== 0)
    if (user) return user
  }
  throw new ConfigError(
    `running as root and this machine has none of the users ${candidates.join(", ")}: add one, or run as an ordinary user`,
  )
}

function parsePasswd(text: string): SystemUser[] {
  return text.split("\n").flatMap((line) => {
    const [name, , uid, gid, , home] = line.split(":")
    return name && uid && gid && home ? [{ name, uid: Number(uid), gid: Number(gid), home }] : []
  })
}
