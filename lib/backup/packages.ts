import { errorText } from "../core/error-text.ts"
import type { Log } from "../core/log.ts"
import { canInstallPackages, installPackages } from "../system/debian.ts"

/** What the configuration lets a restore test install. */
export type Wishes = { packages: readonly string[]; log: Log; signal: AbortSignal }

/**
 * Installs Debian packages and says why not when that fails: without them there is less to compare, and the test goes on.
 * apt-get installs all of a list or none: where it refuses, each is tried by itself, so that those that exist are there.
 */
export async function tryPackages(packages: readonly string[], { log, signal }: Wishes): Promise<string | undefined> {
  const names = packages.join(", ")
  if (!(await canInstallPackages()))
    return `packages ${names}: not installed: that needs apt-get, and to be root or sudo without a password`
  log.info(`installing ${names}`)
  try {
    await installPackages(packages, signal)
    return undefined
  } catch (error) {
    signal.throwIfAborted()
    if (packages.length === 1) return `package ${names}: not installed: ${errorText(error)}`
  }
  const troubles: string[] = []
  for (const name of packages) troubles.push((await tryPackages([name], { packages, log, signal })) ?? "")
  return troubles.filter(Boolean).join("; ") || undefined
}
