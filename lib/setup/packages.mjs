import { spawnSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import path from "node:path"
import { SetupError, say } from "./say.mjs"

/** Installs the packages of package-lock.json when they are missing or are not the ones it names. */
export async function installPackages(root) {
  const reason = stale(root)
  if (!reason) return
  say(`installing packages, ${reason} (npm ci)`)
  const npm = spawnSync("npm", ["ci", "--prefer-offline", "--no-audit", "--no-fund"], {
    cwd: root,
    env: { ...process.env, PATH: outsidePath(root) },
    stdio: ["ignore", 2, 2],
  })
  if (npm.error) throw new SetupError(`npm could not be started (${npm.error.message}): install Node.js with npm`)
  if (npm.status !== 0) throw new SetupError(`npm ci failed with exit code ${npm.status ?? npm.signal}: see above`)
}

/** The Node that runs the command: npm's `node` package, else the one running now when it is new enough. */
export function nodeProgram(root) {
  const wanted = Number(readJson(path.join(root, "package.json")).engines.node.replace(/\D*(\d+).*/, "$1"))
  for (const program of [path.join(root, "node_modules/.bin/node"), process.execPath]) {
    if (majorOf(program) >= wanted) return program
  }
  throw new SetupError(
    `Node ${wanted} is needed and ${process.version} is running: allow npm's install script of the package "node", or install Node ${wanted}`,
  )
}

function stale(root) {
  const lockFile = path.join(root, "package-lock.json")
  const installedFile = path.join(root, "node_modules/.package-lock.json")
  if (!existsSync(installedFile)) return "none are there yet"
  const wanted = readJson(lockFile).packages
  const installed = readJson(installedFile).packages
  for (const [name, entry] of Object.entries(wanted)) {
    const present = installed[name]
    if (name === "" || (!present && entry.optional)) continue
    if (!present) return `${name} is missing`
    if (present.version !== entry.version || present.integrity !== entry.integrity) return `${name} is not as locked`
  }
  return Object.keys(installed)
    .find((name) => !wanted[name])
    ?.concat(" is not in package-lock.json")
}

/** PATH without this checkout's programs: `npm ci` removes them while it runs. */
function outsidePath(root) {
  const inside = path.join(root, "node_modules") + path.sep
  const folders = (process.env.PATH ?? "").split(path.delimiter)
  return folders.filter((folder) => !`${folder}${path.sep}`.startsWith(inside)).join(path.delimiter)
}

function majorOf(program) {
  const answer = spawnSync(program, ["--version"], { encoding: "utf8" })
  return answer.status === 0 ? Number(answer.stdout.match(/^v(\d+)/)?.[1] ?? 0) : 0
}

function readJson(file) {
  return JSON.parse(readFileSync(file, "utf8"))
}
