import { ConfigError } from "../core/config-error.ts"

/** Where a ledger is kept in a git repository. */
export type GitAddress = { remote: string; branch: string }

const defaultBranch = "ops-data"
const branchName = /^(?!.*(?:\.\.|\/\/|\.lock(?:\/|$)|\/\.|\.(?:\/|$)))[A-Za-z0-9_][A-Za-z0-9_./-]{0,199}(?<!\/)$/
const forms = "git+https://github.com/owner/repository.git#ops-data or git+file:///absolute/path.git#ops-data"

/**
 * Parses `git+https://host/path.git#branch` or `git+file:///path.git#branch`. `git+http` is for a server on this machine alone, since
 * a token would cross the network in the clear. Throws `ConfigError`, which repeats no part of the address.
 */
export function parseGitAddress(url: string): GitAddress {
  const parsed = URL.parse(url.replace(/^git\+/, ""))
  if (parsed?.search !== "") throw new ConfigError(`LEDGER is no address of a git branch: set it to ${forms}`)
  const { protocol, hostname, pathname, hash, username, password } = parsed
  if (username || password)
    throw new ConfigError("LEDGER has a user name or password in it: take it out, the token goes into GITHUB_TOKEN")
  const isLocal = ["localhost", "127.0.0.1", "[::1]"].includes(hostname)
  if (protocol === "http:" && !isLocal)
    throw new ConfigError(
      "LEDGER begins with git+http: use git+https, since a token must not cross the network unencrypted",
    )
  const isFile = protocol === "file:" && hostname === ""
  if (pathname === "/" || !(isFile || protocol === "https:" || protocol === "http:"))
    throw new ConfigError(`LEDGER is no address of a git branch: set it to ${forms}`)
  const branch = decodeURIComponent(hash.slice(1)) || defaultBranch
  if (!branchName.test(branch))
    throw new ConfigError("LEDGER names a branch that git does not allow: use letters, digits, - _ . and / after the #")
  parsed.hash = ""
  return { remote: parsed.href, branch }
}
