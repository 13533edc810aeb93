import { spawnSync } from "node:child_process"
import { setTimeout as sleep } from "node:timers/promises"
import { SetupError, say } from "./say.mjs"

const waitsMs = [5_000, 20_000]

/** Debian starts a cluster with the package otherwise, which nobody asked for. An existing file is somebody's choice. */
const keepClusterAway = `
  file=/etc/postgresql-common/createcluster.conf
  test -e "$file" || { mkdir -p /etc/postgresql-common && echo "create_main_cluster = false" > "$file"; }`

/** What to put before a command so that it runs as root without asking anyone; `undefined` where that cannot be. */
export function aptPrefix(env) {
  if (spawnSync("apt-get", ["--version"], { env }).status !== 0) return undefined
  if (process.getuid?.() === 0) return []
  const sudo = ["sudo", "-n"]
  return env.CI && spawnSync("sudo", ["-n", "true"], { env }).status === 0 ? sudo : undefined
}

/** Installs packages; the lists are fetched a few times before that is given up. */
export async function aptInstall(prefix, names, env) {
  const apt = [...prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120"]
  if (names.includes("postgresql")) require([...prefix, "sh", "-c", keepClusterAway], env)
  for (const waitMs of [...waitsMs, 0]) {
    if (run([...apt, "update"], env)) break
    if (waitMs === 0) throw new SetupError("apt-get update failed three times: see above")
    say(`apt-get update failed, again in ${waitMs / 1000} s`)
    await sleep(waitMs)
  }
  require([...apt, "install", "-y", "--no-install-recommends", ...names], env)
}

function run([file, ...args], env) {
  return spawnSync(file, args, { env, stdio: ["ignore", 2, 2] }).status === 0
}

function require(command, env) {
  if (!run(command, env)) throw new SetupError(`${command.join(" ").trim()} failed: see above`)
}
