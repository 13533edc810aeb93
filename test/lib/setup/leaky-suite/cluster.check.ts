import { execFileSync } from "node:child_process"
import { chownSync, mkdtempSync, readdirSync, writeSync } from "node:fs"
import { tmpdir } from "node:os"
import path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { it } from "vitest"

it("starts a cluster and does not end it", async () => {
  const folder = mkdtempSync(path.join(tmpdir(), "leaky-"))
  const asUser = unprivileged(folder)
  const data = path.join(folder, "data")
  execFileSync(...asUser(`${serverPrograms()}/initdb`, ["-A", "trust", "--no-sync", "-D", data]))
  const options = `-c listen_addresses='' -c fsync=off -k ${folder}`
  execFileSync(
    ...asUser(`${serverPrograms()}/pg_ctl`, ["-w", "-D", data, "-l", `${folder}/log`, "-o", options, "start"]),
  )
  writeSync(1, `cluster is up in ${data}\n`)
  await sleep(Number(process.env.LEAKY_WAIT_MS ?? 50_000))
})

function unprivileged(folder: string): (file: string, args: string[]) => [string, string[], { stdio: "ignore" }] {
  if (process.getuid?.() !== 0) return (file, args) => [file, args, { stdio: "ignore" }]
  const id = (flag: string) => Number(execFileSync("id", [flag, "postgres"], { encoding: "utf8" }))
  const [uid, gid] = [id("-u"), id("-g")]
  chownSync(folder, uid, gid)
  const prefix = [`--reuid=${uid}`, `--regid=${gid}`, "--clear-groups", "--"]
  return (file, args) => ["setpriv", [...prefix, file, ...args], { stdio: "ignore" }]
}

function serverPrograms(): string {
  if (process.env.OPS_PG_BIN) return process.env.OPS_PG_BIN.split(":")[0] ?? ""
  const major = readdirSync("/usr/lib/postgresql").sort().at(-1)
  return `/usr/lib/postgresql/${major}/bin`
}
