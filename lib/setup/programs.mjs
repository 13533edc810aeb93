import { accessSync, constants, existsSync, readdirSync, statSync } from "node:fs"
import path from "node:path"
import { aptInstall, aptPrefix } from "./apt.mjs"
import { SetupError, say } from "./say.mjs"

const postgresPrograms = ["initdb", "pg_ctl", "postgres", "pg_dump", "pg_dumpall", "pg_restore", "psql"]

/** The packages that hold each program, by package manager. */
const packages = {
  postgres: { apt: ["postgresql"], brew: ["postgresql@17"], dnf: ["postgresql-server", "postgresql-contrib"] },
  pgbouncer: { apt: ["pgbouncer"], brew: ["pgbouncer"], dnf: ["pgbouncer"] },
  "redis-server": { apt: ["redis-server"], brew: ["redis"], dnf: ["redis"] },
  age: { apt: ["age"], brew: ["age"], dnf: ["age"] },
  zstd: { apt: ["zstd"], brew: ["zstd"], dnf: ["zstd"] },
  git: { apt: ["git"], brew: ["git"], dnf: ["git"] },
}

/**
 * Finds the programs a command needs. Installs Debian's packages for those that are missing where that needs nobody's
 * password (root, or CI with sudo), saying so first; otherwise throws with the one command that installs them.
 */
export async function preparePrograms(needs, env) {
  const missing = findMissing(needs, env)
  if (missing.length === 0) return
  const prefix = aptPrefix(env)
  if (!prefix || (missing.includes("postgres") && env.OPS_PG_BIN)) throw new SetupError(advice(missing, env))
  const names = packagesFor(missing, "apt")
  say(`${missing.join(", ")} missing: installing ${names.join(" ")} with apt-get`)
  await aptInstall(prefix, names, env)
  const still = findMissing(needs, env)
  if (still.length > 0)
    throw new SetupError(`${still.join(", ")} still missing after apt-get install ${names.join(" ")}`)
}

function findMissing(needs, env) {
  const folders = (env.PATH ?? "").split(path.delimiter).filter(Boolean)
  const anywhere = [...folders, "/usr/sbin", "/usr/local/sbin"]
  return needs.filter((need) =>
    need === "postgres"
      ? !postgresFolders(env, folders).some((folder) => postgresPrograms.every((program) => runs(folder, program)))
      : !anywhere.some((folder) => runs(folder, need)),
  )
}

/** Folders that may hold a whole Postgres. OPS_PG_BIN, when set, names the only ones. */
function postgresFolders(env, folders) {
  if (env.OPS_PG_BIN) return env.OPS_PG_BIN.split(path.delimiter)
  const homebrew = ["/opt/homebrew/opt", "/usr/local/opt"].flatMap((parent) => children(parent, /^postgresql(@\d+)?$/))
  return [...folders, ...[...children("/usr/lib/postgresql", /^\d+$/), ...homebrew].map((folder) => `${folder}/bin`)]
}

function children(parent, pattern) {
  if (!existsSync(parent)) return []
  return readdirSync(parent).flatMap((name) => (pattern.test(name) ? [path.join(parent, name)] : []))
}

function runs(folder, program) {
  const file = path.join(folder, program)
  if (!existsSync(file) || !statSync(file).isFile()) return false
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch (error) {
    if (error.code === "EACCES") return false
    throw error
  }
}

function advice(missing, env) {
  if (missing.includes("postgres") && env.OPS_PG_BIN) {
    return `OPS_PG_BIN is ${env.OPS_PG_BIN}: it must name a folder that has ${postgresPrograms.join(", ")}`
  }
  const found = { apt: "sudo apt-get install -y", brew: "brew install", dnf: "sudo dnf install -y" }
  const manager = managerOf(env)
  return `${missing.join(", ")} missing: run  ${found[manager]} ${packagesFor(missing, manager).join(" ")}`
}

function managerOf(env) {
  if (process.platform === "darwin") return "brew"
  const folders = (env.PATH ?? "").split(path.delimiter).filter(Boolean)
  return folders.some((folder) => runs(folder, "dnf")) ? "dnf" : "apt"
}

function packagesFor(missing, manager) {
  return missing.flatMap((need) => packages[need][manager])
}
